"""python -m studio walk: a film that passes smoothly through several seeds."""

import argparse
import time
from pathlib import Path

from studio.commands import COMMANDS, Command, Report, make_folder, progress, public_name
from studio.config import add_arguments, from_arguments
from studio.errors import SettingError
from studio.seeds import parse_seeds


def add_walk_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.video import DEFAULT_QUALITY
    from studio.walk import WalkSettings

    parser.add_argument("model", metavar="MODEL", help="an installed model, or a checkpoint's folder")
    parser.add_argument("--seeds", required=True, metavar="LIST", help="the pictures to pass through: 1,5,9 or 0-7")
    add_arguments(parser, WalkSettings, skip=["model", "seeds"])
    parser.add_argument(
        "--quality", type=int, default=DEFAULT_QUALITY, metavar="N",
        help=f"of mp4 and webm, 1 smallest .. 100 best (default {DEFAULT_QUALITY})",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the film: .mp4, .webm or .gif")


def run(arguments: argparse.Namespace) -> Report:
    from studio.engine import Engine
    from studio.library import Library
    from studio.provenance import Provenance
    from studio.video import film_kind, write_film
    from studio.walk import MAX_KEYS, TOOL, WalkSettings, walk

    start = time.perf_counter()
    arguments.seeds = parse_seeds(arguments.seeds, MAX_KEYS)
    settings = from_arguments(WalkSettings, arguments)
    if not 1 <= arguments.quality <= 100:
        raise SettingError(f"quality={arguments.quality} is outside 1..100 (of mp4 and webm, 100 best)")
    film_kind(arguments.out, settings.fps)
    engine = Engine(Library.default(any_folder=True), arguments.device)
    name = public_name(engine.library, settings.model)
    made = Provenance(
        tool=TOOL, model=name, model_sha256=engine.info(settings.model).sha256,
        settings=settings.replace(model=name).to_dict(),
    )
    make_folder(arguments.out.parent)
    frames = progress(walk(engine, settings), settings.frames, "frames")
    count = write_film(arguments.out, frames, settings.fps, made.film_metadata(), arguments.quality)
    seconds = time.perf_counter() - start
    return Report(
        f"wrote {arguments.out}: {count} frames in {seconds:.1f} s",
        {"files": [str(arguments.out)], "frames": count, "seconds": round(seconds, 3)},
    )


COMMANDS.register("walk")(Command("write a film that passes through several seeds", add_walk_arguments, run))
