"""python -m studio import: a checkpoint of another program as one of ours. Nothing in the file is executed."""

import argparse
from pathlib import Path

from studio.commands import COMMANDS, Command, Report
from studio.errors import CheckpointError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="weights: .pkl, .pt, .pth, .bin, .safetensors ...")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the checkpoint")


def run(arguments: argparse.Namespace) -> Report:
    from studio.checkpoint import INFO, WEIGHTS, read_info
    from studio.formats import FORMATS, convert

    out = arguments.out
    if out.is_dir() and any(out.iterdir()) and not (out / INFO).is_file():  # before minutes of work, not after
        raise CheckpointError(f"{out} holds files that are no checkpoint; give an empty or another folder")
    convert(arguments.file, out)
    info = read_info(out)
    title = FORMATS.get(info.training["imported_format"]).title
    size = (out / WEIGHTS).stat().st_size
    text = f"imported {arguments.file.name} ({title}) to {out}: {info.family.title}, {size / 1e6:.1f} MB"
    text += f", licence {info.licence}"
    values = {
        "folder": str(out), "format": info.training["imported_format"], "model": info.model,
        "config": dict(info.config), "bytes": size, "licence": info.licence, "sha256": info.sha256,
    }
    return Report(text, values)


COMMANDS.register("import")(Command("turn a checkpoint of another program into one of ours", add_arguments, run))
