"""python -m studio generate: one PNG a seed. Dropped on the explore tab, each brings its settings back."""

import argparse
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from studio.commands import COMMANDS, Command, Report, make_folder, progress, public_name
from studio.config import add_arguments, from_arguments, settings
from studio.errors import ImageError, SettingError
from studio.seeds import parse_seeds

if TYPE_CHECKING:
    from torch import Tensor

    from studio.explore import Explorer, ExploreSettings
    from studio.provenance import Provenance

TOOL = "generate"
MAX_PICTURES = 100_000
MAX_BATCH = 256
MAX_CELLS = 1024  # of a contact sheet
SHEET_PX = 2048  # its cells shrink until it is at most this wide
OPTIONS = ("psi", "noise", "label")


def add_generate_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.explore import ExploreSettings

    parser.add_argument("model", metavar="MODEL", help="an installed model, or a checkpoint's folder")
    parser.add_argument("--seeds", required=True, metavar="LIST", help="which pictures: 0-15,20,30-32")
    others = [item.name for item in settings(ExploreSettings) if item.name not in OPTIONS]
    add_arguments(parser, ExploreSettings, skip=others)
    parser.add_argument("--batch", type=int, metavar="N", help="pictures drawn in one pass (default: by their size)")
    parser.add_argument("--grid", type=Path, metavar="FILE", help="also write all side by side: .png, .jpg ...")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for seed0000.png ...")


def run(arguments: argparse.Namespace) -> Report:
    from studio.capabilities import StyleGenerator, require
    from studio.engine import Engine
    from studio.explore import Explorer, ExploreSettings
    from studio.files import write_bytes
    from studio.latent.mapping import check_label
    from studio.library import Library
    from studio.provenance import encode_png
    from studio.walk import pictures_at_once, resize

    start = time.perf_counter()
    seeds = list(dict.fromkeys(parse_seeds(arguments.seeds, MAX_PICTURES)))
    base = from_arguments(ExploreSettings, arguments)
    if arguments.batch is not None and not 1 <= arguments.batch <= MAX_BATCH:
        raise SettingError(f"batch={arguments.batch} is outside 1..{MAX_BATCH} (pictures drawn in one pass)")
    if arguments.grid is not None:
        _check_grid(arguments.grid, len(seeds))
    explorer = Explorer(Engine(Library.default(any_folder=True), arguments.device))
    name = public_name(explorer.engine.library, base.model)
    with explorer.engine.use(base.model) as model:
        G = require(model.network, StyleGenerator, name, TOOL)
        check_label(G, base.label, name)
        resolution = G.resolution
    make_folder(arguments.out)
    if arguments.grid is not None:
        make_folder(arguments.grid.parent)

    columns = math.ceil(math.sqrt(len(seeds)))
    files, cells = [], []
    drawn = _draw(explorer, base, seeds, arguments.batch or pictures_at_once(resolution))
    for wish, picture in progress(drawn, len(seeds), "pictures"):
        made = explorer.provenance(wish)
        made = dataclasses.replace(made, model=name, settings={**made.settings, "model": name})
        files.append(arguments.out / f"seed{wish.seed:04d}.png")
        write_bytes(files[-1], encode_png(picture, made))
        if arguments.grid is not None:
            cells.append(resize(picture, min(resolution, SHEET_PX // columns)))
    values = {"files": [str(file) for file in files]}
    if arguments.grid is not None:
        shown = {"model": name, "seeds": seeds, **{option: getattr(base, option) for option in OPTIONS}}
        made = dataclasses.replace(made, tool=TOOL, settings=shown, seed=None)
        _write_grid(arguments.grid, cells, columns, made)
        values["grid"] = str(arguments.grid)
    seconds = round(time.perf_counter() - start, 3)
    text = f"wrote {len(files)} pictures to {arguments.out} in {seconds:.1f} s"
    return Report(text, {**values, "seconds": seconds})


def _draw(
    explorer: "Explorer", base: "ExploreSettings", seeds: list[int], batch: int
) -> Iterator[tuple["ExploreSettings", "Tensor"]]:
    """What was asked for and its picture [C, R, R], seed by seed, with `batch` of them in memory."""
    for i in range(0, len(seeds), batch):
        wishes = [base.replace(seed=seed) for seed in seeds[i : i + batch]]
        yield from zip(wishes, explorer.pictures(wishes))


def _check_grid(path: Path, count: int) -> None:
    from studio.images import FORMAT_OF

    if path.suffix.lower() not in FORMAT_OF:
        known = ", ".join(FORMAT_OF)
        raise ImageError(f"{path.name!r} is no name for a contact sheet; let it end in one of {known}")
    if count > MAX_CELLS:
        raise SettingError(
            f"{count} seeds are too many for --grid, which shows {MAX_CELLS}; ask for fewer or leave it out"
        )


def _write_grid(path: Path, cells: list["Tensor"], columns: int, made: "Provenance") -> None:
    import torch

    from studio.images import grid, save_picture

    save_picture(path, grid(torch.stack(cells), columns), labels=made.labels())


COMMANDS.register("generate")(Command("write one PNG a seed", add_generate_arguments, run))
