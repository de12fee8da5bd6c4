"""Where to look at a picture to fill its holes: few patches, no larger than the holes and what they need around them.

A crack that runs over the whole picture, four hundred specks, a tear: the holes are cut and put together by the
squares that they lie in, not piece by piece. A square is quartered where its quarters have less to look at.
Neighbouring patches overlap and fade into each other, within the holes alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from studio.canvas import Window, tiles
from studio.masks import depths

CELL = 384  # px; side of the squares that holes are sorted into
MIN_CELL = 48  # px; squares are not quartered to less
OVERLAP = 16  # px; so far patches reach into each other's squares
CONTEXT, MAX_CONTEXT = 48, 192  # px; what is looked at around a hole, at least and at most
CONTEXT_SHARE = 2.0  # of the hole's width
PASS_PX = 4096  # what a pass costs beside its pixels, counted in pixels


@dataclass(frozen=True)
class Patch:
    """Holes to be filled in one pass."""

    cell: Window  # the square that they lie in; cells do not overlap
    core: Window  # what is taken from the pass: the cell and a little more, where there are holes
    window: Window  # what is looked at

    @property
    def pixels(self) -> int:
        return self.window.height * self.window.width

    def weights(self) -> np.ndarray:
        """float32 [h, w] of the core: how much this patch has to say there, more than 0; 1 away from other cells."""
        down = _ramp(self.core.top, self.core.bottom, self.cell.top, self.cell.bottom)
        return down[:, None] * _ramp(self.core.left, self.core.right, self.cell.left, self.cell.right)


def plan(mask: np.ndarray) -> list[Patch]:
    """Patches that cover a mask [H, W] bool. None of its holes should be wider than MAX_CONTEXT px."""
    deep = depths(mask, MAX_CONTEXT // 2)
    cells = tiles(Window(0, mask.shape[0], 0, mask.shape[1]), CELL)
    return [patch for cell in cells for patch in _cover(deep, cell)]


def _cover(deep: np.ndarray, cell: Window) -> list[Patch]:
    patch = _patch(deep, cell)
    if patch is None:
        return []
    if min(cell.height, cell.width) < 2 * MIN_CELL:
        return [patch]
    quarters = [part for quarter in _quarters(cell) for part in _cover(deep, quarter)]
    return quarters if sum(p.pixels + PASS_PX for p in quarters) < patch.pixels + PASS_PX else [patch]


def _patch(deep: np.ndarray, cell: Window) -> Patch | None:
    if not deep[cell.top : cell.bottom, cell.left : cell.right].any():
        return None
    reach = cell.grown(OVERLAP).within(deep.shape)
    part = deep[reach.top : reach.bottom, reach.left : reach.right]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    core = Window(
        reach.top + int(rows[0]), reach.top + int(rows[-1]) + 1,
        reach.left + int(columns[0]), reach.left + int(columns[-1]) + 1,
    )
    context = min(max(round(CONTEXT_SHARE * 2 * int(part.max())), CONTEXT), MAX_CONTEXT)
    return Patch(cell, core, core.grown(context).within(deep.shape))


def _quarters(cell: Window) -> Iterator[Window]:
    return tiles(cell, math.ceil(max(cell.height, cell.width) / 2))


def _ramp(start: int, stop: int, low: int, high: int) -> np.ndarray:
    """1 inside low..high, away from its ends; from OVERLAP px within them to OVERLAP px beyond, falling towards 0."""
    places = np.arange(start, stop, dtype=np.float32) + 0.5
    inside = np.minimum(places - low, high - places)
    return np.clip((inside + OVERLAP) / (2 * OVERLAP), 0, 1)
