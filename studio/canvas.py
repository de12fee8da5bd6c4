"""Pictures of any size, looked at through windows: what is computed from a picture is computed where it is looked at.

A canvas has a size and gives any window of itself as a tensor [1, 3, h, w] in [-1, 1]. Canvases stand on one another:
a scaled canvas looks at another one through the window that it needs. Every pixel is the same through whichever
window it is seen, so that pieces fit without a seam, and the memory is that of the windows.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

BLOCK = 128  # px of a smaller copy that are computed together: of more, most of the weights would be 0
SUPPORT = 2.0  # of the cubic filter, in pixels of the smaller of both sizes


@dataclass(frozen=True)
class Window:
    """Rows top..bottom and columns left..right; the ends are not in it. It may reach over the canvas' edges."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def grown(self, by: int) -> "Window":
        return Window(self.top - by, self.bottom + by, self.left - by, self.right + by)

    def within(self, size: tuple[int, int]) -> "Window":
        """The part of it that lies on a canvas of this (height, width)."""
        return Window(max(self.top, 0), min(self.bottom, size[0]), max(self.left, 0), min(self.right, size[1]))

    def of(self, array: Tensor, origin: "Window") -> Tensor:
        """This window of what was seen through the larger window `origin`. array [..., h, w]."""
        top, left = self.top - origin.top, self.left - origin.left
        return array[..., top : top + self.height, left : left + self.width]


class Canvas(Protocol):
    size: tuple[int, int]  # height, width

    def look(self, window: Window) -> Tensor:
        """[1, 3, h, w] in [-1, 1], or slightly outside. The window lies on the canvas."""
        ...


def everything(canvas: Canvas) -> Window:
    return Window(0, canvas.size[0], 0, canvas.size[1])


def tiles(window: Window, side: int) -> Iterator[Window]:
    """Windows of about equal size, at most `side` px wide and high, that cover a window once."""
    rows, columns = _cuts(window.top, window.bottom, side), _cuts(window.left, window.right, side)
    for top, bottom in zip(rows, rows[1:]):
        for left, right in zip(columns, columns[1:]):
            yield Window(top, bottom, left, right)


def _cuts(start: int, stop: int, side: int) -> list[int]:
    count = math.ceil((stop - start) / side)
    return [start + round(i * (stop - start) / count) for i in range(count + 1)]


def pieces(look: Callable[[Window], Tensor], window: Window, side: int) -> Tensor:
    """What `look` gives for a window, put together from tiles of at most `side` px."""
    result: Tensor | None = None
    for tile in tiles(window, side):
        part = look(tile)
        if tile == window:
            return part
        if result is None:
            result = part.new_empty(*part.shape[:2], window.height, window.width)
        tile.of(result, window).copy_(part)
    return result


def render(look: Callable[[Window], Tensor], size: tuple[int, int], dtype: np.dtype, side: int = 1024) -> np.ndarray:
    """What `look` gives of a canvas of (height, width), tile by tile, as [H, W, C] uint8 or uint16."""
    result: np.ndarray | None = None
    for tile in tiles(Window(0, size[0], 0, size[1]), side):
        part = levels(look(tile), dtype)
        if result is None:
            result = np.empty((*size, part.shape[2]), dtype)
        result[tile.top : tile.bottom, tile.left : tile.right] = part
    return result


class Pixels:
    """An array [H, W, C] of uint8 or uint16 as a canvas: grey thrice, over `paper` [3] where it is clear."""

    def __init__(self, array: np.ndarray, device: torch.device, paper: Tensor | None = None) -> None:
        self.array, self.device, self.paper = array, device, paper
        self.size = array.shape[:2]

    def look(self, window: Window) -> Tensor:
        part = self.array[window.top : window.bottom, window.left : window.right]
        x = floats(part if part.shape[2] > 2 else part[..., :1], self.device)[:, :3]
        x = x if x.shape[1] == 3 else x.expand(1, 3, -1, -1)
        if self.paper is not None and self.array.shape[2] in (2, 4):
            x = torch.lerp(self.paper.view(1, 3, 1, 1), x, (floats(part[..., -1:], self.device) + 1) / 2)
        return x


