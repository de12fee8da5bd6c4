"""From a photo of any size to the painting of it: large strokes on a small copy first, then finer ones over them.

The network's strokes are a few pixels long, which on a photo of 24 megapixels nobody sees. So a painter begins where
they are as large as they shall be, enlarges what that gave, adds some of what only the larger photo shows, and paints
again, until the photo's own size is reached. A preview of the photo looks the same.

Every size but the first is painted in tiles. What depends on the whole picture (`Look`) is measured before, on the
small copy and on samples of the larger ones: tiles know nothing of each other, and fit.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.canvas import Canvas, Mirrored, Scaled, Whole, Window, everything, pieces
from studio.capabilities import Folded, Statistics, Style, Styler
from studio.models.style import MULTIPLE, StyleCode, balanced, colour, colours, recolour, settling, whiten

BASE_SIDE = 640  # px; longest side of the copy on which strokes of size 1 are painted
SAME_SIZE = 1.5  # times its size: a photo not larger than this is painted at once
STEP = 3.5  # the most by which a size is larger than the one before
MOST = 2.0  # times its size: a photo is not enlarged more than this to make strokes finer
PHOTO = 0.5  # share of the larger photo's own detail in what is painted next
REPAINT = 0.35  # how much of a repainting is taken: of all of it, strokes would be drawn on strokes
CRISP = 0.5  # 0: strokes as soft as if enlarged, 1: as sharp as the network paints them
SAMPLES, SAMPLE_SIDE = 4, 128  # a side: how many samples measure a large picture, and of how many px
TILE = 1152  # px; with its surroundings a tile takes up to 450 MB
AREA = MULTIPLE  # px of a side; colours of areas at least so large stay when they are painted again
MIN_SIDE = 16  # px, of what the network takes

Turn = Callable[[], contextlib.AbstractContextManager]


@dataclass(frozen=True)
class Look:
    """What painting takes from a photo as a whole. The looks of a film's frames can be mixed."""

    mean: Tensor  # [1, 3] of the photo's colours
    root: Tensor  # [1, 3, 3]
    matrix: Tensor  # [1, 3, 3], which settles the colours of the smallest painting
    term: Tensor  # [1, 3, 1]
    painted_mean: Tensor  # of its settled colours, as `mean` and `root`
    painted_root: Tensor
    statistics: tuple[Statistics, ...]  # at each size

    def towards(self, other: "Look", share: float) -> "Look":
        """A look between this one (share 0) and that of another photo of this size (share 1)."""
        mix = lambda a, b: torch.lerp(a, b, share)
        names = ("mean", "root", "matrix", "term", "painted_mean", "painted_root")
        statistics = tuple(
            [(mix(m, n), mix(d, e)) for (m, d), (n, e) in zip(mine, theirs)]
            for mine, theirs in zip(self.statistics, other.statistics)
        )
        return Look(*(mix(getattr(self, name), getattr(other, name)) for name in names), statistics)


@dataclass(frozen=True)
class Painter:
    """Paints photos of one size in one style. `keep`: in the photo's palette. `tile`: px, bounds the memory."""

    network: Styler
    style: Style
    size: tuple[int, int]  # height, width
    stroke: float = 1.0
    keep: bool = False
    tile: int = TILE

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """At which heights and widths it paints, smallest first. The last is the photo's, or more for fine ones."""
        base = BASE_SIDE / max(self.size)
        first = (base if base * SAME_SIZE < 1 else 1.0) / math.sqrt(self.stroke)
        count = max(math.ceil(math.log(1 / first, STEP)), 0)
        scales = [first ** (1 - i / count) for i in range(count)] + [1.0] if count else [min(first, MOST)]
        return [(max(round(self.size[0] * s), 1), max(round(self.size[1] * s), 1)) for s in scales]

    @property
    def early_pixels(self) -> int:
        """How many pixels are painted before the painting can be looked at."""
        return sum(height * width for height, width in self.sizes[: -1 if len(self.sizes) > 1 else None])

    def paint(
        self, photo: Canvas, look: Look | None = None, *, turn: Turn = contextlib.nullcontext,
        each: Callable[[int], None] = lambda pixels: None,
    ) -> tuple[Canvas, Look]:
        """The painting, whose largest size is painted where it is looked at, and the look it was painted with.

        A given `look` stands for the photo's own. `turn` is entered for each part of the work, and `each` hears of
        its pixels.
        """
        sizes = self.sizes
        with turn():
            small = _everything(_even(Scaled(photo, sizes[0])))
            painted, look = self._first(small, look)
        each(sizes[0][0] * sizes[0][1])
        painting: Canvas = Whole(painted[:, :, : sizes[0][0], : sizes[0][1]])
        for index, size in enumerate(sizes[1:], 1):
            with turn():
                source = Underpainting(painting, Scaled(photo, size), self._recolour(look))
                if index == len(look.statistics):
                    look = self._measure(look, painted, source)
                # little is repainted where little is larger: the strokes' size is a slider, and must not leap
                share = REPAINT * min(math.log(max(size) / max(sizes[index - 1])) / math.log(SAME_SIZE), 1.0)
                painting = Repainted(self._fold(look, index), source, self.tile, share)
            if size != sizes[-1]:
                painting = _keep(painting, self.tile, turn, each)
        return Scaled(painting, self.size), look

    def _first(self, small: Tensor, look: Look | None) -> tuple[Tensor, Look]:
        if look is not None:
            return recolour(self._fold(look, 0)(small), look.matrix, look.term).clamp_(-1, 1), look
        mean, root = colours(small)
        painted, statistics = self.network.paint(whiten(small, mean, root), self.style.texture)
        colours_of = (mean, root) if self.keep else (self.style.mean, self.style.root)
        painted = colour(balanced(painted, statistics[-1], colours_of[1]), *colours_of)
        settled = settling(painted.clamp(-1, 1), *colours_of)
        painted = recolour(painted, *settled).clamp_(-1, 1)
        return painted, Look(mean, root, *settled, *colours(painted), (statistics,))

    def _fold(self, look: Look, index: int) -> Folded:
        """The network for one of the sizes. All but the first are painted in the colours that they have already."""
        mean, root = (look.painted_mean, look.painted_root) if index else (look.mean, look.root)
        style = self.style if index == 0 and not self.keep else StyleCode(mean, root, self.style.texture)
        return self.network.fold(style, look.statistics[index], mean, root)

    def _recolour(self, look: Look) -> Tensor:
        """[1, 3, 3] from the photo's colours to the painting's."""
        if self.keep:
            return torch.eye(3, device=look.root.device)[None]
        return self.style.root @ torch.linalg.inv(look.root)

    def _measure(self, look: Look, painted: Tensor, source: Canvas) -> Look:
        """The look with statistics for painting `source`: between its own, by samples, and the small painting's."""
        find = lambda x, together: self.network.paint(
            whiten(x, *(t.expand(len(x), *t.shape[1:]) for t in (look.painted_mean, look.painted_root))),
            self.style.texture, together=together,
        )[1]
        statistics = [
            (torch.lerp(soft_mean, mean, CRISP), soft ** (1 - CRISP) * deviation**CRISP)
            for (mean, deviation), (soft_mean, soft) in zip(find(_samples(source), True), find(painted, False))
        ]
        return dataclasses.replace(look, statistics=(*look.statistics, statistics))


