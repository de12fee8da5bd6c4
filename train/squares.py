"""Squares of pictures of any shape, for recipes that learn from crops: all of a wide photo takes part in it."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import DataError, ImageError
from studio.raster.listing import SUFFIXES
from studio.raster.opening import open_picture
from studio.sources import Source, open_source
from train.data import MEMORY_BYTES, Pictures, Skipped, is_held_out

REDUCTION = 4  # crops are shown at a quarter of their size at most
MAX_SQUARES = 4  # of one picture: a panorama must not outweigh the others


def open_squares(
    path: Path, side: int, *, part: str = "all", holdout: float = 0.0, memory_bytes: int = MEMORY_BYTES
) -> Pictures:
    """Every picture of a folder or zip at a shorter side of `side` px, as evenly spaced squares that overlap least.

    part and holdout as in `train.data.open_pictures`: all squares of a picture are on one side. Squares beyond
    `memory_bytes` are left out evenly. Raises DataError if there is nothing to learn from.
    """
    source = open_source(path)
    wanted = [name for name in source.names if part == "all" or is_held_out(name, holdout) == (part == "held-out")]
    room = max(memory_bytes // (3 * side * side), 1)
    wanted = wanted[:: math.ceil(len(wanted) / room)] if wanted else []
    most = min(max(room // max(len(wanted), 1), 1), MAX_SQUARES)

    def attempt(name: str) -> list[Tensor] | Skipped:
        try:
            return squares_of(source, name, side, most)
        except ImageError as error:
            return Skipped(name, str(error))

    names: list[str] = []
    squares: list[Tensor] = []
    skipped: list[Skipped] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for name, outcome in zip(wanted, pool.map(attempt, wanted)):
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
                continue
            names += [name] * len(outcome)
            squares += outcome
    if not squares:
        first = skipped[0] if skipped else None
        why = f"; the first of {len(skipped)} that were skipped: {first.name}: {first.reason}" if first else ""
        kept = "" if part == "all" else f" in the {part} part at a holdout of {holdout:g}"
        kinds = ", ".join(sorted(SUFFIXES))
        raise DataError(f"{path} holds no readable pictures{kept} ({kinds}); put some there{why}")
    labels = torch.zeros(len(names), dtype=torch.long)
    return Pictures(source, names, side, 3, labels, [], skipped, torch.stack(squares))


def squares_of(source: Source, name: str, side: int, most: int) -> list[Tensor]:
    """At most `most` squares uint8 [3, side, side] of one picture, evenly spaced. Raises ImageError."""
    picture = open_picture(source.read(name)).rgb()
    scale = side / min(picture.size)
    width, height = (max(round(n * scale), side) for n in picture.size)
    array = torch.from_numpy(np.asarray(picture.resize((width, height), reducing_gap=2.0)).copy()).permute(2, 0, 1)
    spare = max(width, height) - side
    count = min(math.ceil(max(width, height) / side), most)
    starts = [spare // 2] if count == 1 else [round(i * spare / (count - 1)) for i in range(count)]
    along = 2 if width > height else 1
    return [array.narrow(along, at, side).contiguous() for at in starts]


def random_crops(
    squares: Tensor, side: int, smallest: float, each: int = 1, *, reduction: float = REDUCTION,
    kernel: str = "bilinear",
) -> Tensor:
    """`each` crops of each of squares [N, 3, S, S] in [-1, 1], mirrored or not -> [N * each, 3, side, side].

    They are of `smallest` px to `reduction` times as many, or S, a side. kernel: of the resizing; "bicubic" leaves
    them as sharp as most programs do.

    Sizes are drawn so that each doubling is as likely; torch's random generator draws them.
    """
    size = squares.shape[2]
    most = min(reduction * smallest, size)
    crops = []
    for i in range(len(squares) * each):
        square = squares[i // each]
        share, x, y, flip = torch.rand(4).tolist()
        n = round(smallest * (most / smallest) ** share)
        left, top = round(x * (size - n)), round(y * (size - n))
        crop = square[None, :, top : top + n, left : left + n]
        if n != side:
            crop = F.interpolate(crop, size=(side, side), mode=kernel, antialias=True).clamp(-1, 1)
        crops.append(crop.flip(3) if flip < 0.5 else crop)
    return torch.cat(crops)
