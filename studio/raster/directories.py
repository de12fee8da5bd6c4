"""Directories of tags, of which TIFF and EXIF are made: read and written as they stand, with type, count and bytes.

Nothing is interpreted that need not be, so that what a camera wrote stays as it was (TIFF 6.0, section 2; Exif 2.32,
section 4.6).
"""

import contextlib
import struct
from dataclasses import dataclass
from typing import BinaryIO, Union

EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005  # tags whose value is the place of a directory
MAX_TAGS = 1024
MAX_BYTES = 2 << 20  # of one directory's values: many tags may point to the same ones
MAX_DEPTH = 3  # tags of the file, of the camera, of its interoperability
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes by type


@dataclass(frozen=True)
class Tag:
    kind: int  # TIFF's number for a type: 2 text, 3 short, 4 long, 5 rational ...
    count: int
    data: bytes  # in the byte order of the directory


Directory = dict[int, Union[Tag, "Directory"]]


def read_directory(stream: BinaryIO, order: str, at: int, depth: int = 1) -> Directory:
    """The tags at an offset of the stream. `order` is struct's: < or >.

    What is damaged, of an unknown type, there twice, or beyond MAX_BYTES is left out. Raises struct.error where there
    is no directory.
    """
    stream.seek(at)
    (count,) = struct.unpack(order + "H", stream.read(2))
    entries = stream.read(12 * min(count, MAX_TAGS))
    found: Directory = {}
    left_bytes = MAX_BYTES
    for start in range(0, len(entries) - 11, 12):
        number, kind, values, offset = struct.unpack_from(order + "HHII", entries, start)
        size = values * _SIZES.get(kind, MAX_BYTES + 1)
        if number in found:
            continue
        if number in (EXIF, GPS, INTEROP):
            if depth < MAX_DEPTH:
                with contextlib.suppress(struct.error):
                    found[number] = read_directory(stream, order, offset, depth + 1)
        elif size <= left_bytes:
            data = entries[start + 8 : start + 8 + size]
            if size > 4:
                stream.seek(offset)
                data = stream.read(size)
            if len(data) == size:
                found[number] = Tag(kind, values, data)
                left_bytes -= size
    return found


def pack_directory(directory: Directory, order: str, at: int) -> bytes:
    """The bytes of a directory, and of all that it points to, as they stand from an even offset of a file on."""
    head = struct.pack(order + "H", len(directory))
    after = at + 2 + 12 * len(directory) + 4
    rest = bytearray()
    for number, tag in sorted(directory.items()):
        where = after + len(rest)
        if isinstance(tag, dict):
            head += struct.pack(order + "HHII", number, 4, 1, where)
            rest += pack_directory(tag, order, where)
            continue
        head += struct.pack(order + "HHI", number, tag.kind, tag.count)
        if len(tag.data) <= 4:
            head += tag.data.ljust(4, b"\0")
        else:
            head += struct.pack(order + "I", where)
            rest += tag.data + bytes(len(tag.data) % 2)
    return head + bytes(4) + bytes(rest)
