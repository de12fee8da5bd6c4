"""python -m studio models: what is installed."""

import argparse
from typing import TYPE_CHECKING, Any

from studio.commands import COMMANDS, Command, Report
from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.library import Library


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(arguments: argparse.Namespace) -> Report:
    """A damaged model is listed with what is wrong with it, and hides none of the others."""
    from studio.library import Library

    library = Library.default()
    models = [_describe(library, name) for name in library.names()]
    return Report("\n".join(map(_line, models)) or "no models are installed", {"models": models})


def _describe(library: "Library", name: str) -> dict[str, Any]:
    from studio.checkpoint import WEIGHTS, read_info, weights_bytes

    try:
        folder = library.find(name)
        info = read_info(folder)
        config = info.network_config()
        weights_bytes(folder)  # whether the file is there and as long as its own header says
        return {
            "name": name,
            "title": info.title,
            "model": info.model,
            "task": info.family.task,
            "resolution": getattr(config, "resolution", None),
            "bytes": (folder / WEIGHTS).stat().st_size,
            "licence": info.licence,
            "data_licence": info.data_licence,
            "kimg": info.kimg,
            "sha256": info.sha256,
        }
    except StudioError as error:
        return {"name": name, "damaged": str(error)}


def _line(model: dict[str, Any]) -> str:
    if "damaged" in model:
        return f"{model['name']}: damaged: {model['damaged']}"
    facts = [
        model["title"],
        model["task"],
        model["resolution"] and f"{model['resolution']} px",
        f"{model['bytes'] / 1e6:.1f} MB",
        f"{model['kimg']:g} kimg",
        f"licence {model['licence']}",
    ]
    return f"{model['name']}: " + ", ".join(fact for fact in facts if fact)


COMMANDS.register("models")(Command("list the installed models", add_arguments, run))
