"""Pictures out of a film, to learn from: a frame every so often, without those that look like one that was taken.

They go to a folder of their own; the film is only read. Frames pass one at a time,
and of each that was taken a few hundred bytes are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from studio.config import Config, setting
from studio.duplicates import Album, Look
from studio.errors import DataError, stop_if
from studio.files import disk_errors, write_bytes
from studio.footage import Reading, survey
from studio.images import encode_jpeg, to_tensor

QUALITY = 95  # of the JPEGs; the frames went through a lossy codec already


@dataclass(frozen=True)
class StillSettings(Config):
    every_s: float = setting(1.0, "a frame is taken every so often", low=0.02, high=3600, unit="s")
    most: int = setting(5000, "frames taken at most", low=1, high=100_000)
    side: int = setting(1024, "shorter side, at most; larger frames are made smaller", low=64, high=4096, unit="px")
    alike: bool = setting(False, "take frames that look like one before, too")


@dataclass(frozen=True)
class Stills:
    folder: Path
    taken: int
    alike: int  # frames that were left out, as they look like one that was taken
    complete: bool  # False where `most` ended it


def take_stills(
    film: Path,
    folder: Path,
    settings: StillSettings = StillSettings(),
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Stills:
    """Write frames of a film as JPEGs to `folder`, which is made; several films may go to one folder.

    progress hears how many of how many frames were looked at. Raises VideoError for what is no film,
    DataError where pictures of this film are in the folder already, DiskError; Cancelled once `cancelled`
    says so: what was taken stays.
    """
    footage = survey(film)
    name = film.stem.lstrip("._")[:80] or "film"  # a leading dot would hide them
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob(f"{_literally(name)}-*s.jpg")):
        raise DataError(f"{folder} holds pictures of {name!r} already; choose another folder, or delete those")
    album, taken, alike, due_s = Album(), 0, 0, 0.0
    for seen, frame in enumerate(Reading(footage), 1):
        stop_if(cancelled)
        progress(seen, max(footage.frames, seen))
        time_s = float(frame.time * footage.time_base)
        if time_s < due_s:
            continue
        if taken == settings.most:
            return Stills(folder, taken, alike, complete=False)
        # From the grid of times, not from this frame: the distance between two would grow by a frame each.
        due_s = (time_s // settings.every_s + 1) * settings.every_s
        picture = _fitting(Image.fromarray(frame.pixels), float(footage.aspect), settings.side)
        if not album.add(Look.of(picture)) and not settings.alike:
            alike += 1
            continue
        write_bytes(folder / f"{name}-{time_s:09.2f}s.jpg", encode_jpeg(to_tensor(picture), QUALITY))
        taken += 1
    return Stills(folder, taken, alike, complete=True)


def _fitting(picture: Image.Image, aspect: float, side: int) -> Image.Image:
    """With square pixels, the shorter side at most `side`; nothing is enlarged but what wide pixels stand for."""
    width, height = picture.width * aspect, picture.height
    scale = min(side / min(width, height), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _literally(name: str) -> str:
    """A file's name as a pattern that finds it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
