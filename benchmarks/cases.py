"""Pictures and holes for restore.py: the same ones in every run."""

import itertools
import random
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.style import held_out
from studio.checkpoint import read_info
from studio.images import open_picture, resize_crop
from studio.library import Library
from train.damage import MAX_AREA, draw_kind
from train.data import open_source

HOLES = {"cracks": "craquelure", "losses": "losses", "boxes": "boxes"}  # what they are called in train/damage.py
CELL, TITLE = 256, 24  # px of a contact sheet

Openers = Mapping[str, Callable[[], Image.Image]]
Row = Mapping[str, Image.Image]  # of a contact sheet, by column


def open_held_out(data: Path, unseen: Path | None, model: str | Path) -> Openers:
    """What of `data` a model was not trained on, by the holdout that its model.json names, and all of `unseen`.

    Says so, where no holdout is named, and then takes all. Raises DataError where there is nothing.
    """
    share = 0.0
    if isinstance(model, str):
        settings = read_info(Library.default(any_folder=True).find(model)).training.get("settings", {})
        share = settings.get("holdout", 0.0)
    if not share:
        print(f"{model} held nothing out of its training: all of {data} is taken, seen or not", flush=True)
    openers = held_out(data, share)
    if unseen is not None:
        source = open_source(unseen)
        for name in source.names:
            openers[f"{unseen.name}/{name}"] = lambda name=name: open_picture(source.read(name)).rgb()
    return openers


def folder_of(name: str) -> str:
    """The first folder of a name, which says what kind of picture it is: photos, paintings."""
    parts = PurePosixPath(name).parts
    return parts[0] if len(parts) > 1 else "pictures"


def in_turns(names: list[str]) -> list[str]:
    """The names in an order that is always the same, of each folder one in turn."""
    shuffled = sorted(names)
    random.Random(0).shuffle(shuffled)
    folders = sorted({*map(folder_of, names)})
    columns = [[name for name in shuffled if folder_of(name) == folder] for folder in folders]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*columns))
    return [name for name in turns if name is not None]


def squares(openers: Openers, side: int, count: int) -> list[tuple[str, Image.Image]]:
    """`count` pictures as their middle squares at side x side px, none of them enlarged; the same again if too few.

    Empty where no picture is large enough.
    """
    found: list[tuple[str, Image.Image]] = []
    for name in in_turns(list(openers)):
        if len(found) == count:
            break
        picture = openers[name]()
        if min(picture.size) >= side:
            found.append((name, resize_crop(picture, side)))
    return list(itertools.islice(itertools.cycle(found), count)) if found else []


def draw_hole(kind: str, side: int, number: int) -> np.ndarray:
    """A mask [side, side] bool of one of HOLES, at most MAX_AREA of it True; which one, the number decides."""
    generator = np.random.default_rng([side, list(HOLES).index(kind), number])
    while True:
        mask = draw_kind(HOLES[kind], generator, side, side)
        if 0 < mask.mean() <= MAX_AREA:
            return mask


def cut(picture: Image.Image, around: tuple[int, int] | None = None) -> Image.Image:
    """A cell of a contact sheet, at full size: around (x, y), or the middle."""
    x, y = around or (picture.width // 2, picture.height // 2)
    left, top = (max(min(at - CELL // 2, side - CELL), 0) for at, side in zip((x, y), picture.size))
    return picture.crop((left, top, min(left + CELL, picture.width), min(top + CELL, picture.height)))


def contact_sheet(sections: Mapping[str, list[Row]]) -> Image.Image:
    """Sections below one another, each with a line of its columns' names. At least one section; none is empty."""
    widest = max(len(row) for rows in sections.values() for row in rows)
    height = sum(TITLE + CELL * len(rows) for rows in sections.values())
    sheet = Image.new("RGB", (widest * CELL, height), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for section, rows in sections.items():
        for i, name in enumerate(rows[0]):
            draw.text((i * CELL + 6, top + 6), f"{section}: {name}" if i == 0 else name, fill="black")
        top += TITLE
        for row in rows:
            for i, picture in enumerate(row.values()):
                sheet.paste(picture, (i * CELL, top))
            top += CELL
    return sheet
