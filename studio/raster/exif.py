"""EXIF: what a camera or scanner said about a picture, as bytes that begin with Exif and two zeros, as in a JPEG."""

import io
import struct
from typing import BinaryIO

from PIL import ExifTags

from studio.raster.directories import EXIF, GPS, Directory, pack_directory, read_directory

MARK = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_NAMES = (
    "ImageDescription Make Model Software DateTime Artist HostComputer Copyright Rating RatingPercent "
    "XPTitle XPComment XPAuthor XPKeywords XPSubject"
)
# Of a TIFF's own tags, those that tell about the picture; the others say how its pixels lie in the file.
_ABOUT = frozenset({EXIF, GPS, *(ExifTags.Base[name] for name in _NAMES.split())})


def upright(exif: bytes) -> bytes:
    """EXIF whose orientation says upright, every other byte as it was; nothing of EXIF that is damaged."""
    body = exif.removeprefix(MARK)
    order = {b"II": "<", b"MM": ">"}.get(body[:2], "")
    if not order:
        return b""
    try:
        directory = struct.unpack_from(order + "I", body, 4)[0]
        for entry in range(struct.unpack_from(order + "H", body, directory)[0]):
            at = directory + 2 + 12 * entry
            if struct.unpack_from(order + "H", body, at)[0] == ExifTags.Base.Orientation:
                patched = bytearray(body)
                # tag, SHORT, one value, 1, padding
                struct.pack_into(order + "HHIHH", patched, at, ExifTags.Base.Orientation, 3, 1, 1, 0)
                return MARK + bytes(patched)
    except struct.error:
        return b""
    return MARK + body


def exif_of_tiff(stream: BinaryIO) -> bytes:
    """What a TIFF says about its picture, among its own tags, as EXIF; empty where that is nothing or damaged."""
    stream.seek(0)
    order, tags = _about(stream)
    return MARK + _head(order, 8) + pack_directory(tags, order, 8) if tags else b""


def tags_for_tiff(exif: bytes) -> tuple[str, Directory]:
    """The byte order of EXIF and those of its tags that a TIFF takes among its own."""
    return _about(io.BytesIO(exif.removeprefix(MARK)))


def _about(stream: BinaryIO) -> tuple[str, Directory]:
    head = stream.read(8)
    order = _ORDERS.get(head[:4])
    if order is None or len(head) < 8:
        return "<", {}
    try:
        tags = read_directory(stream, order, struct.unpack(order + "I", head[4:])[0])
    except struct.error:
        return "<", {}
    return order, {number: tag for number, tag in tags.items() if number in _ABOUT}


def _head(order: str, directory: int) -> bytes:
    mark = next(mark for mark, known in _ORDERS.items() if known == order)
    return mark + struct.pack(order + "I", directory)