class Underpainting:
    """A painting enlarged, with a share of what the photo at that size shows beyond the painting's own size."""

    def __init__(self, painting: Canvas, photo: Canvas, recolour: Tensor) -> None:
        self.size = photo.size
        self.photo, self.matrix = photo, PHOTO * recolour
        low = _everything(Scaled(photo, painting.size))
        self.rest = Scaled(Whole(_everything(painting) - self._turn(low)), self.size)

    def look(self, window: Window) -> Tensor:
        return self.rest.look(window) + self._turn(self.photo.look(window))

    def _turn(self, x: Tensor) -> Tensor:
        return torch.matmul(self.matrix, x.flatten(2)).view_as(x)


class Repainted:
    """What a network makes of another canvas, tile by tile. It draws: areas keep the colours that they have."""

    def __init__(self, network: Folded, source: Canvas, tile: int, share: float) -> None:
        self.network, self.size, self.tile, self.share = network, source.size, tile, share
        self.source = _even(source)

    def look(self, window: Window) -> Tensor:
        return pieces(self._paint, window, self.tile)

    def _paint(self, window: Window) -> Tensor:
        wide = window.grown(self.network.reach + 2 * AREA)
        down, up = (lambda n: n // AREA * AREA), (lambda n: -(-n // AREA) * AREA)
        wide = Window(down(wide.top), up(wide.bottom), down(wide.left), up(wide.right)).within(self.source.size)
        before = self.source.look(wide)
        after = self.network(before, wide.top, wide.left)
        moved = F.avg_pool2d(before - after, AREA)
        after += F.interpolate(moved, scale_factor=AREA, mode="bilinear")
        return torch.lerp(window.of(before, wide), window.of(after, wide), self.share).clamp_(-1, 1)


def _even(canvas: Canvas) -> Mirrored:
    """With sides that the network takes."""
    up = lambda n: max(-(-n // MULTIPLE) * MULTIPLE, MIN_SIDE)
    return Mirrored(canvas, (up(canvas.size[0]), up(canvas.size[1])))


def _everything(canvas: Canvas) -> Tensor:
    return canvas.look(everything(canvas))


def _keep(canvas: Canvas, tile: int, turn: Turn, each: Callable[[int], None]) -> Whole:
    """A canvas painted once and for all."""

    def look(window: Window) -> Tensor:
        with turn():
            part = canvas.look(window)
        each(window.height * window.width)
        return part

    return Whole(pieces(look, everything(canvas), tile))


def _samples(canvas: Canvas) -> Tensor:
    """Evenly spaced windows [SAMPLES^2, 3, h, w] of a canvas."""
    canvas = _even(canvas)
    height, width = (min(n, SAMPLE_SIDE) for n in canvas.size)
    starts = lambda spare: [round(i * spare / (SAMPLES - 1)) for i in range(SAMPLES)]
    return torch.cat([
        canvas.look(Window(top, top + height, left, left + width))
        for top in starts(canvas.size[0] - height) for left in starts(canvas.size[1] - width)
    ])
