"""A layer laid over a picture: how much of it shows where, and what light comes of both.

Levels are uint8 or uint16, as the picture has them.
"""

import cv2
import numpy as np

from studio.canvas import Window, tiles
from studio.masks import as_levels

MAX_FEATHER = 16  # px
_SIDE = 1024  # px; of what is worked on together


def fill_weights(mask: np.ndarray, feather: int) -> np.ndarray:
    """float32 [H, W]: how much of a fill shows. 0 outside of the mask [H, W] bool, more than 0 all over it.

    It fades in from the mask's edge over `feather` px, 0 to MAX_FEATHER, but never over more than a part of what is
    there: lines of up to 4 px show in full, and the middle of every line does.
    """
    weights = np.zeros(mask.shape, np.float32)
    for tile in tiles(Window(0, mask.shape[0], 0, mask.shape[1]), _SIDE):
        if mask[tile.top : tile.bottom, tile.left : tile.right].any():
            wide = tile.grown(4 * feather + 2).within(mask.shape)
            found = _weights(mask[wide.top : wide.bottom, wide.left : wide.right], feather)
            top, left = tile.top - wide.top, tile.left - wide.left
            inside = found[top : top + tile.height, left : left + tile.width]
            weights[tile.top : tile.bottom, tile.left : tile.right] = inside
    return weights


def _weights(mask: np.ndarray, feather: int) -> np.ndarray:
    most = 2 * feather + 1
    depth = np.minimum(cv2.distanceTransform(as_levels(mask), cv2.DIST_C, 3), most)
    half = depth.copy()  # of the widest square of the mask that covers the place: a crack beside a loss stays thin
    for width in range(2, most + 1):
        inside = cv2.dilate((depth >= width).astype(np.uint8), np.ones((2 * width - 1, 2 * width - 1), np.uint8))
        half[inside > 0] = width
    fade = (half - 1) // 2  # px
    return np.where(mask, np.minimum(depth / (np.maximum(fade, 0) + 1), 1), 0).astype(np.float32)


def composite(below: np.ndarray, above: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Levels [n, C] of what shows: `below` where alpha [n] of the same levels is 0, `above` where it is full.

    Between, the two are mixed as light, which is reckoned by sRGB's curve (IEC 61966-2-1): near enough to those of
    other profiles.
    """
    full = np.iinfo(below.dtype).max
    share = alpha[:, None].astype(np.float64) / full
    mixed = to_levels((1 - share) * to_light(below) + share * to_light(above), below.dtype)
    return np.where(share == 0, below, np.where(share == 1, above, mixed))


def to_light(levels: np.ndarray) -> np.ndarray:
    """How much light levels stand for, from 0 to 1."""
    value = levels / np.iinfo(levels.dtype).max
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_levels(light: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The nearest levels for light from 0 to 1."""
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)
    return np.rint(curved * np.iinfo(dtype).max).astype(dtype)
