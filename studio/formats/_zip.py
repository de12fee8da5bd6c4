"""The zip files that torch writes: stored, never compressed. Entries are views of the file, and never touch a disk.

Python's zipfile trusts sizes and follows compressed and overlapping entries. What is read here can be no larger than
the file, so a small file cannot become a large one.
"""

import struct

from studio.formats._opcodes import Refusal, shown

MAX_ENTRIES = 60_000
_END, _ENTRY, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_END_BYTES, _ENTRY_BYTES, _LOCAL_BYTES = 22, 46, 30
_ENCRYPTED = 1


def is_zip(data: memoryview) -> bool:
    return bytes(data[:4]) == _LOCAL


def entries(data: memoryview) -> dict[str, memoryview]:
    """Each entry's bytes by name. Raises Refusal for anything that torch does not write."""
    tail = max(0, len(data) - _END_BYTES - 0xFFFF)
    found = bytes(data[tail:]).rfind(_END)
    if found < 0 or tail + found + _END_BYTES > len(data):
        raise Refusal("is cut short")
    disk, first_disk, _, count, size, start = struct.unpack_from("<4x4H2L", data, tail + found)
    if disk or first_disk or count > MAX_ENTRIES or start + size > tail + found:
        raise Refusal(f"is a damaged zip, or one of more than {MAX_ENTRIES} parts")
    result: dict[str, memoryview] = {}
    spans: list[tuple[int, int]] = []
    at, end = start, start + size
    for _ in range(count):
        if at + _ENTRY_BYTES > end or bytes(data[at : at + 4]) != _ENTRY:
            raise Refusal("is a damaged zip")
        flags, method = struct.unpack_from("<2H", data, at + 8)
        packed, unpacked, name_bytes, extra, comment = struct.unpack_from("<2L3H", data, at + 20)
        (local,) = struct.unpack_from("<L", data, at + 42)
        raw = bytes(data[at + _ENTRY_BYTES : at + _ENTRY_BYTES + name_bytes])
        if method or packed != unpacked or flags & _ENCRYPTED:
            raise Refusal("is a compressed zip, which weights do not come in")
        first = _data_start(data, local, raw)
        if first + unpacked > start:
            raise Refusal("is a zip that lies about the size of its parts")
        name = raw.decode("utf-8", "replace")
        if name in result:
            raise Refusal(f"is a zip with two parts named {shown(name)}")
        result[name] = data[first : first + unpacked]
        spans.append((local, first + unpacked))
        at += _ENTRY_BYTES + name_bytes + extra + comment
    spans.sort()
    if any(end > begin for (_, end), (begin, _) in zip(spans, spans[1:])):
        raise Refusal("is a zip whose parts overlap")
    return result


def _data_start(data: memoryview, local: int, name: bytes) -> int:
    if local + _LOCAL_BYTES > len(data) or bytes(data[local : local + 4]) != _LOCAL:
        raise Refusal("is a damaged zip")
    name_bytes, extra = struct.unpack_from("<2H", data, local + 26)
    begin = local + _LOCAL_BYTES
    if bytes(data[begin : begin + name_bytes]) != name:
        raise Refusal("is a zip that names its parts in two ways")
    return begin + name_bytes + extra
