"""python -m studio translate: pictures turned into another kind of picture; files and folders."""

import argparse
from pathlib import Path

from studio.commands import COMMANDS, Command, Report
from studio.commands.restore import add_output, remake
from studio.config import add_arguments, from_arguments


def add_translate_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.translate import TranslateSettings

    parser.add_argument("model", metavar="MODEL", help="an installed model's name, or its folder")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture, or a folder of them")
    add_arguments(parser, TranslateSettings)
    add_output(parser)


def run(arguments: argparse.Namespace) -> Report:
    from studio.engine import Engine
    from studio.library import Library
    from studio.translate import PictureTranslator, TranslateSettings

    wish = from_arguments(TranslateSettings, arguments)
    translator = PictureTranslator(Engine(Library.default(any_folder=True), arguments.device), arguments.model)
    return remake(
        arguments.image, arguments.out, "translated", lambda: translator.provenance(wish),
        lambda picture, progress: translator.translate(picture, wish, progress=progress),
    )


COMMANDS.register("translate")(Command("turn pictures into another kind", add_translate_arguments, run))
