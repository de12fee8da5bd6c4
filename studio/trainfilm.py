"""A film of a training: the same latents from the first sample to the latest, each with its kimg below.

The latents are fixed, so one sample fades into the next as the pictures grow out of noise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from studio.config import Config, setting
from studio.errors import ImageError, RunError, StudioError, stop_if
from studio.images import to_tensor
from studio.provenance import Provenance
from studio.raster.opening import open_picture
from studio.runfolder import RunFolder
from studio.timeline import Sample, timeline
from studio.video import film_kind, write_film

TOOL = "train"
CAPTION = 0.045  # of the picture's width, at least MIN_CAPTION px
MIN_CAPTION = 18


@dataclass(frozen=True)
class TrainFilm(Config):
    seconds: float = setting(20.0, "length of the training's part", low=0.5, high=600, unit="s")
    hold: float = setting(2.0, "the latest sample stays this long", low=0, high=60, unit="s")
    fps: int = setting(30, "frames a second", low=1, high=60)
    side: int = setting(1024, "longer side, at most", low=128, high=2048, unit="px")
    fade: bool = setting(True, "one sample fades into the next")
    caption: bool = setting(True, "say the kimg below the pictures")


def film_training(
    run: RunFolder,
    out: Path,
    settings: TrainFilm = TrainFilm(),
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Write a film of a run's samples to `out`, .mp4, .webm or .gif, and return its number of frames.

    progress hears how many of how many frames are drawn. A run at work is filmed up to its latest sample. Raises
    RunError for fewer than two samples, VideoError, DiskError; Cancelled once `cancelled` says so, and nothing is left.
    """
    film_kind(out, settings.fps)
    samples = timeline(run)
    if len(samples) < 2:
        raise RunError(f"{run.path.name} has drawn {len(samples)} samples, and a film needs 2; wait for the next tick")
    places = _places(len(samples), settings)

    def frames() -> Iterator[Tensor]:
        painter = _Painter(samples, settings)
        for done, place in enumerate(places, 1):
            stop_if(cancelled)
            yield painter.at(place)
            progress(done, len(places))

    about = {**settings.to_dict(), "kimg": samples[-1].kimg, "recipe": _recipe(run)}
    made = Provenance(TOOL, run.path.name[:200], settings=about)
    return write_film(out, frames(), settings.fps, made.film_metadata())


def _places(count: int, settings: TrainFilm) -> list[float]:
    """Where on the timeline each frame is: 2.5 is half-way between the samples 2 and 3."""
    moving = max(round(settings.seconds * settings.fps), 2)
    shown = [i * (count - 1) / (moving - 1) for i in range(moving)]
    if not settings.fade:
        shown = [float(round(place)) for place in shown]
    return shown + [float(count - 1)] * round(settings.hold * settings.fps)


class _Painter:
    """Draws frames in order, holding two samples at a time."""

    def __init__(self, samples: list[Sample], settings: TrainFilm) -> None:
        self._samples, self._settings = samples, settings
        self._held: dict[int, Tensor] = {}
        self._size: tuple[int, int] | None = None  # height and width, of the first sample that can be read

    def at(self, place: float) -> Tensor:
        """[3, H, W] in [-1, 1]."""
        first = int(place)
        share = place - first
        picture = self._sample(first)
        if share:
            picture = torch.lerp(picture, self._sample(first + 1), share)
        return self._captioned(picture, self._samples[round(place)].kimg) if self._settings.caption else picture

    def _sample(self, index: int) -> Tensor:
        if index not in self._held:
            self._held = {i: held for i, held in self._held.items() if i >= index - 1}
            self._held[index] = self._read(index)
        return self._held[index]

    def _read(self, index: int) -> Tensor:
        try:
            picture = to_tensor(open_picture(self._samples[index].path))
        except ImageError:
            # One that the trainer's disk spoiled, or that a deletion took: its neighbour stands in for it.
            if held := list(self._held.values()):
                return held[-1]
            if index + 1 == len(self._samples):
                raise
            return self._read(index + 1)
        picture = picture.reshape(3, *picture.shape[-2:])
        if self._size is None:
            self._size = _fitting(picture.shape[1], picture.shape[2], self._settings.side)
        height, width = self._size
        if (height, width) == tuple(picture.shape[1:]):
            return picture
        kind = dict(mode="nearest") if height > picture.shape[1] else dict(mode="bilinear", antialias=True)
        return F.interpolate(picture[None], self._size, **kind)[0].clamp(-1, 1)

    def _captioned(self, picture: Tensor, kimg: float) -> Tensor:
        width = picture.shape[2]
        size = max(round(width * CAPTION), MIN_CAPTION)
        strip = Image.new("RGB", (width, 2 * size), "black")
        draw, text = ImageDraw.Draw(strip), f"{kimg:,.1f} kimg"
        draw.text((width / 2, size), text, "white", ImageFont.load_default(size), anchor="mm")
        return torch.cat([picture, to_tensor(strip).reshape(3, 2 * size, width)], dim=1)


def _fitting(height: int, width: int, side: int) -> tuple[int, int]:
    """Whole multiples of small grids, so that their pixels stay square; large ones at `side`."""
    longer = max(height, width)
    if longer > side:
        return max(round(height * side / longer), 2), max(round(width * side / longer), 2)
    times = max(side // 2 // longer, 1)
    return height * times, width * times


def _recipe(run: RunFolder) -> str:
    try:
        return str(run.config().get("recipe", ""))[:200]
    except StudioError:
        return ""
