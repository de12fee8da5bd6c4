"""TIFF of 8 or 16 bits with what it carries: Pillow writes no 16-bit colours, and no EXIF beside compressed pixels.

Strips are compressed by Deflate after each sample's difference from the one to its left (TIFF 6.0, section 14).
"""

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from PIL.ExifTags import Base

from studio.raster.directories import Directory, Tag, pack_directory
from studio.raster.exif import tags_for_tiff

_STRIP_BYTES = 1 << 18
_LEVEL = 4  # a fifth of the time of zlib's usual 6, and as small
_ADOBE_DEFLATE = 8
_DIFFERENCES = 2
_GREY, _RGB = 1, 2
_ALPHA_APART = 2
_INCH = 2


def encode_tiff(
    pixels: np.ndarray,
    *,
    icc: bytes = b"",
    exif: bytes = b"",
    xmp: bytes = b"",
    dpi: tuple[float, float] | None = None,
    layers: Sequence[tuple[str, np.ndarray]] = (),
) -> bytes:
    """[H, W, C] uint8 or uint16, C 1 to 4, as a TIFF file. layers: further pages of such pixels, by name.

    Grey of 16 bits with alpha becomes RGBA: Pillow and others read no such grey.
    """
    order, tags = tags_for_tiff(exif)
    body = bytearray(8)  # the header, which names the place of the first directory: at the end
    first = tags | _page(body, pixels, order) | _carried(order, icc, xmp, dpi)
    pages = [first]
    for name, layer in layers:
        named = name.encode("ascii", "replace") + b"\0"
        page = _page(body, layer, order) | _carried(order, icc, b"", dpi)
        pages.append(page | {Base.PageName: Tag(2, len(named), named)})
    body += bytes(len(body) % 2)
    body[:8] = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", len(body))
    for number, page in enumerate(pages, 1):
        packed = bytearray(pack_directory(page, order, len(body)))
        if number < len(pages):
            # behind its entries a directory names the place of the next
            struct.pack_into(order + "I", packed, 2 + 12 * len(page), len(body) + len(packed))
        body += packed
    return bytes(body)


def _page(body: bytearray, pixels: np.ndarray, order: str) -> Directory:
    """Put pixels into the body, and say how they lie there."""
    if pixels.shape[2] == 2 and pixels.dtype == np.uint16:
        pixels = pixels[..., [0, 0, 0, 1]]
    height, width, channels = pixels.shape
    offsets, sizes = [], []
    rows = max(1, _STRIP_BYTES // pixels[0].nbytes)
    for top in range(0, height, rows):
        strip = _strip(pixels[top : top + rows], order)
        offsets.append(len(body))
        sizes.append(len(strip))
        body += strip
    tags: Directory = {
        Base.ImageWidth: _long(order, width),
        Base.ImageLength: _long(order, height),
        Base.BitsPerSample: _short(order, *[8 * pixels.itemsize] * channels),
        Base.Compression: _short(order, _ADOBE_DEFLATE),
        Base.PhotometricInterpretation: _short(order, _GREY if channels < 3 else _RGB),
        Base.StripOffsets: _long(order, *offsets),
        Base.SamplesPerPixel: _short(order, channels),
        Base.RowsPerStrip: _long(order, rows),
        Base.StripByteCounts: _long(order, *sizes),
        Base.PlanarConfiguration: _short(order, 1),
        Base.Predictor: _short(order, _DIFFERENCES),
    }
    if channels in (2, 4):
        tags[Base.ExtraSamples] = _short(order, _ALPHA_APART)
    return tags


def _strip(pixels: np.ndarray, order: str) -> bytes:
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]  # below zero they begin again at the top, as readers expect
    return zlib.compress(differences.astype(f"{order}u{pixels.itemsize}").tobytes(), _LEVEL)


def _carried(order: str, icc: bytes, xmp: bytes, dpi: tuple[float, float] | None) -> Directory:
    tags: Directory = {}
    if dpi:
        tags[Base.XResolution], tags[Base.YResolution] = (_rational(order, value) for value in dpi)
        tags[Base.ResolutionUnit] = _short(order, _INCH)
    if icc:
        tags[Base.InterColorProfile] = Tag(7, len(icc), icc)
    if xmp:
        tags[Base.XMLPacket] = Tag(1, len(xmp), xmp)
    return tags


def _short(order: str, *values: int) -> Tag:
    return Tag(3, len(values), struct.pack(f"{order}{len(values)}H", *values))


def _long(order: str, *values: int) -> Tag:
    return Tag(4, len(values), struct.pack(f"{order}{len(values)}I", *values))


def _rational(order: str, value: float) -> Tag:
    exact = Fraction(value).limit_denominator(10_000)
    return Tag(5, 1, struct.pack(order + "II", exact.numerator, exact.denominator))
