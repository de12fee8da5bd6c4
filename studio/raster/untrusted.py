"""The door for picture files, each of which is taken for a stranger's.

Only formats whose decoders run nothing are let in, and none that is larger than allowed, which its header tells
before anything is decoded.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.ImageFile import ImageFile

from studio.errors import ImageError

MAX_PIXELS = 200_000_000
# Not here: EPS, PDF, PSD, WMF (interpreters, or other programs run), ICO and ICNS (a picture within may be larger
# than the header says), TGA (no signature: any file would be one).
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")

Source = Path | str | bytes | BinaryIO

Image.init()
# Pillow checks sizes itself when it decodes some formats, against one limit for the whole process. Set once, here, it
# agrees with ours; changing it around each call would let two threads undo each other's limit.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


@dataclass(frozen=True)
class Admitted:
    """A picture file whose header was read and whose size is allowed, not yet decoded.

    `again` reads the header once more, for a second way of decoding: Pillow's images can be decoded once. `name` is
    what messages call the file.
    """

    image: ImageFile
    stream: BinaryIO
    name: str
    again: Callable[[], ImageFile]


@contextlib.contextmanager
def admitted(source: Source, max_pixels: int = MAX_PIXELS) -> Iterator[Admitted]:
    """Let a file in. Raises ImageError for what is missing, empty, no picture, or of more than `max_pixels`."""
    with _stream(source) as (stream, name):

        def read() -> ImageFile:
            stream.seek(0)
            image = _identify(stream, name)
            if image.width * image.height > max_pixels:
                raise _too_large(name, image.size, max_pixels)
            return image

        yield Admitted(read(), stream, name, read)


def damaged(name: str, error: Exception) -> ImageError:
    """What to say when a decoder has given up; decoders meet hostile bytes with any exception there is."""
    why = str(error) or type(error).__name__
    return ImageError(f"{name} is damaged, cut short or of a rare kind ({why}); copy it again or export it as PNG")


@contextlib.contextmanager
def _stream(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    if not isinstance(source, (str, Path)):
        yield io.BytesIO(source if isinstance(source, bytes) else source.read()), "the picture"
        return
    path = Path(source)
    if path.is_dir():
        raise ImageError(f"{path} is a folder; give one picture")
    if not path.is_file():  # a pipe or device would never end
        raise ImageError(f"there is no picture {path}; check the name")
    try:
        file = open(path, "rb")
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); give yourself the right to read it") from error
    with file:
        yield file, str(path)


def _identify(stream: BinaryIO, name: str) -> ImageFile:
    """What Image.open does, for our formats alone and without its own limit, which depends on the process."""
    prefix = stream.read(16)
    if not prefix:
        raise ImageError(f"{name} is empty (0 bytes); copy or download it again")
    problem = None
    for format in READABLE:
        factory, accept = Image.OPEN.get(format, (None, None))
        try:
            if factory is not None and accept is not None and accept(prefix) is True:
                stream.seek(0)
                return factory(stream, "")
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name} is larger than {2 * MAX_PIXELS / 1e6:g} megapixels; make it smaller") from error
        except Exception as error:
            problem = error
    if problem is not None:
        raise damaged(name, problem) from problem
    raise ImageError(f"{name} is not a picture that can be read here; give one of {', '.join(READABLE)}")


def _too_large(name: str, size: tuple[int, int], max_pixels: int) -> ImageError:
    width, height = size
    mega, limit = (f"{pixels / 1e6:.4g}" for pixels in (width * height, max_pixels))
    size = f"{width} x {height} = {mega} megapixels"
    return ImageError(f"{name} has {size}, over the limit of {limit}; make it smaller")
