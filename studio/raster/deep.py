"""Colours of 16 bits a channel, of which Pillow decodes the upper eight.

Its decoders unpack 16-bit samples in either byte order, and keep the byte that is the upper one in that order. So a
file is decoded twice: in its own order, which gives the upper bytes, and in the other one, which gives the lower.
Every file passes through the one reader that has checked its size, whatever its compression; no second one could
understand its header in another way.
"""

import re
import sys
from collections.abc import Callable

import numpy as np
from PIL import ExifTags
from PIL.ImageFile import ImageFile

_RAW_MODE = re.compile(r"(RGB|RGBX|RGBA|RGBa|LA);16([BLN])")
_OTHER = {"B": "L", "L": "B"}
_NATIVE = "L" if sys.byteorder == "little" else "B"
_SEPARATE = 2


def deep_layout(image: ImageFile) -> tuple[str, str] | None:
    """Channels and byte order of 16-bit colours that lie side by side; None for every other kind of file.

    To be asked before decoding, which forgets it.
    """
    raw_modes = {_raw_mode(tile.args) for tile in image.tile}
    match = _RAW_MODE.fullmatch(raw_modes.pop()) if len(raw_modes) == 1 else None
    if match is None or in_planes(image):
        return None
    return match[1], _NATIVE if match[2] == "N" else match[2]


def in_planes(image: ImageFile) -> bool:
    """Whether a TIFF stores all of its red before its green."""
    return getattr(image, "tag_v2", {}).get(ExifTags.Base.PlanarConfiguration) == _SEPARATE


def decode_deep(image: ImageFile, again: Callable[[], ImageFile], layout: tuple[str, str]) -> np.ndarray:
    """The samples [H, W, C] uint16, C 2 to 4, alpha apart. `again` opens the file once more.

    Raises what Pillow's decoders raise at damaged files.
    """
    channels, order = layout
    if channels == "LA":  # always PNG's, whose upper byte comes first: four bytes a pixel, as of 8-bit RGBA
        return _decode(image, "RGBA").view(">u2").astype(np.uint16)
    stored = "RGBA" if channels == "RGBa" else channels  # Pillow divides by alpha in 8 bits
    other = again()
    if deep_layout(other) != layout or other.size != image.size:
        raise OSError("it changed while it was read")
    pixels = _decode(image, f"{stored};16{order}").astype(np.uint16)
    pixels <<= 8
    pixels |= _decode(other, f"{stored};16{_OTHER[order]}")
    if channels == "RGBa":
        return _divided(pixels)
    clear = image.info.get("transparency")
    if channels == "RGB" and isinstance(clear, tuple):
        alpha = np.where((pixels == clear).all(axis=2, keepdims=True), 0, 65535).astype(np.uint16)
        return np.concatenate([pixels, alpha], axis=2)
    return pixels


def _raw_mode(args: object) -> str:
    return str(args[0] if isinstance(args, tuple) and args else args)


def _decode(image: ImageFile, raw_mode: str) -> np.ndarray:
    """The bytes that Pillow keeps when the file's samples are as `raw_mode` says."""
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image.load()
    return np.array(image)


def _divided(pixels: np.ndarray) -> np.ndarray:
    """Colours that were multiplied by their alpha as they were before; black where nothing shows."""
    alpha = pixels[..., 3:].astype(np.uint32)
    colours = (pixels[..., :3].astype(np.uint32) * 65535 + alpha // 2) // np.maximum(alpha, 1)
    shown = np.where(alpha > 0, np.minimum(colours, 65535), 0)
    return np.concatenate([shown.astype(np.uint16), pixels[..., 3:]], axis=2)
