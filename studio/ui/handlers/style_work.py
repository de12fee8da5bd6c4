"""What the style tab makes when asked: a finished picture, fast or fine; many of them, in a zip; a film."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from studio.checkpoint import read_info
from studio.errors import Cancelled, DiskError
from studio.files import disk_errors
from studio.film import stylize_film
from studio.fine import PERCEPTUAL, SlowPainting
from studio.gatys import FineSettings
from studio.images import encode, open_picture, to_uint8
from studio.library import BUNDLED
from studio.originals import fit_for
from studio.provenance import Provenance
from studio.raster.opening import Picture
from studio.ui.batches import Made, zip_each
from studio.ui.desks import Kept
from studio.ui.handlers.style_controls import KEEP, StyleControls
from studio.ui.services import Services
from studio.ui.shelf import SUFFIX_OF, called, jpeg_url
from studio.ui.tasks import Stopped, Task
from studio.video import KINDS

SHOW_EVERY_S = 1.0


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be made, for which desk. `files` are (hash, name) of many pictures; none for the settings' work."""

    desk: str
    settings: StyleControls
    kind: str  # of the work: picture or film
    styles: list[Picture]
    files: list[tuple[str, str]]
    labels: np.ndarray | None  # what was painted [H, W]; of the one picture


class StyleWork:
    """Makes what was ordered, within a task, and puts it on the desk."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def run(self, order: Order, task: Task) -> Kept:
        """Raises StudioError, or Stopped where there was nothing to keep."""
        make = self._many if order.files else self._film if order.kind == "film" else self._one
        sources = [file for file, _ in order.files] or [order.settings.work]
        with self.services.desks.hold(order.desk, sources) as kept, self.services.desks.scratch(order.desk) as folder:
            try:
                path, name = make(order, kept, task, folder)
            except Cancelled:
                raise Stopped from None
            except DiskError as error:  # which names a place that nobody has chosen
                reason = "the studio's disk is full or cannot be written, and the result was lost"
                raise DiskError(f"{reason}; free some space and try again") from error
            return self.services.desks.add(order.desk, path, name)

    def paint(
        self, content: Picture, styles: Sequence[Picture], settings: StyleControls, labels: np.ndarray | None,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
        show: Callable[[str], None] = lambda picture: None,
    ) -> bytes:
        """One finished picture as a file; `show` gets how a fine one stands. Raises StudioError, or Cancelled.

        A fine picture that is cancelled is finished as it is.
        """
        content = fit_for(content, settings.format.upper(), settings.of_style().size)
        masks = region_masks(labels, settings)
        if settings.quality == "fine":
            painting = SlowPainting(
                self.services.engine, content, styles, settings.of_style(), FineSettings(steps=settings.steps),
                masks=masks, fit_masks=True, model=settings.model,
            )
            self._follow(painting, progress, cancelled, show)
            painted = painting.result()
        else:
            painted = self.services.stylist(settings.model).stylize(
                content, styles, settings.of_style(), masks=masks, fit_masks=True, progress=progress,
                cancelled=cancelled,
            )
        return encode(painted, settings.format.upper(), labels=self.provenance(settings).labels())

    def _follow(
        self, painting: SlowPainting, progress: Callable[[float], None], cancelled: Callable[[], bool],
        show: Callable[[str], None],
    ) -> None:
        """Work on a painting until it is done or cancelled, and show it every second."""
        shown = -math.inf
        for step in painting:
            progress(step.fraction)
            if time.monotonic() - shown > SHOW_EVERY_S:
                pixels = to_uint8(step.picture[0]).permute(1, 2, 0).numpy()
                show(jpeg_url(Picture(pixels, "", 8, painting.content.icc, b"").rgb()))
                shown = time.monotonic()
            if cancelled():
                break

    def provenance(self, settings: StyleControls) -> Provenance:
        """As the stylist writes it, with all that the page says."""
        made = self.services.stylist(settings.model).provenance(settings.of_style(), settings.sources)
        if settings.quality == "fine":  # another network did the work
            made = dataclasses.replace(made, model=PERCEPTUAL, model_sha256=read_info(BUNDLED / PERCEPTUAL).sha256)
        return dataclasses.replace(made, settings={**made.settings, "controls": settings.to_dict()})

    def _one(self, order: Order, kept: list[Kept], task: Task, folder: Path) -> tuple[Path, str]:
        path = folder / "picture"
        with called(kept[0]) as source:
            content = open_picture(source)
        painted = self.paint(
            content, order.styles, order.settings, order.labels, task.progress, task.cancelled, task.show
        )
        if task.cancelled():
            task.say("style.kept_best")
        with disk_errors(path):
            path.write_bytes(painted)
        return path, finished_name(kept[0].name, order.settings)

    def _many(self, order: Order, kept: list[Kept], task: Task, folder: Path) -> tuple[Path, str]:
        """A zip of what could be done; errors.txt in it says what could not."""
        path, count = folder / "zip", len(order.files)

        def make(i: int, progress: Callable[[float], None]) -> Made:
            task.say("style.picture_of", i=i + 1, count=count)
            with called(kept[i]) as place:
                content = open_picture(place)
            data = self.paint(content, order.styles, order.settings, None, progress, task.cancelled)
            return data, SUFFIX_OF[order.settings.format], ""

        done, errors = zip_each(path, [name for _, name in order.files], make, task, "errors.txt")
        if task.cancelled():
            task.say("style.kept_part")
        else:
            task.say("style.left_out" if errors else "", count=len(errors))
        return path, f"styled-{done}.zip"

    def _film(self, order: Order, kept: list[Kept], task: Task, folder: Path) -> tuple[Path, str]:
        """The film, with its sound; one that is stopped is as long as what was done."""
        suffix = PurePosixPath(kept[0].name).suffix.lower()
        suffix = suffix if suffix in KINDS else ".mp4"
        path = folder / f"film{suffix}"

        def step(done: int, total: int) -> None:
            task.progress(done / max(total, 1))
            task.say("style.frame_of", i=done, count=total)

        with called(kept[0]) as source:
            done = stylize_film(
                self.services.stylist(order.settings.model), source, order.styles, order.settings.of_style(), path,
                masks=region_masks(order.labels, order.settings) or (), fit_masks=True,
                sources=order.settings.sources, progress=step, cancelled=task.cancelled,
            )
        said = "; ".join(note.replace(str(source), kept[0].name) for note in done.notes if str(path) not in note)
        task.say("style.kept_part_of" if done.cancelled else "style.film_said", said=said)
        return path, f"{PurePosixPath(kept[0].name).stem}-styled{suffix}"


def region_masks(labels: np.ndarray | None, settings: StyleControls) -> list[Picture] | None:
    """What was painted as the stylist's masks: one where the photo is kept, or one for each style that has a region.

    Where nothing was painted all the styles are, by their weights.
    """
    if labels is None:
        return None
    chosen = settings.chosen
    places = [i + 1 for i in chosen]
    if len(chosen) == 1 or not np.isin(labels, places).any():
        return [_mask(labels != KEEP)]
    # The region of a style that was taken away since is as if nothing had been painted there.
    free = ~np.isin(labels, [*places, KEEP])
    return [_mask(free | (labels == place)) for place in places]


def finished_name(source: str, settings: StyleControls) -> str:
    """What the finished picture is called: after the photo."""
    return f"{PurePosixPath(source).stem}-styled{SUFFIX_OF[settings.format]}"


def _mask(where: np.ndarray) -> Picture:
    return Picture(np.where(where, np.uint8(255), np.uint8(0))[..., None], "", 8, b"", b"")
