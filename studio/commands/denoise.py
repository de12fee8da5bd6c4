"""python -m studio denoise: pictures without their noise, of the same size and depth; files and folders."""

import argparse
from pathlib import Path

from studio.commands import COMMANDS, Command, Report
from studio.commands.restore import add_output, remake
from studio.config import add_arguments, from_arguments


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
    from studio.engine import Engine
    from studio.enlarge import DENOISE, DenoiseSettings, Enlarger
    from studio.library import Library

    wish = from_arguments(DenoiseSettings, arguments)
    engine = Engine(Library.default(any_folder=True), arguments.device)
    enlarger = Enlarger(engine, network_at(arguments.model))
    return remake(
        arguments.image, arguments.out, "cleaned", lambda: enlarger.provenance(DENOISE, wish),
        lambda picture, progress: enlarger.denoise(picture, wish, progress=progress),
    )


COMMANDS.register("denoise")(Command("take noise out of pictures", add_denoise_arguments, run))
