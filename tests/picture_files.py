"""Picture files made by hand or by Pillow, as strangers might make them."""

import functools
import io
import struct
import zlib

import numpy as np
from PIL import ExifTags, Image, ImageCms

from studio.images import to_tensor, to_uint8

ORIENTATION = ExifTags.Base.Orientation


def as_file(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def grey16(*values: int) -> Image.Image:
    return Image.fromarray(np.array([values], dtype=np.uint16))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, data: bytes = b"", extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(data)) if data else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + rows + chunk(b"IEND", b"")


@functools.cache  # a profile holds the second it was made in
def swapped_profile() -> bytes:
    """sRGB's profile with the red and blue primaries exchanged, and another name."""
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in range(struct.unpack_from(">I", icc, 128)[0]):
        at = 132 + 12 * tag
        name = bytes(icc[at : at + 4])
        icc[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    return bytes(icc).replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


def profile(kind: bytes, colours: bytes, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.4, under the white that all profiles have in common."""
    d50 = (0xF6D6, 0x10000, 0xD32D)
    tags = {b"wtpt": struct.pack(">4sI3I", b"XYZ ", 0, *d50), **tags}
    body, directory, at = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        directory += struct.pack(">4sII", name, at + len(body), len(data))
        body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02400000, kind, colours, space)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3I", *d50)
    return head.ljust(128, b"\0") + directory + body


def linear_grey_profile() -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": struct.pack(">4sIIH", b"curv", 0, 1, 0x0100)})


def red_cyan_profile() -> bytes:
    """A CMYK profile in which cyan ink is sRGB's red on white paper, and the other inks do not show."""
    white, red = (0xFF00, 0x8000, 0x8000), (0x8B00, 0xD0D0, 0xC5F0)  # Lab, 16 bits; red is 54.3, 80.8, 69.9
    corners = [red if node & 8 else white for node in range(16)]  # the first ink varies slowest
    numbers = [v for corner in corners for v in corner]
    unit = [0x10000 if i % 4 == 0 else 0 for i in range(9)]
    table = struct.pack(">4sIBBBB9i2H", b"mft2", 0, 4, 3, 2, 0, *unit, 2, 2)
    table += struct.pack(">8H", *[0, 65535] * 4) + struct.pack(">48H", *numbers) + struct.pack(">6H", *[0, 65535] * 3)
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def levels(picture: object, channels: int = 3) -> list[list[int]]:
    """The first row of a picture, one list of 0..255 a pixel."""
    return to_uint8(to_tensor(picture, channels))[0, :, 0].T.tolist()


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
