"""What `python -m train` understands."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import PartialState

from studio.config import Setting, add_arguments, from_arguments, settings
from studio.dataset import examine
from studio.errors import SettingError, StudioError
from studio.interrupts import ends_with
from studio.runfolder import RunFolder, read_json
from studio.stills import StillSettings, take_stills
from train.health import HealthConfig
from train.loop import Outcome, print_line
from train.recipes import RECIPES
from train.run import check_version, resume, start, stored_config


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
        return ends_with(2)
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
        add_arguments(sub, HealthConfig)
        _common(sub)

    sub = commands.add_parser(
        "resume", help="go on with a run, exactly where it was",
        description="Go on with a run, exactly where it was. Settings given here replace those it has, and are kept.",
    )
    sub.set_defaults(run_command=_resume)
    sub.add_argument("run", type=Path, metavar="RUN")
    sub.add_argument("--data", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # to say why it cannot change
    _add_changes(sub)
    add_arguments(sub, HealthConfig)
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

    sub = commands.add_parser("plan", help="measure for a minute how long a training will take here")
    kinds = sub.add_subparsers(metavar="RECIPE", required=True)
    for name in RECIPES:
        one = kinds.add_parser(name, help=RECIPES.get(name).description)
        one.set_defaults(run_command=_plan, recipe=name)
        one.add_argument("--data", type=Path, metavar="DIR|ZIP", help="pictures to learn from; without them, noise")
        one.add_argument("--config", type=Path, metavar="JSON", help="settings to start from; flags override them")
        one.add_argument("--seconds", type=float, default=60.0, help="to measure for, at most (default 60)")
        add_arguments(one, RECIPES.get(name).settings)
        add_arguments(one, HealthConfig)
        _common(one)

    sub = commands.add_parser("examine", help="look at pictures before training on them")
    sub.set_defaults(run_command=_examine)
    sub.add_argument("data", type=Path, metavar="DIR|ZIP")
    sub.add_argument("--resolution", type=int, default=64, help="side of what is to be trained, px (default 64)")
    sub.add_argument("--out", type=Path, metavar="JSON", help="write all that was found to this file")
    _common(sub)

    sub = commands.add_parser("stills", help="take pictures to learn from out of a film")
    sub.set_defaults(run_command=_stills)
    sub.add_argument("film", type=Path, metavar="FILM")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pictures' folder")
    add_arguments(sub, StillSettings)
    _common(sub)

    sub = commands.add_parser("evaluate", help="measure a run or a checkpoint against pictures")
    sub.set_defaults(run_command=_evaluate)
    sub.add_argument("model", type=Path, metavar="RUN|DIR")
    sub.add_argument("--data", type=Path, required=True, metavar="DIR|ZIP")
    sub.add_argument("--styles", type=Path, metavar="DIR|ZIP", help="paintings, for a style model")
    sub.add_argument(
        "--samples", type=int,
        help="pictures on each side (default 5000), pairs of photo and painting (60), or pictures to restore (48)",
    )
    sub.add_argument("--features", default="auto", help="feature network: auto, lite0 or inception")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--save", action="store_true", help="write the result into the checkpoint's model.json and card")
    _common(sub)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default auto)")
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def _add_changes(parser: argparse.ArgumentParser) -> None:
    """Any recipe's settings, as texts: the run itself says which recipe they are for, and so what they may be."""
    known: dict[str, tuple[Setting, str]] = {}
    for name in RECIPES:
        for item in settings(RECIPES.get(name).settings):
            may_change = item.name in RECIPES.get(name).settings.changeable
            help = item.help.replace("%", "%%") if may_change else argparse.SUPPRESS
            if item.name not in known or may_change:
                known[item.name] = item, help
    for item, help in known.values():
        words = dict(dest=item.name, default=argparse.SUPPRESS, help=help)
        if item.kind is bool:
            parser.add_argument(item.flag, action=argparse.BooleanOptionalAction, **words)
        else:
            parser.add_argument(item.flag, metavar=item.kind.__name__.upper(), **words)


def _changes(arguments: argparse.Namespace, recipe: str) -> dict[str, Any]:
    """The settings that `resume` was given. Raises SettingError for one that the run's recipe does not have."""
    others = {"run_command", "run", "device", "json", *(item.name for item in settings(HealthConfig))}
    given = {k: v for k, v in vars(arguments).items() if k not in others}
    if "data" in given:
        raise SettingError(f"data={given['data']} cannot replace the pictures in mid-run; start another run with it")
    known = {item.name: item for item in settings(RECIPES.get(recipe).settings)}
    if unknown := [name for name in given if name not in known]:
        raise SettingError(f"the recipe {recipe!r} has no setting {unknown[0]!r}; known: {', '.join(known)}")
    return {name: known[name].parse(value) if isinstance(value, str) else value for name, value in given.items()}


