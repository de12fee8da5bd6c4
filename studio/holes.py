"""Fill the holes of a picture of any size by any method, in patches; wide holes first coarsely, then finely.

In a wide hole nothing near is known. Its inside is filled at half the size, where it is half as wide, and so on; what
is left to fill at the full size is a rim, between what is known and what was found.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from studio.canvas import Canvas, Whole, Window
from studio.coarse import doubled, halved
from studio.fills import Fill
from studio.masks import as_levels, depths
from studio.patches import plan

DEEP = 48  # px from the nearest known place; what lies deeper is filled at half the size
COARSE_CONTEXT = 4 * DEEP  # px around what is deep


@dataclass(frozen=True, eq=False)
class Filled:
    """What the places of a mask were filled with."""

    places: np.ndarray  # int64 [n] of the flattened picture, ascending
    colours: np.ndarray  # float32 [n, 3], about in [-1, 1]

    def rows_of(self, window: Window, chosen: np.ndarray, width: int) -> np.ndarray:
        """Which rows are those of the places `chosen` [h, w] bool in a window of a picture of that width."""
        y, x = np.nonzero(chosen)
        return np.searchsorted(self.places, (y + window.top) * width + x + window.left)


def fill_holes(
    canvas: Canvas, mask: np.ndarray, fill: Fill, each: Callable[[int], None] = lambda settled: None
) -> Filled:
    """Fill a mask [H, W] bool that is not all True; `canvas` may show anything there.

    `each` hears after every pass how many places have been settled by it; what it raises stops the work.
    """
    places = np.flatnonzero(mask)
    filled = Filled(places, np.zeros((len(places), 3), np.float32))
    deep = depths(mask, DEEP + 1) > DEEP
    if deep.any():
        for window in _around(deep):
            part = _cut(deep, window)
            x = _fill_coarsely(canvas.look(window), _cut(mask, window), fill, each)
            filled.colours[filled.rows_of(window, part, mask.shape[1])] = _at(x, part)
            each(int(part.sum()))
        canvas = _Patched(canvas, filled, deep)
    _fill_finely(canvas, mask & ~deep, filled, fill, each)
    return filled


def fill_again(
    canvas: Canvas, mask: np.ndarray, filled: Filled, part: np.ndarray, fill: Fill,
    each: Callable[[int], None] = lambda settled: None,
) -> Filled:
    """`filled` of a mask [H, W], but in `part` of it [H, W] as `fill` makes it, which is shown what is there by now."""
    again = Filled(np.flatnonzero(part), np.zeros((int(part.sum()), 3), np.float32))
    _fill_finely(_Patched(canvas, filled, mask), part, again, fill, each)
    colours = filled.colours.copy()
    colours[np.searchsorted(filled.places, again.places)] = again.colours
    return Filled(filled.places, colours)


def _fill_coarsely(x: Tensor, mask: np.ndarray, fill: Fill, each: Callable[[int], None]) -> Tensor:
    """A window [1, 3, h, w] with its holes filled at half the size, or less."""
    half, holes = halved(x, torch.from_numpy(mask)[None, None].to(x.device))
    smaller = holes[0, 0].cpu().numpy()
    found = fill_holes(Whole(half), smaller, fill, lambda settled: each(0))
    half[0][:, holes[0, 0]] = torch.from_numpy(found.colours.T).to(half)
    return doubled(half, *mask.shape)


def _fill_finely(
    canvas: Canvas, mask: np.ndarray, filled: Filled, fill: Fill, each: Callable[[int], None]
) -> None:
    """Fill a mask patch by patch; what lies deep in wide holes sees nothing but holes."""
    weights = np.zeros(len(filled.places), np.float32)
    patches = plan(mask)
    for patch in patches:
        x = canvas.look(patch.window)
        x = fill(x, torch.from_numpy(_cut(mask, patch.window))[None, None].to(x.device))
        part = _cut(mask, patch.core)
        rows, weight = filled.rows_of(patch.core, part, mask.shape[1]), patch.weights()[part]
        filled.colours[rows] += weight[:, None] * _at(patch.core.of(x, patch.window), part)
        weights[rows] += weight
        each(int(_cut(mask, patch.cell).sum()))
    if patches:
        rows = filled.rows_of(Window(0, mask.shape[0], 0, mask.shape[1]), mask, mask.shape[1])
        filled.colours[rows] /= weights[rows, None]


@dataclass(frozen=True)
class _Patched:
    """A canvas with what was found in a part of its holes, or in all."""

    canvas: Canvas
    filled: Filled
    part: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return self.canvas.size

    def look(self, window: Window) -> Tensor:
        x, part = self.canvas.look(window), _cut(self.part, window)
        if part.any():
            x = x.clone()
            found = self.filled.colours[self.filled.rows_of(window, part, self.size[1])]
            x[0][:, torch.from_numpy(part).to(x.device)] = torch.from_numpy(found.T).to(x)
        return x


def _around(deep: np.ndarray) -> list[Window]:
    """Windows around what is deep, which do not overlap."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(as_levels(deep), connectivity=8)
    windows: list[Window] = []
    for left, top, width, height, _ in stats[1:].tolist():
        window = Window(top, top + height, left, left + width).grown(COARSE_CONTEXT).within(deep.shape)
        while others := [other for other in windows if _overlap(window, other)]:
            windows = [other for other in windows if other not in others]
            window = _union([window, *others])
        windows.append(window)
    return windows


def _overlap(a: Window, b: Window) -> bool:
    return a.top < b.bottom and b.top < a.bottom and a.left < b.right and b.left < a.right


def _union(windows: list[Window]) -> Window:
    ends = zip(*((w.top, w.bottom, w.left, w.right) for w in windows))
    top, bottom, left, right = ends
    return Window(min(top), max(bottom), min(left), max(right))


def _cut(array: np.ndarray, window: Window) -> np.ndarray:
    return array[window.top : window.bottom, window.left : window.right]


def _at(x: Tensor, chosen: np.ndarray) -> np.ndarray:
    """float32 [n, 3]: the colours of x [1, 3, h, w] where `chosen` [h, w] is True."""
    return x[0].permute(1, 2, 0)[torch.from_numpy(chosen).to(x.device)].float().cpu().numpy()