class Whole:
    """A tensor [1, 3, H, W] as a canvas."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.size = x.shape[2], x.shape[3]

    def look(self, window: Window) -> Tensor:
        return self.x[:, :, window.top : window.bottom, window.left : window.right]


class Scaled:
    """Another canvas at another size: cubic, antialiased where it shrinks."""

    def __init__(self, source: Canvas, size: tuple[int, int]) -> None:
        self.source, self.size = source, size

    def look(self, window: Window) -> Tensor:
        if self.size == self.source.size:
            return self.source.look(window)
        shrunk = self.size < self.source.size
        if shrunk and max(window.height, window.width) > BLOCK:
            return pieces(self._filter, window, BLOCK)
        return self._filter(window)

    def _filter(self, window: Window) -> Tensor:
        top, rows = filter_matrix(self.source.size[0], self.size[0], window.top, window.bottom)
        left, columns = filter_matrix(self.source.size[1], self.size[1], window.left, window.right)
        x = self.source.look(Window(top, top + rows.shape[1], left, left + columns.shape[1]))
        return rows.to(x.device) @ (x @ columns.to(x.device).t())


class Mirrored:
    """Another canvas with its mirror image beyond its lower and right edges, up to `size`."""

    def __init__(self, source: Canvas, size: tuple[int, int]) -> None:
        self.source, self.size = source, size

    def look(self, window: Window) -> Tensor:
        if window == window.within(self.source.size):
            return self.source.look(window)
        rows = _mirror(window.top, window.bottom, self.source.size[0])
        columns = _mirror(window.left, window.right, self.source.size[1])
        inside = Window(int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1)
        x = self.source.look(inside)
        return x[:, :, (rows - inside.top).to(x.device)][..., (columns - inside.left).to(x.device)]


def _mirror(start: int, stop: int, length: int) -> Tensor:
    """Places start..stop on a line of `length` that is mirrored at its ends again and again, not doubling them."""
    period = max(2 * (length - 1), 1)
    places = torch.arange(start, stop) % period
    return torch.minimum(places, period - places).clamp_(max=length - 1)


@lru_cache(maxsize=64)
def filter_matrix(inside: int, out: int, start: int, stop: int) -> tuple[int, Tensor]:
    """Places start..stop of `out`, each as a weighted sum of `inside` places.

    Returns the first place that counts, and the weights [places, counted] from there on; those of a row sum to 1.
    Cubic with a = -1/2 (Keys 1981); where out < inside it is as much wider.
    """
    with torch.inference_mode(False):  # it is remembered, also for those who take gradients
        return _filter_matrix(inside, out, start, stop)


def _filter_matrix(inside: int, out: int, start: int, stop: int) -> tuple[int, Tensor]:
    scale = inside / out
    wide = max(scale, 1.0)
    centres = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * scale - 0.5
    first = max(math.floor(float(centres[0]) - SUPPORT * wide) + 1, 0)
    last = min(math.ceil(float(centres[-1]) + SUPPORT * wide), inside)
    x = ((torch.arange(first, last) - centres[:, None]) / wide).abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    return first, (weights / weights.sum(dim=1, keepdim=True)).float()


def floats(array: np.ndarray, device: torch.device) -> Tensor:
    """[H, W, C] uint8 or uint16 -> [1, C, H, W] in [-1, 1]."""
    # torch knows few operations on 16 bits, and warns of arrays that are only to be read
    half = np.iinfo(array.dtype).max / 2
    own = array.astype(np.int32) if array.dtype == np.uint16 else array if array.flags.writeable else array.copy()
    return torch.from_numpy(np.ascontiguousarray(own)).to(device).permute(2, 0, 1)[None].float().div_(half).sub_(1)


def levels(x: Tensor, dtype: np.dtype) -> np.ndarray:
    """[1, C, H, W] in [-1, 1] -> [H, W, C] uint8 or uint16, to the nearest level; `floats` comes back exactly."""
    top = np.iinfo(dtype).max
    x = x[0].mul(top / 2).add_(top / 2 + 0.5).clamp_(0, top)
    whole_numbers = x.byte() if top == 255 else x.int()
    return whole_numbers.permute(1, 2, 0).contiguous().cpu().numpy().astype(dtype, copy=False)
