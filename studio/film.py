"""A film in, the painted film out: as many frames, each at its time, and the sound.

Frame by frame: memory does not grow with the length. What keeps it from flickering is in studio/steady.py.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from studio.canvas import Canvas, Pixels, Scaled, Whole, Window, everything, pieces
from studio.config import Config, setting
from studio.errors import Cancelled, SettingError, VideoError, stop_if
from studio.footage import MAX_PIXELS, Footage, Frame, Reading, survey
from studio.originals import mask_levels, result_size
from studio.painting import TILE
from studio.raster.opening import Picture
from studio.sound import Sound
from studio.steady import Hold, SteadyLooks, Watch
from studio.style import Stylist, check_counts
from studio.styling import StyleSettings, Styling
from studio.video import DEFAULT_QUALITY, FilmKind, FrameWriter, film_at, film_kind

_TICKS = {"webm": Fraction(1, 1000), "gif": Fraction(1, 100)}  # s; in which these count time
_FINEST_TICK = Fraction(1, 1_000_000)
_GIF_STEP = 2  # ticks; browsers play a shorter delay as ten


@dataclass(frozen=True)
class FilmSettings(Config):
    """What films have beyond pictures."""

    steady: float = setting(1.0, "how much of each frame stays in the next: 0 flickers, 1 is calm", low=0, high=1)
    film_quality: int = setting(DEFAULT_QUALITY, "of mp4 and webm, 1 smallest .. 100 best", low=1, high=100)


@dataclass(frozen=True)
class FilmResult:
    path: Path
    frames: int  # painted
    seconds: float  # of film
    cancelled: bool
    notes: tuple[str, ...]  # sentences on what is not as it was in the source; the first one is on the sound


def stylize_film(
    stylist: Stylist, content: Path, styles: Sequence[Picture], settings: StyleSettings, out: Path, *,
    film: FilmSettings = FilmSettings(), masks: Sequence[Picture] = (), fit_masks: bool = False,
    sources: Sequence[tuple[str, str]] = (), progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> FilmResult:
    """Paint a film. The suffix of `out` chooses its kind: .mp4, .webm or .gif.

    masks as `Stylist.stylize` has them, the same ones for every frame. sources: the styles' file names and SHA-256,
    for what is written into the film about its making. progress hears how many frames of how many are done. Once
    `cancelled` says so, the film so far is finished and kept; before the first frame is done, Cancelled is raised and
    nothing is there. Raises StudioError, and leaves what was at `out` as it was.
    """
    check_counts(styles, settings, len(masks))
    film_kind(out, 1)  # before the film is looked through
    if out.exists() and content.exists() and os.path.samefile(out, content):
        raise SettingError(f"{out} is the film to be painted; give the result another name")
    footage = survey(content)
    kind = film_kind(out, float(footage.rate))
    painter = FramePainter(stylist, footage, styles, settings, film.steady, masks, fit_masks, cancelled)
    made = stylist.provenance(settings, sources)
    reading, clock = Reading(footage), Clock(kind, footage.time_base)
    done, end, stopped = 0, Fraction(0), False
    with film_at(out, kind, made.film_metadata()) as container:
        writer = FrameWriter(
            container, kind, painter.size, footage.rate, clock.tick, film.film_quality, footage.aspect
        )
        with Sound(footage, container, kind) as sound:
            for frame in reading:
                time = frame.time * footage.time_base
                sound.until(time)
                try:
                    picture = painter.paint(frame)
                except Cancelled:
                    stopped = True
                    break
                writer.write(picture, clock.at(time))
                done, end = done + 1, time + frame.duration * footage.time_base
                progress(done, max(footage.frames, done))
            if not done:
                raise Cancelled
            sound.until(end if stopped else None)
            writer.finish(clock.at(end))
            sound.finish()
    notes = [sound.said, *_notes(footage, reading.lost, painter.size, kind)]
    if stopped:
        notes.append(f"stopped after {done} of {footage.frames} frames; {out} holds what was painted")
    return FilmResult(out, done, float(end), stopped, tuple(notes))


class FramePainter:
    """Paints the frames of a film in order. `size` is their height and width. `paint` raises Cancelled."""

    def __init__(
        self, stylist: Stylist, footage: Footage, styles: Sequence[Picture], settings: StyleSettings, steady: float,
        masks: Sequence[Picture], fit_masks: bool, cancelled: Callable[[], bool],
    ) -> None:
        blank = Picture(np.broadcast_to(np.uint8(0), (*footage.size, 3)), "", 8, b"", b"")  # takes no memory
        self.size = result_size(blank, settings.size)
        if self.size[0] * self.size[1] > MAX_PIXELS:
            found = f"{self.size[1]} x {self.size[0]} = {self.size[0] * self.size[1] / 1e6:.4g} megapixels"
            raise SettingError(f"size={settings.size} makes {found}, over the limit of {MAX_PIXELS / 1e6:g}; give less")
        self._stylist, self._time_base, self._cancelled = stylist, footage.time_base, cancelled
        levels = [mask_levels(mask, blank, self.size, fit_masks) for mask in masks]
        self._styling: Styling = stylist.styling(self.size, styles, settings, masks=levels)
        self._watch, self._looks = Watch(), SteadyLooks()
        self._holds = [Hold(steady) for _ in self._styling.painters]
        self._time: int | None = None

    def paint(self, frame: Frame) -> Tensor:
        """[3, H, W] in [-1, 1], on the CPU."""
        self._each(0)
        seconds = 0.0 if self._time is None else float((frame.time - self._time) * self._time_base)
        self._time = frame.time
        photo = Scaled(Pixels(frame.pixels, self._stylist.engine.device), self.size)
        if self._styling.settings.strength == 0:
            return self._whole(photo)[0]
        sight = self._watch.see(frame.pixels)
        paint = lambda looks: self._styling.paint(photo, looks, turn=self._turn, each=self._each)
        looks = self._looks.follow(sight, seconds, lambda: paint(None)[1])
        styled, _ = paint(looks)
        paintings = [
            Whole(hold.steady(self._whole(painting), sight.motion, seconds).to(self._stylist.engine.device))
            for hold, painting in zip(self._holds, styled.paintings)
        ]
        return self._whole(dataclasses.replace(styled, paintings=tuple(paintings)))[0]

    def _whole(self, canvas: Canvas) -> Tensor:
        """[1, 3, H, W] of the whole canvas, painted in tiles."""

        def look(tile: Window) -> Tensor:
            with self._turn():
                part = canvas.look(tile)
            self._each(tile.height * tile.width)
            return part

        return pieces(look, everything(canvas), TILE).clamp(-1, 1).cpu()

    def _turn(self) -> contextlib.AbstractContextManager[None]:
        return self._stylist.engine.turn(self._stylist.model)

    def _each(self, pixels: int) -> None:
        stop_if(self._cancelled)


class Clock:
    """From times in a film to the ticks that a kind of film counts; they rise by at least as much as players heed."""

    def __init__(self, kind: FilmKind, time_base: Fraction) -> None:
        self.tick = _TICKS.get(kind.container, max(time_base, _FINEST_TICK))
        self._step = _GIF_STEP if kind.container == "gif" else 1
        self._last = -self._step

    def at(self, seconds: Fraction) -> int:
        self._last = max(round(seconds / self.tick), self._last + self._step)
        return self._last


def _notes(footage: Footage, lost: int, size: tuple[int, int], kind: FilmKind) -> list[str]:
    notes = []
    if footage.lacking_s:
        notes.append(f"{footage.path} is cut short: {footage.lacking_s:.1f} s that it announces are not in it")
    if lost:
        notes.append(f"{lost} damaged parts of {footage.path} could not be decoded and are left out")
    if footage.transparent:
        notes.append("what was transparent is white")
    if footage.hdr:
        notes.append("colours of high dynamic range are painted as they are stored, duller than a player shows them")
    if footage.subtitles:
        notes.append("subtitles are left out")
    if kind.container != "gif" and (size[0] % 2 or size[1] % 2):
        notes.append(f"odd sides grow by one: {size[1]} x {size[0]} px repeat their last line")
    return notes
