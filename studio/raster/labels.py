"""What stands in a picture file beside its pixels, as text: read without decoding any of them."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from PIL.PngImagePlugin import PngStream

from studio.errors import ImageError
from studio.raster.untrusted import Source, admitted, damaged

MAX_LATE_BYTES = 4 << 20  # of text after the pixels
MAX_CHUNKS = 1 << 18  # a PNG of 200 megapixels has a third as many, if they are small
_SIGNATURE_BYTES = 8


@dataclass(frozen=True)
class Labels:
    """What is written beside the pixels: text chunks by name (PNG alone has them), and an XMP packet."""

    text: Mapping[str, str] = field(default_factory=dict)
    xmp: bytes = b""


def read_labels(source: Source) -> Labels:
    """The text chunks and XMP packet of a picture file. Raises ImageError as `open_picture`, or for too much text."""
    with admitted(source) as file:
        info = dict(file.image.info)
        if file.image.format == "PNG":
            info = {**_after_pixels(file.stream, file.name), **info}
    text = {k: str(v) for k, v in info.items() if isinstance(k, str) and isinstance(v, str)}
    xmp = info.get("xmp")
    if isinstance(xmp, tuple) and all(type(v) is int and 0 <= v < 256 for v in xmp):
        xmp = bytes(xmp)  # some writers of TIFF store it as a list of numbers
    return Labels(text, xmp if isinstance(xmp, bytes) else b"")


def _after_pixels(stream: BinaryIO, name: str) -> dict[str, object]:
    """The texts behind a PNG's pixels, where other programs may put them; Pillow would decode to get there.

    A file that ends early has no more of them.
    """
    png, passed, late_bytes = PngStream(stream), False, 0
    stream.seek(_SIGNATURE_BYTES)
    for _ in range(MAX_CHUNKS):
        head = stream.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return png.im_info
        length, kind, start = *struct.unpack(">I4s", head), stream.tell()
        passed |= kind == b"IDAT"
        if passed and kind in (b"tEXt", b"zTXt", b"iTXt"):
            late_bytes += length
            if late_bytes > MAX_LATE_BYTES:
                limit = f"{MAX_LATE_BYTES >> 20} MiB of text behind its pixels"
                raise ImageError(f"{name} has over {limit}; save it without")
            try:
                png.call(kind, start, length)
            except OSError:
                return png.im_info  # it ends within this text
            except Exception as error:  # one that unfolds to more than Pillow allows
                raise damaged(name, error) from error
        stream.seek(start + length + 4)
    raise ImageError(f"{name} is in more than {MAX_CHUNKS} pieces; save it anew")
