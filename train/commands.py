"""What `python -m train` understands."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from accelerate import PartialState

from studio.config import add_arguments, from_arguments
from studio.errors import SettingError, StudioError
from studio.runfolder import RunFolder, read_json
from train.loop import Outcome, print_line
from train.recipes import RECIPES
from train.run import resume, start, stored_config


def main(words: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 the user can mend it. Anything else raised is a bug and keeps its traceback."""
    try:
        arguments = _parser().parse_args(words)
        arguments.run_command(arguments)
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; go on with: python -m train resume RUN", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train a model on your own pictures.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    for name in RECIPES:
        kind = RECIPES.get(name)
        sub = commands.add_parser(name, help=kind.description, description=kind.description)
        sub.set_defaults(run_command=_start, recipe=name)
        sub.add_argument("--data", type=Path, metavar="DIR|ZIP", help="pictures to learn from")
        sub.add_argument("--run", type=Path, required=True, metavar="DIR", help="folder of this run")
        sub.add_argument("--config", type=Path, metavar="JSON", help="settings to start from; flags override them")
        add_arguments(sub, kind.settings)
        _common(sub)

    sub = commands.add_parser("resume", help="go on with a run, exactly where it was")
    sub.set_defaults(run_command=_resume)
    sub.add_argument("run", type=Path, metavar="RUN")
    sub.add_argument("--kimg", type=float, help="another length than the run was started with")
    _common(sub)

    sub = commands.add_parser("export", help="write a run's model as a checkpoint folder with a card")
    sub.set_defaults(run_command=_export)
    sub.add_argument("run", type=Path, metavar="RUN")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="the checkpoint's folder")
    sub.add_argument("--title", help="what the model is called on its card")
    sub.add_argument("--data-licence", default="not stated", help="the pictures' licence, for the card")
    sub.add_argument("--data-note", default="", help="one sentence on the pictures, for the card")
    sub.add_argument("--note", default="", help="one sentence on the training, for the card")
    sub.add_argument("--licence", default="not stated", help="the licence you give the weights")
    sub.add_argument("--no-grid", action="store_true", help="show no sample pictures on the card")
    _common(sub)

    sub = commands.add_parser("evaluate", help="measure a run or a checkpoint against pictures")
    sub.set_defaults(run_command=_evaluate)
    sub.add_argument("model", type=Path, metavar="RUN|DIR")
    sub.add_argument("--data", type=Path, required=True, metavar="DIR|ZIP")
    sub.add_argument("--samples", type=int, default=5000, help="pictures to compare on each side (default 5000)")
    sub.add_argument("--features", default="auto", help="feature network: auto, lite0 or inception")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--save", action="store_true", help="write the result into the checkpoint's model.json and card")
    _common(sub)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default auto)")
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def _start(arguments: argparse.Namespace) -> None:
    preset = read_json(arguments.config, f"there is no {arguments.config}") if arguments.config else {}
    if arguments.config and not (isinstance(preset.get("recipe"), str) and isinstance(preset.get("settings"), dict)):
        raise SettingError(f"{arguments.config} does not name a recipe and its settings; give a preset or a run's config.json")
    if arguments.config and preset["recipe"] != arguments.recipe:
        raise SettingError(f"{arguments.config} is for the recipe {preset['recipe']!r}; run: python -m train {preset['recipe']}")
    if arguments.data is None:
        raise SettingError("--data is missing; give a folder or a zip of pictures")
    config = from_arguments(RECIPES.get(arguments.recipe).settings, arguments, preset.get("settings"))
    report = lambda line: print_line(line, config.kimg, arguments.json)
    _say(start(arguments.recipe, config, arguments.data, RunFolder(arguments.run), arguments.device, report), arguments)


def _resume(arguments: argparse.Namespace) -> None:
    run = RunFolder(arguments.run)
    kimg = arguments.kimg if arguments.kimg is not None else stored_config(run)[1].kimg
    _say(resume(run, arguments.kimg, arguments.device, lambda line: print_line(line, kimg, arguments.json)), arguments)


def _say(outcome: Outcome, arguments: argparse.Namespace) -> None:
    if not PartialState().is_main_process:
        return
    if arguments.json:
        print(json.dumps({"outcome": outcome.name, "kimg": outcome.kimg, "run": str(arguments.run)}))
    else:
        print(f"{outcome.name} at {outcome.kimg:g} kimg; use it with: python -m train export {arguments.run} --out DIR")


def _export(arguments: argparse.Namespace) -> None:
    from train.export import export  # reads and draws; the loop's own start should not wait for it

    folder = export(
        RunFolder(arguments.run), arguments.out, title=arguments.title, data_licence=arguments.data_licence,
        data_note=arguments.data_note, note=arguments.note, licence=arguments.licence, show_grid=not arguments.no_grid,
    )
    print(json.dumps({"checkpoint": str(folder)}) if arguments.json else f"wrote {folder}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from train.evaluate import evaluate_model  # loads a feature network

    result = evaluate_model(
        arguments.model, arguments.data, samples=arguments.samples, features=arguments.features, seed=arguments.seed,
        device=arguments.device, save=arguments.save,
    )
    print(json.dumps(result) if arguments.json else "\n".join(f"{k:32} {v:.5g}" for k, v in result.items()))
