"""How a picture of any shape becomes the square that a network learns: cut, with a border, or squeezed."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from studio.images import resize_crop
from studio.registry import Registry

SOFTNESS = 1 / 24  # radius of the border's blur, of the square's side

FITS: Registry[Callable[[Image.Image, int], Image.Image]] = Registry("fit")


@FITS.register("crop")
def crop(picture: Image.Image, side: int) -> Image.Image:
    """The middle square at side x side px; what is beside it is left out."""
    return resize_crop(picture, side)


@FITS.register("pad")
def pad(picture: Image.Image, side: int) -> Image.Image:
    """The whole picture in the middle of side x side px, its missing sides filled out of itself.

    The border begins as the picture's mirror image, blurred, and fades to the mean colour of the edge it is at. Paper
    stays paper; and where a photo ends there is no line, which a network would learn as the frame of every picture.
    """
    scale = side / max(picture.size)
    width, height = (max(1, round(n * scale)) for n in picture.size)
    inner = picture.resize((width, height), Image.Resampling.LANCZOS)
    if (width, height) == (side, side):
        return inner
    left, top = (side - width) // 2, (side - height) // 2
    pixels = np.asarray(inner).reshape(height, width, -1)
    around = ((top, side - height - top), (left, side - width - left), (0, 0))
    mirrored = np.pad(pixels, around, mode="symmetric")
    blurred = Image.fromarray(mirrored.squeeze()).filter(ImageFilter.GaussianBlur(max(1.0, SOFTNESS * side)))
    filled = np.asarray(blurred).reshape(side, side, -1).astype(np.float32)
    for axis, (before, after) in enumerate(around[:2]):
        ends = pixels.mean(axis=1 - axis, dtype=np.float32)[[0, -1]]
        _fade(np.moveaxis(filled, axis, 0)[:before][::-1], ends[0])
        _fade(np.moveaxis(filled, axis, 0)[side - after :], ends[1])
    whole = Image.fromarray(filled.round().astype(np.uint8).squeeze())
    whole.paste(inner, (left, top))
    return whole


@FITS.register("squeeze")
def squeeze(picture: Image.Image, side: int) -> Image.Image:
    """The whole picture at side x side px, its longer side shortened: shapes change, and nothing is left out."""
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _fade(border: np.ndarray, colour: np.ndarray) -> None:
    """Let a border [n, length, C], the row at the picture first, go over into one colour, in place."""
    share = np.linspace(0, 1, len(border) + 1, dtype=np.float32)[1:, None, None]
    border[:] = border + share * (colour - border)
