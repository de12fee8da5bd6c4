"""Fills as layers over a picture that is never altered: each can be hidden, done again or removed.

Outside of its layers a treated picture equals the original, byte for byte, at the original's depth.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from studio.canvas import Window
from studio.compositing import composite, fill_weights
from studio.errors import SettingError
from studio.holes import Filled
from studio.masks import PackedMask
from studio.raster.opening import Picture
from studio.retouch import LUMA

MAX_LAYERS = 100
_ROWS = 256  # composed together, which bounds the memory


@dataclass(frozen=True, eq=False)
class Layer:
    """One fill, where it lies on the picture."""

    top: int
    left: int
    pixels: np.ndarray  # [h, w, C] of the picture's depth: its grey or RGB, then alpha, 0 where nothing was filled
    made: Mapping[str, Any]  # what made it, as JSON values
    hidden: bool = False

    @property
    def window(self) -> Window:
        return Window(self.top, self.top + self.pixels.shape[0], self.left, self.left + self.pixels.shape[1])

    @cached_property
    def sha256(self) -> str:
        """Of what it looks like and where it lies."""
        return _digest(self.pixels, self.top, self.left)

    def mask(self, size: tuple[int, int]) -> np.ndarray:
        """[H, W] bool: where it has filled a picture of that (height, width)."""
        mask = np.zeros(size, bool)
        mask[self.top : self.top + self.pixels.shape[0], self.left : self.left + self.pixels.shape[1]] = (
            self.pixels[..., -1] > 0
        )
        return mask

    def alone(self, original: Picture) -> Picture:
        """The layer as a picture of the original's size and profile, clear where nothing was filled."""
        pixels = np.zeros((*original.pixels.shape[:2], self.pixels.shape[2]), self.pixels.dtype)
        pixels[self.top : self.top + self.pixels.shape[0], self.left : self.left + self.pixels.shape[1]] = self.pixels
        return dataclasses.replace(original, pixels=pixels, exif=b"")


@dataclass(frozen=True, eq=False)
class Treatment:
    """A picture as it came, the fills over it from below upwards, and the mask in hand."""

    original: Picture
    layers: tuple[Layer, ...] = ()
    mask: PackedMask | None = None

    def with_mask(self, mask: np.ndarray | None) -> "Treatment":
        return dataclasses.replace(self, mask=None if mask is None else PackedMask.of(mask))

    def with_layer(self, layer: Layer) -> "Treatment":
        """A layer on top. Raises SettingError for more than MAX_LAYERS."""
        if len(self.layers) == MAX_LAYERS:
            raise SettingError(f"there are {MAX_LAYERS} layers already, which is the limit; remove one first")
        return dataclasses.replace(self, layers=(*self.layers, layer))

    def hide(self, number: int, hidden: bool = True) -> "Treatment":
        """Layers are counted from 0, the lowest. Raises SettingError where there is no such layer, as those below."""
        return self._changed(number, lambda layer: (dataclasses.replace(layer, hidden=hidden),))

    def remove(self, number: int) -> "Treatment":
        return self._changed(number, lambda layer: ())

    def redone(self, number: int, layer: Layer) -> "Treatment":
        """Another layer in the place of one."""
        return self._changed(number, lambda old: (layer,))

    def _changed(self, number: int, change: Callable[[Layer], tuple[Layer, ...]]) -> "Treatment":
        layer = self.layer(number)
        layers = (*self.layers[:number], *change(layer), *self.layers[number + 1 :])
        return dataclasses.replace(self, layers=layers)

    def layer(self, number: int) -> Layer:
        if not 0 <= number < len(self.layers):
            raise SettingError(f"there is no layer {number}; there are {len(self.layers)}, counted from 0")
        return self.layers[number]

    def below(self, number: int) -> Picture:
        """What a layer lies on: the picture with the visible layers under it."""
        self.layer(number)
        return dataclasses.replace(self, layers=self.layers[:number]).flatten()

    def flatten(self, drawn: Callable[[Layer], Layer] = lambda layer: layer) -> Picture:
        """The picture with its visible layers, of the original's format, depth, profile, EXIF and transparency.

        drawn: how a layer is shown, if not as it is; what it gives must have the layer's place and alpha.
        """
        visible = [drawn(layer) for layer in self.layers if not layer.hidden]
        if not visible:
            return self.original
        pixels = self.original.pixels.copy()
        for layer in visible:
            _lay(layer, pixels)
        return dataclasses.replace(self.original, pixels=pixels)

    def filled(self) -> np.ndarray:
        """[H, W] bool: where visible layers lie."""
        size = self.original.pixels.shape[:2]
        mask = np.zeros(size, bool)
        for layer in self.layers:
            if not layer.hidden:
                mask |= layer.mask(size)
        return mask

    @cached_property
    def sha256(self) -> str:
        """Of all that a person can see of it: equal for equal states."""
        mask = b"" if self.mask is None else self.mask.unpack().tobytes()
        stack = [(layer.sha256, layer.hidden) for layer in self.layers]
        return hashlib.sha256(repr((pixels_sha256(self.original), stack)).encode() + mask).hexdigest()


def make_layer(
    picture: Picture, mask: np.ndarray, filled: Filled, feather: int, made: Mapping[str, Any]
) -> Layer:
    """What a mask [H, W] bool of a picture was filled with, as a layer. The mask has at least one place."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    cut = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside, dtype = mask[cut], picture.pixels.dtype
    full = np.iinfo(dtype).max
    colours = filled.colours if picture.pixels.shape[2] > 2 else filled.colours @ np.float32([LUMA]).T
    pixels = np.zeros((*inside.shape, colours.shape[1] + 1), dtype)
    pixels[inside, :-1] = np.rint((colours.clip(-1, 1) + 1) * (full / 2))
    pixels[..., -1] = np.rint(fill_weights(mask, feather)[cut] * full)
    return Layer(int(rows[0]), int(columns[0]), pixels, dict(made))


def pixels_sha256(picture: Picture) -> str:
    """Of the decoded pixels: equal for files of any format that hold the same ones."""
    return _digest(picture.pixels)


def _lay(layer: Layer, pixels: np.ndarray) -> None:
    colours = layer.pixels.shape[2] - 1
    for start in range(0, layer.pixels.shape[0], _ROWS):
        part = layer.pixels[start : start + _ROWS]
        shown = part[..., -1] > 0
        if shown.any():
            top = layer.top + start
            place = pixels[top : top + part.shape[0], layer.left : layer.left + part.shape[1]]
            place[shown, :colours] = composite(place[shown][:, :colours], part[shown][:, :-1], part[shown][:, -1])


def _digest(pixels: np.ndarray, *facts: int) -> str:
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.itemsize, facts)).encode())
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    digest.update(np.ascontiguousarray(little))
    return digest.hexdigest()
