"""Everything that the style tab's controls ask for, for pictures of one size: paint, then give back what shall stay.

A film's frames are such pictures too: `Styling.paint` takes looks that were measured on other frames.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.canvas import Canvas, Window
from studio.config import Config, setting
from studio.errors import SettingError
from studio.painting import Look, Painter, Turn
from studio.retouch import Regions, detail_reach, give_back_detail, keep_hue

MAX_STYLES = 4
MAX_SIZE = 30_000  # px


@dataclass(frozen=True)
class StyleSettings(Config):
    """What the style tab's controls say."""

    strength: float = setting(1.0, "how far from the photo to the painting", low=0, high=1)
    weights: tuple[float, ...] = setting((), "how much of each style; none: as much of each", low=0, high=1)
    keep_colour: str = setting(
        "no", "no, luminance (the photo's hues stay) or histogram (its palette stays)",
        choices=["no", "luminance", "histogram"],
    )
    stroke: float = setting(1.0, "size of the strokes", low=0.25, high=4)
    detail: float = setting(0.0, "how much of the photo's fine detail is given back", low=0, high=1)
    size: int | None = setting(
        None, "longest side of the result; auto: as the photo", low=1, high=MAX_SIZE, unit="px"
    )

    def check(self) -> None:
        if len(self.weights) > MAX_STYLES:
            found = f"weights has {len(self.weights)} values"
            raise SettingError(f"{found}; give one for each of up to {MAX_STYLES} styles")
        if self.weights and not any(self.weights):
            raise SettingError("weights are all 0; raise the weight of one style")


@dataclass(frozen=True)
class Styling:
    """One painter for a whole picture, or one for each of the regions."""

    painters: tuple[Painter, ...]
    settings: StyleSettings
    regions: Regions | None = None

    @property
    def early_pixels(self) -> int:
        """How many pixels `paint` paints; the rest are painted when the result is looked at."""
        return sum(painter.early_pixels for painter in self.painters)

    def paint(
        self, photo: Canvas, looks: Sequence[Look] | None = None, *, below: Canvas | None = None,
        turn: Turn = contextlib.nullcontext, each: Callable[[int], None] = lambda pixels: None,
    ) -> tuple["Styled", tuple[Look, ...]]:
        """The result, to be looked at, and the painters' looks; `looks` are used where they are given.

        `below` is what shows where nothing is painted, if it is not `photo`. `turn` and `each` as in `Painter.paint`.
        """
        given = looks or [None] * len(self.painters)
        painted = [p.paint(photo, look, turn=turn, each=each) for p, look in zip(self.painters, given)]
        paintings = tuple(canvas for canvas, _ in painted)
        return Styled(below or photo, paintings, self.settings, self.regions), tuple(look for _, look in painted)


@dataclass(frozen=True)
class Styled:
    """Paintings of a photo [1, 3, H, W] put together, as a canvas."""

    photo: Canvas
    paintings: tuple[Canvas, ...]
    settings: StyleSettings
    regions: Regions | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.photo.size

    def look(self, window: Window) -> Tensor:
        photo = self.photo.look(window)
        alpha, shares = torch.full([1, 1, 1, 1], self.settings.strength), torch.ones(1, 1, 1, 1, 1)
        if self.regions is not None:
            inside, shares = self.regions.at(window)
            alpha = alpha * inside
        if not alpha.any():
            return photo
        painted = [
            share.to(photo.device) * self._kept(painting, window)
            for share, painting in zip(shares, self.paintings) if share.any()
        ]
        return torch.lerp(photo, sum(painted), alpha.to(photo.device))

    def _kept(self, painting: Canvas, window: Window) -> Tensor:
        """A painting with what the settings keep of the photo."""
        s = self.settings
        wide = window.grown(detail_reach(max(self.size)) if s.detail else 0).within(self.size)
        painted = painting.look(wide)
        if not s.detail and s.keep_colour != "luminance":
            return painted
        photo = self.photo.look(wide)
        if s.detail:
            painted = give_back_detail(painted, photo, s.detail, max(self.size)).clamp_(-1, 1)
        painted, photo = window.of(painted, wide), window.of(photo, wide)
        return keep_hue(painted, photo) if s.keep_colour == "luminance" else painted
