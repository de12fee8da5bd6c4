"""Small copies of what lies on desks, kept in memory, so that a moving slider decodes nothing.

A copy is found under its desk's name as well as the file's: it is as private as the file.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from studio.batch import frames_of
from studio.errors import ImageError, VideoError
from studio.footage import SUFFIXES as FILMS
from studio.footage import Footage, Reading, survey
from studio.images import Picture, encode, open_picture
from studio.raster.untrusted import admitted
from studio.recent import Recent
from studio.ui.components.live import data_url
from studio.ui.desks import Desks, Kept

SHOWN_PX = 640  # longest side of what a page shows
STYLE_PX = 1024  # longest side of a style; strokes are smaller than that
THUMB_PX = 160
LABEL_STEP = 32  # grey levels between two labels of a mask, as brush.js writes them
REMEMBERED = 96
AT_ONCE = 2  # files that are decoded: the largest that are let in take a gigabyte each
JPEG_QUALITY = 90
SUFFIX_OF = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "webp": ".webp"}  # of finished pictures
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture, or a film's frame, as the page shows it before anything is done to it. `key` tells two apart."""

    key: str
    name: str
    kind: str  # picture or film
    width: int  # of the file
    height: int
    seconds: float  # of the film, 0 for a picture
    small: Picture  # RGB, 8 bits, at most SHOWN_PX

    def to_dict(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in ("key", "name", "kind", "width", "height", "seconds")}
        return {**facts, "picture": jpeg_url(self.small.rgb())}


class Shelf:
    """One for the whole server; safe to call from several threads. Raises MissingFile, ImageError, VideoError."""

    def __init__(self, desks: Desks) -> None:
        self.desks = desks
        self._copies: Recent[Any] = Recent(REMEMBERED)
        self._few = threading.Semaphore(AT_ONCE)

    def info(self, desk: str, file: str) -> dict[str, Any]:
        """What the page asks of a picture or film: {id, name, kind, frames, width, height, seconds, thumb}."""
        kept = self.desks.find(desk, file)
        shown = self.shown(desk, file, 0.0)
        thumb = shrunk(shown.small.rgb(), THUMB_PX)
        frames = self._get((desk, file, "frames"), lambda: frames_of(kept.path))
        size = {"width": shown.width, "height": shown.height, "seconds": shown.seconds}
        facts = {"id": file, "name": kept.name, "kind": shown.kind, "frames": frames}
        return {**facts, **size, "thumb": jpeg_url(thumb)}

    def shown(self, desk: str, file: str, at_s: float) -> Shown:
        """`at_s`: time of the frame, of a film."""
        kept = self.desks.find(desk, file)
        film = self._get((desk, file, "film"), lambda: _film(kept))
        if film is None:
            return self._get((desk, file, "shown"), lambda: _show_picture(kept))
        at_s = round(min(at_s, _seconds(film)), 2)
        return self._get((desk, file, "shown", at_s), lambda: _show_frame(kept, film, at_s))

    def style(self, desk: str, file: str, longest: int = STYLE_PX) -> Picture:
        """A picture to take the style from, at most so many px long; of one that moves, the first frame."""
        kept = self.desks.find(desk, file)
        make = lambda: small_picture(_open(kept), longest)
        # larger ones are for work that takes long, and would fill the memory
        return self._get((desk, file, "style", longest), make) if longest <= STYLE_PX else self._one_of_few(make)

    def labels(self, desk: str, file: str) -> np.ndarray:
        """A painted mask: whole numbers [H, W] uint8 from 0 to 7."""
        kept = self.desks.find(desk, file)
        return self._get((desk, file, "labels"), lambda: mask_labels(_open(kept)))


    def _get(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        return self._copies.get(key, lambda: self._one_of_few(make))

    def _one_of_few(self, make: Callable[[], T]) -> T:
        with self._few:
            return make()


@contextlib.contextmanager
def called(kept: Kept) -> Iterator[Path]:
    """The file's path, where errors speak of it by the visitor's own name for it."""
    try:
        yield kept.path
    except (ImageError, VideoError) as error:
        raise type(error)(str(error).replace(str(kept.path), kept.name)) from error


def _film(kept: Kept) -> Footage | None:
    """What is known of a film; None for a picture that stands still. What is neither is refused as a picture is."""
    with called(kept) as path:
        try:
            with admitted(path) as file:  # looks at the head alone
                if not (file.image.format == "GIF" and file.image.is_animated):
                    return None
        except ImageError as no_picture:
            try:
                return survey(path)
            except VideoError as no_film:
                raise (no_film if Path(kept.name).suffix.lower() in FILMS else no_picture) from None
        return survey(path)


def _open(kept: Kept) -> Picture:
    with called(kept) as path:
        return open_picture(path)


def _show_picture(kept: Kept) -> Shown:
    picture = _open(kept)
    return Shown(kept.id, kept.name, "picture", *picture.size, 0.0, small_picture(picture, SHOWN_PX))


def _show_frame(kept: Kept, film: Footage, at_s: float) -> Shown:
    with called(kept):
        pixels = next(iter(Reading(film, at_s))).pixels
    small = small_picture(Picture(pixels, "", 8, b"", b""), SHOWN_PX)
    height, width = film.size
    return Shown(f"{kept.id}@{at_s:.2f}", kept.name, "film", width, height, _seconds(film), small)


def _seconds(film: Footage) -> float:
    return round(float(film.frames / film.rate), 3)


def small_picture(picture: Picture, longest: int) -> Picture:
    """At most so many px on its longest side, in 8-bit sRGB."""
    return Picture(np.asarray(shrunk(picture.rgb(), longest)), picture.format, 8, b"", b"")


def shrunk(image: Image.Image, longest: int) -> Image.Image:
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def jpeg_url(image: Image.Image | np.ndarray) -> str:
    """A picture for the page: a Pillow one, or [H, W, 3] uint8."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    return data_url("jpeg", encode(image, "JPEG", quality=JPEG_QUALITY))


def mask_labels(picture: Picture) -> np.ndarray:
    """Labels 0..7 [H, W] of a mask as brush.js writes it; a browser may have blurred its levels a little."""
    grey = np.asarray(picture.rgb().convert("L"), dtype=np.uint16)
    return np.minimum((grey + LABEL_STEP // 2) // LABEL_STEP, 7).astype(np.uint8)
