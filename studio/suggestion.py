"""Where a picture may be damaged, and how: what a network proposes and a person decides on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studio.canvas import Canvas, Window, tiles
from studio.capabilities import DamageDetector
from studio.config import Config, setting
from studio.errors import UnknownName
from studio.masks import MAX_GROWTH, components, grown

TILE, REACH = 512, 64  # px; of what is proposed together, and of what is looked at around it
GRID = 32  # px; windows begin at multiples of this, as the coarse layers of a network do
RIM = 1  # px; what is proposed is grown so much, for the edge of a crack is damaged too
JOINS, NEAR = 0.7, 4  # what is so sure, as a share of what it must be, joins what is so near and sure: px
MIN_AREA = 3  # px; smaller specks are grain


@dataclass(frozen=True)
class SuggestSettings(Config):
    """What is taken of what a network proposes."""

    threshold: float = setting(0.5, "how sure it must be of damage", low=0.01, high=0.99)
    classes: tuple[str, ...] = setting((), "kinds of damage: crack, loss, stain, fold; none: all of them")
    rim: int = setting(RIM, "how far beyond what is damaged", low=0, high=MAX_GROWTH, unit="px")


@dataclass(frozen=True)
class Found:
    """One kind of damage in a picture."""

    name: str
    regions: int
    area_px: int
    confidence: float  # from 0 to 1, mean over what is sure enough by itself


@dataclass(frozen=True, eq=False)
class Suggestion:
    classes: tuple[str, ...]
    levels: np.ndarray  # [K, H, W] uint8: how likely each kind of damage is, 255 for certain

    def mask(self, settings: SuggestSettings = SuggestSettings()) -> np.ndarray:
        """[H, W] bool: where at least one of the classes is as likely as the settings ask for, and a rim.

        Raises UnknownName for a class, listing the known ones.
        """
        mask = np.zeros(self.levels.shape[1:], bool)
        for name in settings.classes or self.classes:
            mask |= self.where(name, settings.threshold)
        for part in components(mask):
            if part.area_px < MIN_AREA:
                mask[part.top : part.top + part.height, part.left : part.left + part.width] = False
        return grown(mask, settings.rim) if mask.any() else mask

    def where(self, name: str, threshold: float) -> np.ndarray:
        """[H, W] bool: where one class is as likely as `threshold`, and right beside that where it nearly is.

        Two thresholds, as edges are found with (Canny 1986, "A Computational Approach to Edge Detection"): a crack is
        not to be left in pieces. Raises UnknownName.
        """
        plane = self._plane(name)
        sure = plane >= _level(threshold)
        return sure | grown(sure, NEAR) & (plane >= _level(threshold * JOINS)) if sure.any() else sure

    def found(self, threshold: float = 0.5) -> tuple[Found, ...]:
        """What there is of each class that there is some of."""
        kinds = []
        for name, plane in zip(self.classes, self.levels):
            inside = self.where(name, threshold)
            regions = [part for part in components(inside) if part.area_px >= MIN_AREA]
            if regions:
                confidence = float(plane[plane >= _level(threshold)].mean()) / 255
                kinds.append(Found(name, len(regions), sum(part.area_px for part in regions), confidence))
        return tuple(kinds)

    def _plane(self, name: str) -> np.ndarray:
        if name not in self.classes:
            raise UnknownName(f"no kind of damage named {name!r}; known: {', '.join(self.classes)}")
        return self.levels[self.classes.index(name)]


def detect(canvas: Canvas, detector: DamageDetector, each: Callable[[int], None] = lambda pixels: None) -> Suggestion:
    """Look for damage, tile by tile. `each` hears of how many pixels each one was; what it raises stops the work."""
    height, width = canvas.size
    levels = np.empty((len(detector.classes), height, width), np.uint8)
    for tile in tiles(Window(0, height, 0, width), TILE):
        wide = tile.grown(REACH).within(canvas.size)
        wide = Window(wide.top // GRID * GRID, wide.bottom, wide.left // GRID * GRID, wide.right)
        likely = tile.of(detector.detect(canvas.look(wide)), wide)[0]
        part = likely.clamp(0, 1).mul(255).round().byte().cpu().numpy()
        levels[:, tile.top : tile.bottom, tile.left : tile.right] = part
        each(tile.height * tile.width)
    return Suggestion(tuple(detector.classes), levels)


def _level(threshold: float) -> int:
    return max(round(threshold * 255), 1)
