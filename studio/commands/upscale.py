"""python -m studio upscale: larger pictures, with their fine structure drawn anew; files and folders."""

import argparse
from pathlib import Path

from studio.commands import COMMANDS, Command, Report
from studio.commands.restore import add_output, remake
from studio.config import add_arguments, from_arguments


def add_upscale_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.enlarge import UpscaleSettings

    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture, or a folder of them")
    add_arguments(parser, UpscaleSettings)
    parser.add_argument(
        "--model", default="upscale", metavar="NAME|FILE", help="installed, or a network's file (default upscale)"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> Report:
    from studio.community import network_at
    from studio.engine import Engine
    from studio.enlarge import UPSCALE, Enlarger, UpscaleSettings
    from studio.library import Library

    wish = from_arguments(UpscaleSettings, arguments)
    engine = Engine(Library.default(any_folder=True), arguments.device)
    enlarger = Enlarger(engine, network_at(arguments.model))
    return remake(
        arguments.image, arguments.out, "enlarged", lambda: enlarger.provenance(UPSCALE, wish),
        lambda picture, progress: enlarger.upscale(picture, wish, progress=progress),
    )


COMMANDS.register("upscale")(Command("enlarge pictures", add_upscale_arguments, run))
