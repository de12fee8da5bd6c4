"""python -m studio translate: pictures turned into another kind of picture; files and folders."""

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


def add_translate_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.translate import TranslateSettings

    parser.add_argument("model", metavar="MODEL", help="an installed model's name, or its folder")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture, or a folder of them")
    add_arguments(parser, TranslateSettings)
    add_output(parser)


def run(arguments: argparse.Namespace) -> Report:
    from studio.counterparts import jobs, kept_notes, licence_notes, opened
    from studio.engine import Engine
    from studio.images import save_picture
    from studio.library import Library
    from studio.provenance import PARTLY_GENERATED
    from studio.translate import PictureTranslator, TranslateSettings

    start = time.perf_counter()
    wish = from_arguments(TranslateSettings, arguments)
    tasks = jobs(arguments.image, arguments.out)
    translator = PictureTranslator(Engine(Library.default(any_folder=True), arguments.device), arguments.model)
    translator.check()  # before the first picture is opened
    made_by = translator.provenance(wish)
    labels = made_by.labels(PARTLY_GENERATED)
    notes = licence_notes(made_by.model, made_by.settings["licence"])

    def do(job: "Job", meter: Meter) -> None:
        picture = opened(job.source)
        made = translator.translate(picture, wish, progress=meter.show)
        save_picture(job.out, made, lossless=True, labels=labels)
        notes.extend(kept_notes(job.out, picture))

    files = each_picture(tasks, do, "translated", arguments.out)
    seconds = round(time.perf_counter() - start, 3)
    what = files[0] if len(files) == 1 else f"{len(files)} files to {arguments.out}"
    text = "\n".join([f"wrote {what} in {seconds:.1f} s", *notes])
    return Report(text, {"files": files, "notes": notes, "seconds": seconds})


COMMANDS.register("translate")(Command("turn pictures into another kind", add_translate_arguments, run))
