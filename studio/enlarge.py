"""Larger and cleaner pictures, of any size, at the depth and in the colours of the original.

A network has one scale, or a few. For another one, its result is brought to the size that was asked for: an x4
network makes a picture three times as large, and at the same size it cleans.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from studio.canvas import SUPPORT, Canvas, Pixels, Scaled, Window, render
from studio.capabilities import Upscaler, require
from studio.community import Networks, public_name
from studio.config import Config, setting
from studio.engine import Engine, LoadedModel
from studio.errors import SettingError, UnknownName
from studio.originals import paper_of, with_alpha_of
from studio.padding import padded
from studio.provenance import Provenance
from studio.raster.opening import Picture
from studio.raster.untrusted import MAX_PIXELS
from studio.restore import meter
from studio.retouch import luma

UPSCALE, DENOISE = "upscale", "denoise"
TILE = 256  # px of the original, of what is made larger together
REACH = 32  # px of the original, of what is looked at around it
GRID = 8  # px; windows begin at multiples of this, as networks that work at a part of the size do
MIN_SIDE = 16  # px; a network sees no less, be the picture smaller
MAX_SCALE = 8


@dataclass(frozen=True)
class UpscaleSettings(Config):
    """What is asked for of a larger picture."""

    scale: float = setting(4.0, "how many times as wide and high", low=1, high=MAX_SCALE)
    strength: float = setting(0.0, "how much noise is taken away", low=0, high=1)


@dataclass(frozen=True)
class DenoiseSettings(Config):
    """What is asked for of a cleaner picture."""

    strength: float = setting(0.15, "how much noise is taken away", low=0, high=1)


@dataclass(frozen=True)
class Enlarged:
    """A canvas as a network shows it, `network.scale` times as large."""

    canvas: Canvas
    network: Upscaler
    strength: float

    @property
    def size(self) -> tuple[int, int]:
        return self.canvas.size[0] * self.network.scale, self.canvas.size[1] * self.network.scale

    def look(self, window: Window) -> Tensor:
        scale = self.network.scale
        inside = Window(
            window.top // scale, -(-window.bottom // scale), window.left // scale, -(-window.right // scale)
        )
        wide = inside.grown(REACH).within(self.canvas.size)
        wide = Window(wide.top // GRID * GRID, wide.bottom, wide.left // GRID * GRID, wide.right)
        x = padded(self.canvas.look(wide), 1, MIN_SIDE)
        made = self.network.upscale(x, torch.full((1,), self.strength, device=x.device))
        return window.of(made, Window(wide.top * scale, wide.bottom * scale, wide.left * scale, wide.right * scale))


@dataclass(frozen=True)
class _Held:
    """A part of a canvas that is at hand: a canvas for those who look at no more."""

    part: Tensor
    window: Window
    size: tuple[int, int]

    def look(self, window: Window) -> Tensor:
        return window.of(self.part, self.window)


def resized(canvas: Canvas, size: tuple[int, int], tile: Window) -> Tensor:
    """A tile of a canvas at another (height, width). The canvas is looked at once: it is one that takes long."""
    if canvas.size == size:
        return canvas.look(tile)
    down, across = (inside / out for inside, out in zip(canvas.size, size))
    spare = [math.ceil(SUPPORT * max(ratio, 1)) + 1 for ratio in (down, across)]
    needed = Window(
        math.floor(tile.top * down) - spare[0], math.ceil(tile.bottom * down) + spare[0],
        math.floor(tile.left * across) - spare[1], math.ceil(tile.right * across) + spare[1],
    ).within(canvas.size)
    return Scaled(_Held(canvas.look(needed), needed, canvas.size), size).look(tile)


class Enlarger:
    """Enlarges and cleans with one model: a name in the engine's library, or the path of the community's file."""

    def __init__(self, engine: Engine, model: str | Path = "upscale") -> None:
        self.engine, self.model = engine, model
        self._networks = Networks(engine)

    def check(self) -> None:
        """Load the model. Raises StudioError for one that is missing, damaged or of another kind."""
        self._loaded()

    def upscale(
        self, picture: Picture, settings: UpscaleSettings = UpscaleSettings(), *,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
    ) -> Picture:
        """The larger picture, of the same format, profile, EXIF, depth and transparency. Its dpi grow with it.

        progress hears fractions from 0 to 1. Raises StudioError; Cancelled once `cancelled` says so.
        """
        size = _size(picture, settings.scale)
        made = self._make(picture, size, settings.strength, progress, cancelled)
        ratios = size[1] / picture.size[0], size[0] / picture.size[1]
        dpi = picture.dpi and (picture.dpi[0] * ratios[0], picture.dpi[1] * ratios[1])
        return dataclasses.replace(picture, pixels=made, dpi=dpi)

    def denoise(
        self, picture: Picture, settings: DenoiseSettings = DenoiseSettings(), *,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
    ) -> Picture:
        """The cleaner picture, of the same size and kind; at a strength of 0 the picture itself. As `upscale`."""
        if settings.strength == 0:
            return picture
        made = self._make(picture, picture.pixels.shape[:2], settings.strength, progress, cancelled)
        return dataclasses.replace(picture, pixels=made)

    def provenance(self, tool: str, settings: Config) -> Provenance:
        """What made a picture, to be written into its file."""
        model = self._loaded()
        return Provenance(
            tool=tool, model=public_name(model), model_sha256=model.info.sha256,
            settings={**settings.to_dict(), "licence": model.info.licence},
        )

    def _make(
        self, picture: Picture, size: tuple[int, int], strength: float, progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> np.ndarray:
        model = self._loaded()
        network = at_scale(require(model.network, Upscaler, model.name, UPSCALE), size[0] / picture.pixels.shape[0])
        each = meter(size[0] * size[1], progress, cancelled)
        canvas = Enlarged(Pixels(picture.pixels, self.engine.device, paper_of(picture)), network, strength)
        grey = picture.pixels.shape[2] < 3

        def look(tile: Window) -> Tensor:
            with self.engine.turn(model.name):
                part = resized(canvas, size, tile)
            each(tile.height * tile.width)
            return luma(part) if grey else part

        side = max(round(TILE * size[0] / picture.pixels.shape[0]), 1)
        return with_alpha_of(picture, render(look, size, picture.pixels.dtype, side))

    def _loaded(self) -> LoadedModel:
        try:
            with self._networks.use(self.model) as model:
                require(model.network, Upscaler, model.name, UPSCALE)
                return model
        except UnknownName as error:
            raise UnknownName(f"{error}; or give a network's file: --model FILE.safetensors") from error


def at_scale(network: Upscaler, wished: float) -> Upscaler:
    """Of a network of several scales, the least that is enough, or the largest; another network as it is."""
    scales = getattr(getattr(network, "config", None), "scales", ())
    if not scales:
        return network
    return network.at(min((scale for scale in scales if scale >= wished), default=max(scales)))


def _size(picture: Picture, scale: float) -> tuple[int, int]:
    """(height, width) of a picture so many times as large. Raises SettingError for too many px."""
    width, height = (max(round(side * scale), 1) for side in picture.size)
    if width * height > MAX_PIXELS:
        most = (MAX_PIXELS / (picture.size[0] * picture.size[1])) ** 0.5
        found = f"scale={scale:g} makes {width} x {height} = {width * height / 1e6:.4g} megapixels"
        raise SettingError(f"{found}, over the limit of {MAX_PIXELS / 1e6:g}; give at most {most:.2f}")
    return height, width
