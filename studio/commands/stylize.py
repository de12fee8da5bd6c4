"""python -m studio stylize: photos, folders of them and films, painted in the style of other pictures.

A folder is done to its end: what cannot be painted is listed, and the rest is there.
"""

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.commands import COMMANDS, Command, Report, make_folder
from studio.config import add_arguments, from_arguments, settings
from studio.errors import Cancelled, DiskError, SettingError, StudioError

if TYPE_CHECKING:
    from studio.batch import Task
    from studio.film import FilmSettings
    from studio.provenance import Provenance
    from studio.raster.opening import Picture
    from studio.style import Stylist, StyleSettings


def add_stylize_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.film import FilmSettings
    from studio.gatys import FineSettings
    from studio.styling import StyleSettings

    parser.add_argument("content", type=Path, metavar="CONTENT", help="a photo, a film, or a folder of them")
    parser.add_argument(
        "styles", type=Path, nargs="+", metavar="STYLE", help="up to four pictures, or one folder: each in turn"
    )
    add_arguments(parser, StyleSettings, skip=["keep_colour"])
    keep = next(item for item in settings(StyleSettings) if item.name == "keep_colour")
    parser.add_argument(
        keep.flag, type=keep.parse, nargs="?", const="luminance", default=argparse.SUPPRESS,
        metavar="|".join(keep.choices), help="without a word: luminance; " + keep.help,
    )
    parser.add_argument(
        "--mask", type=Path, action="append", default=[], metavar="FILE", dest="masks",
        help="white is painted; once for all the styles, or once for each",
    )
    add_arguments(parser, FilmSettings)
    parser.add_argument("--fit-masks", action="store_true", help="stretch masks of another size than the photo's")
    parser.add_argument(
        "--quality", choices=["fast", "fine"], default="fast",
        help="fast: in one pass; fine: by optimising, for minutes (default fast)",
    )
    steps = next(item for item in settings(FineSettings) if item.name == "steps")
    parser.add_argument(
        steps.flag, type=steps.parse, default=steps.default, metavar="N",
        help=f"of --quality fine (default {steps.default})",
    )
    parser.add_argument(
        "--model", default="style", metavar="NAME",
        help="an installed model, or a checkpoint's folder (default style)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="a file, or for a folder a folder")


def run(arguments: argparse.Namespace) -> Report:
    from studio.batch import plan
    from studio.engine import Engine
    from studio.film import FilmSettings
    from studio.images import open_picture
    from studio.library import Library
    from studio.style import Stylist, StyleSettings, check_counts

    start = time.perf_counter()
    wish = from_arguments(StyleSettings, arguments)
    tasks = plan(arguments.content, arguments.styles, arguments.out)
    stylist = Stylist(Engine(Library.default(any_folder=True), arguments.device), arguments.model)
    if arguments.quality == "fast":
        stylist.check()  # before the first picture is opened
    masks = [open_picture(path) for path in arguments.masks]
    steps = arguments.steps if arguments.quality == "fine" else None
    work = Work(stylist, wish, from_arguments(FilmSettings, arguments), masks, arguments.fit_masks, steps)
    check_counts(tasks[0].styles, wish, len(masks))
    if not arguments.styles[0].is_dir():  # what is wrong for all is said once
        work.open_styles(tasks[0])

    files, failed = [], []
    for number, task in enumerate(tasks):
        try:
            with Meter(task.content.name, number, len(tasks)) as meter:
                make_folder(task.out.parent)
                work.do(task, meter)
        except DiskError:
            raise  # the next one would meet it too
        except StudioError as error:
            if len(tasks) == 1:
                raise
            failed.append(f"{task.content.name}: {error}")
        else:
            files.append(str(task.out))
        if work.stopped:
            break
    seconds = round(time.perf_counter() - start, 3)
    what = files[0] if len(files) == 1 else f"{len(files)} files to {arguments.out}"
    text = "\n".join([f"wrote {what} in {seconds:.1f} s", *work.notes]) if files else ""
    error = f"{len(failed)} of {len(tasks)} files could not be painted: {'; '.join(failed)}" if failed else ""
    return Report(text, {"files": files, "failed": failed, "notes": work.notes, "seconds": seconds}, error)


class Work:
    """What all the files of a command share: styles that were opened, masks, and what there is to say about them.

    `steps` are those of optimising; None paints in one pass.
    """

    def __init__(
        self, stylist: "Stylist", wish: "StyleSettings", film: "FilmSettings", masks: list["Picture"],
        fit_masks: bool, steps: int | None,
    ) -> None:
        self.stylist, self.wish, self.film, self.steps = stylist, wish, film, steps
        self.masks, self.fit_masks = masks, fit_masks
        self.notes: list[str] = []
        self.stopped = False  # within a film, of which what was painted is kept
        self._styles: dict[Path, tuple[Picture, str]] = {}

    def do(self, task: "Task", meter: "Meter") -> None:
        """Raises StudioError."""
        from studio.batch import frames_of
        from studio.images import FORMAT_OF, open_picture, save_picture
        from studio.originals import fit_for

        opened = self.open_styles(task)
        styles = [picture for picture, _ in opened]
        sources = [(path.name, digest) for path, (_, digest) in zip(task.styles, opened)]
        if task.film:
            self._do_film(task, styles, sources, meter)
            return
        content = fit_for(open_picture(task.content), FORMAT_OF[task.out.suffix.lower()], self.wish.size)
        if (count := frames_of(task.content)) > 1:
            self.notes.append(f"{task.content.name} has {count} frames or pages; its first one is painted")
        options = dict(masks=self.masks, fit_masks=self.fit_masks, progress=meter.show)
        if self.steps is None:
            painted = self.stylist.stylize(content, styles, self.wish, **options)
            made = self.stylist.provenance(self.wish, sources)
        else:
            painted, made = self._paint_slowly(content, styles, sources, options)
        save_picture(task.out, painted, labels=made.labels())

    def _paint_slowly(
        self, content: "Picture", styles: list["Picture"], sources: list[tuple[str, str]], options: dict[str, Any]
    ) -> tuple["Picture", "Provenance"]:
        from studio.checkpoint import read_info
        from studio.fine import PERCEPTUAL, paint_slowly
        from studio.gatys import FineSettings
        from studio.library import BUNDLED
        from studio.provenance import Provenance
        from studio.style import TOOL, provenance_settings

        fine = FineSettings(steps=self.steps)
        engine, model = self.stylist.engine, self.stylist.model
        painted = paint_slowly(engine, content, styles, self.wish, fine, model=model, **options)
        values = {**provenance_settings(self.wish, sources), "fine": fine.to_dict()}
        sha256 = read_info(BUNDLED / PERCEPTUAL).sha256
        return painted, Provenance(tool=TOOL, model=PERCEPTUAL, model_sha256=sha256, settings=values)

    def _do_film(
        self, task: "Task", styles: list["Picture"], sources: list[tuple[str, str]], meter: "Meter"
    ) -> None:
        from studio.film import stylize_film

        if self.steps is not None:
            raise SettingError(f"{task.content.name} is a film, and --quality fine is for pictures; leave it out")
        with one_interrupt() as asked:
            try:
                result = stylize_film(
                    self.stylist, task.content, styles, self.wish, task.out, film=self.film, masks=self.masks,
                    fit_masks=self.fit_masks, sources=sources,
                    progress=lambda done, total: meter.show(done / max(total, 1)), cancelled=asked,
                )
            except Cancelled:
                raise KeyboardInterrupt from None
        self.notes += [f"{task.out.name}: {note}" for note in result.notes]
        self.stopped = result.cancelled

    def open_styles(self, task: "Task") -> list[tuple["Picture", str]]:
        """The task's styles and the SHA-256 of their files. Raises ImageError."""
        return [self._open_style(path) for path in task.styles]

    def _open_style(self, path: Path) -> tuple["Picture", str]:
        from studio.batch import frames_of
        from studio.files import sha256
        from studio.images import open_picture

        if path not in self._styles:
            picture = open_picture(path)
            if (count := frames_of(path)) > 1:
                self.notes.append(f"{path.name} has {count} frames or pages; its first one is the style")
            self._styles[path] = picture, sha256(path)
        return self._styles[path]


@contextlib.contextmanager
def one_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is heard by the function given; a second one interrupts as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals are for the main thread
        return
    asked = threading.Event()

    def hear(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class Meter:
    """How far a file is, on a terminal; elsewhere nothing."""

    def __init__(self, name: str, number: int, total: int) -> None:
        self.text = name if total == 1 else f"{number + 1} of {total}: {name}"
        self.shown = sys.stderr.isatty()

    def __enter__(self) -> "Meter":
        self.show(0.0)
        return self

    def __exit__(self, *error: object) -> None:
        self._write("")

    def show(self, fraction: float) -> None:
        self._write(f"{self.text}, {fraction:.0%}")

    def _write(self, text: str) -> None:
        if self.shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()


COMMANDS.register("stylize")(Command("paint photos and films in other pictures' style", add_stylize_arguments, run))
