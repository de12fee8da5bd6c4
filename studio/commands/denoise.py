"""python -m studio denoise: pictures without their noise, of the same size and depth; files and folders."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from studio.commands import COMMANDS, Command, Report
from studio.commands.restore import add_output, each_picture
from studio.commands.stylize import Meter
from studio.config import add_arguments, from_arguments

if TYPE_CHECKING:
    from studio.counterparts import Job


def add_denoise_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.enlarge import DenoiseSettings

    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture, or a folder of them")
    add_arguments(parser, DenoiseSettings)
    parser.add_argument(
        "--model", default="upscale", metavar="NAME|FILE", help="installed, or a network's file (default upscale)"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> Report:
    from studio.community import network_at
    from studio.counterparts import jobs, kept_notes, licence_notes, opened
    from studio.engine import Engine
    from studio.enlarge import DENOISE, DenoiseSettings, Enlarger
    from studio.images import save_picture
    from studio.library import Library
    from studio.provenance import PARTLY_GENERATED

    start = time.perf_counter()
    wish = from_arguments(DenoiseSettings, arguments)
    tasks = jobs(arguments.image, arguments.out)
    enlarger = Enlarger(Engine(Library.default(any_folder=True), arguments.device), network_at(arguments.model))
    enlarger.check()  # before the first picture is opened
    made_by = enlarger.provenance(DENOISE, wish)
    labels = made_by.labels(PARTLY_GENERATED)
    notes = licence_notes(made_by.model, made_by.settings["licence"])

    def do(job: "Job", meter: Meter) -> None:
        picture = opened(job.source)
        made = enlarger.denoise(picture, wish, progress=meter.show)
        save_picture(job.out, made, lossless=True, labels=labels)
        notes.extend(kept_notes(job.out, picture))

    files = each_picture(tasks, do, "cleaned", arguments.out)
    seconds = round(time.perf_counter() - start, 3)
    what = files[0] if len(files) == 1 else f"{len(files)} files to {arguments.out}"
    text = "\n".join([f"wrote {what} in {seconds:.1f} s", *notes])
    return Report(text, {"files": files, "notes": notes, "seconds": seconds})


COMMANDS.register("denoise")(Command("take noise out of pictures", add_denoise_arguments, run))