def _start(arguments: argparse.Namespace) -> None:
    preset = _preset(arguments.config, arguments.recipe) if arguments.config else {}
    if arguments.data is None:
        raise SettingError("--data is missing; give a folder or a zip of pictures")
    config = from_arguments(RECIPES.get(arguments.recipe).settings, arguments, preset.get("settings"))
    health = from_arguments(HealthConfig, arguments, preset.get("health"))
    report = lambda line: print_line(line, config.kimg, arguments.json)
    run = RunFolder(arguments.run)
    _say(start(arguments.recipe, config, arguments.data, run, arguments.device, report, health), arguments)


def _preset(path: Path, recipe: str) -> dict[str, Any]:
    """A preset or a run's config.json. Raises StudioError if its settings are not for this recipe."""
    stored = read_json(path, f"there is no {path}")
    if not (isinstance(stored.get("recipe"), str) and isinstance(stored.get("settings"), dict)):
        raise SettingError(f"{path} does not name a recipe and its settings; give a preset or a run's config.json")
    check_version(stored, path)
    if stored["recipe"] != recipe:
        raise SettingError(f"{path} is for the recipe {stored['recipe']!r}; run: python -m train {stored['recipe']}")
    if not isinstance(stored.get("health", {}), dict):
        raise SettingError(f"{path} holds a health that is not names with values; mend it or leave it out")
    return stored


def _resume(arguments: argparse.Namespace) -> None:
    run = RunFolder(arguments.run)
    recipe, config, _ = stored_config(run)
    watching = {s.name: getattr(arguments, s.name) for s in settings(HealthConfig) if hasattr(arguments, s.name)}
    changes = _changes(arguments, recipe)
    report = lambda line: print_line(line, changes.get("kimg", config.kimg), arguments.json)
    _say(resume(run, changes, arguments.device, report, watching), arguments)


def _say(outcome: Outcome, arguments: argparse.Namespace) -> None:
    if not PartialState().is_main_process:
        return
    if arguments.json:
        print(json.dumps({"outcome": outcome.name, "kimg": outcome.kimg, "run": str(arguments.run)}))
    else:
        use = f"python -m train export {arguments.run} --out DIR"
        print(f"{outcome.name} at {outcome.kimg:g} kimg; use it with: {use}")


def _export(arguments: argparse.Namespace) -> None:
    from train.export import export  # reads and draws; the loop's own start should not wait for it

    folder = export(
        RunFolder(arguments.run),
        arguments.out,
        title=arguments.title,
        data_licence=arguments.data_licence,
        data_note=arguments.data_note,
        note=arguments.note,
        licence=arguments.licence,
        show_grid=not arguments.no_grid,
    )
    print(json.dumps({"checkpoint": str(folder)}) if arguments.json else f"wrote {folder}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from train.evaluate import evaluate_model  # loads a feature network

    result = evaluate_model(
        arguments.model, arguments.data, styles=arguments.styles, samples=arguments.samples,
        features=arguments.features, seed=arguments.seed, device=arguments.device, save=arguments.save,
    )
    print(json.dumps(result) if arguments.json else "\n".join(f"{k:32} {v:.5g}" for k, v in result.items()))


def _examine(arguments: argparse.Namespace) -> None:
    report = examine(arguments.data, arguments.resolution)
    if arguments.out:
        report.save(arguments.out)
    if arguments.json:
        print(json.dumps(report.to_dict()))
        return
    w, h = report.widths, report.heights
    print(f"{report.pictures} pictures, {w['least']} to {w['most']} px wide, {h['least']} to {h['most']} px high")
    for finding in report.findings:
        print(f"{'!' if finding.grave else '-'} {finding.message}")


def _stills(arguments: argparse.Namespace) -> None:
    found = take_stills(arguments.film, arguments.out, from_arguments(StillSettings, arguments))
    if arguments.json:
        print(json.dumps({**asdict(found), "folder": str(found.folder)}))
        return
    rest = "" if found.complete else "; --most ended it before the film did"
    print(f"took {found.taken} pictures into {found.folder}, and left out {found.alike} that look alike{rest}")


def _plan(arguments: argparse.Namespace) -> None:
    from train.planner import plan  # needs a recipe's networks; the loop's own start should not wait for it

    preset = _preset(arguments.config, arguments.recipe) if arguments.config else {}
    config = from_arguments(RECIPES.get(arguments.recipe).settings, arguments, preset.get("settings"))
    health = from_arguments(HealthConfig, arguments, preset.get("health"))
    made = plan(arguments.recipe, config, arguments.data, arguments.device, arguments.seconds, health=health)
    found = made.to_dict()
    side = f"{config.resolution} px, " if hasattr(config, "resolution") else ""
    text = f"{side}{found['kimg']:g} kimg: about {found['words']} here ({found['seconds_per_kimg']:.3g} s a kimg)"
    print(json.dumps(found) if arguments.json else text)
