"""Tratteggio: a fill drawn in fine upright strokes, which from afar are its colours and from near say what it is.

After Brandi 1963, "Teoria del restauro": what is added shall be told from what is original, without disturbing the
whole. Light and dark strokes take turns about the colour of the fill that they stand for.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from studio.compositing import to_levels, to_light
from studio.config import Config, setting
from studio.layers import Layer
from studio.raster.opening import Picture

MIN_PITCH, MAX_PITCH = 2, 64  # px
_PITCH_MM = 0.8  # as wide as two strokes of a fine brush
_PITCH_SHARE = 1 / 500  # of the longest side, where the picture does not say how large it is
_LENGTH = 8  # of a stroke, in pitches
_STEP = 0.618  # of its length, by which each stroke begins elsewhere than the one beside it
_LEAST = 0.02  # of light; strokes differ by no less, not in black and white either


@dataclass(frozen=True)
class TratteggioSettings(Config):
    """How strokes are drawn."""

    pitch: int | None = setting(
        None, "from one light stroke to the next; auto: 0.8 mm", low=MIN_PITCH, high=MAX_PITCH, unit="px"
    )
    contrast: float = setting(0.35, "how much strokes differ in light", low=0.05, high=1)


def drawn_in_strokes(layer: Layer, original: Picture, settings: TratteggioSettings = TratteggioSettings()) -> Layer:
    """The layer in strokes: of the same place and alpha, and, over any few strokes, of the same light."""
    pitch = settings.pitch or _pitch(original)
    y, x = np.nonzero(layer.pixels[..., -1])
    light = to_light(layer.pixels[y, x, :-1])
    stroke = (x + layer.left) // max(pitch // 2, 1)
    length = _LENGTH * pitch
    part = (y + layer.top + (stroke * _STEP % 1 * length).astype(np.int64)) // length
    _, cell = np.unique(np.stack([stroke, part]), axis=1, return_inverse=True)
    cell = cell.ravel()
    counts = np.bincount(cell)
    means = np.stack([np.bincount(cell, weights=plane) / counts for plane in light.T], axis=-1)
    means = means.clip(_LEAST, 1 - _LEAST)
    apart = np.maximum(settings.contrast * np.minimum(means, 1 - means), _LEAST)
    sign = np.where(stroke % 2 == 0, 1.0, -1.0)[:, None]
    pixels = layer.pixels.copy()
    pixels[y, x, :-1] = to_levels(means[cell] + sign * apart[cell], pixels.dtype)
    made = {**layer.made, "tratteggio": {**settings.to_dict(), "pitch": pitch}}
    return dataclasses.replace(layer, pixels=pixels, made=made)


def _pitch(original: Picture) -> int:
    wished = original.dpi[0] * _PITCH_MM / 25.4 if original.dpi else max(original.size) * _PITCH_SHARE
    return min(max(round(wished), 4), MAX_PITCH)
