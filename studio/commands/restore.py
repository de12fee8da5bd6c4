"""python -m studio restore: pictures and folders of them, filled where a mask says so and nowhere else.

A folder is done to its end: what cannot be restored is listed, and the rest is there.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.commands import COMMANDS, Command, Report, make_folder
from studio.commands.stylize import Meter
from studio.config import add_arguments, from_arguments
from studio.errors import DiskError, ImageError, SettingError, StudioError

if TYPE_CHECKING:
    import numpy as np

    from studio.counterparts import Job
    from studio.layers import Treatment
    from studio.provenance import Provenance
    from studio.raster.opening import Picture
    from studio.restore import Restorer, RestoreSettings
    from studio.suggestion import SuggestSettings
    from studio.tratteggio import TratteggioSettings

AUTO = "auto"


def add_restore_arguments(parser: argparse.ArgumentParser) -> None:
    from studio.restore import RestoreSettings
    from studio.suggestion import SuggestSettings
    from studio.tratteggio import TratteggioSettings

    parser.add_argument("image", type=Path, metavar="IMAGE", help="a damaged picture, or a folder of them")
    parser.add_argument(
        "--mask", required=True, metavar="MASK|auto",
        help="white is filled; or a folder of masks with the pictures' names; or auto: what looks damaged",
    )
    add_arguments(parser, RestoreSettings)
    add_arguments(parser, SuggestSettings)
    parser.add_argument(
        "--model", default="inpaint", metavar="NAME|FILE", help="of --method auto and network (default inpaint)"
    )
    parser.add_argument("--detector", default="damage", metavar="NAME", help="of --mask auto (default damage)")
    parser.add_argument("--tratteggio", action="store_true", help="draw what is filled in strokes that can be told")
    add_arguments(parser, TratteggioSettings)
    parser.add_argument("--layers", type=Path, metavar="DIR", help="also write the fill, the mask, a layered TIFF")
    parser.add_argument("--report", type=Path, metavar="DIR", help="also write what was done, as HTML and JSON")
    parser.add_argument("--note", default="", metavar="TEXT", help="the operator's, for the report")
    add_output(parser)


def run(arguments: argparse.Namespace) -> Report:
    from studio.community import network_at
    from studio.counterparts import jobs
    from studio.engine import Engine
    from studio.library import Library
    from studio.restore import Restorer, RestoreSettings
    from studio.suggestion import SuggestSettings
    from studio.tratteggio import TratteggioSettings

    start = time.perf_counter()
    engine = Engine(Library.default(any_folder=True), arguments.device)
    work = Work(
        Restorer(engine, network_at(arguments.model), arguments.detector), from_arguments(RestoreSettings, arguments),
        from_arguments(SuggestSettings, arguments),
        from_arguments(TratteggioSettings, arguments) if arguments.tratteggio else None, arguments,
    )
    tasks = jobs(arguments.image, arguments.out)
    work.several = arguments.image.is_dir()
    work.check()  # before the first picture is opened
    done = each_picture(tasks, work.do, "restored", arguments.out)
    return done.report(start, [*work.notes, *work.licences], filled_px=work.filled_px)


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="a file, or for a folder a folder")


@dataclass(frozen=True)
class Done:
    """What became of a command's files."""

    files: list[str]
    out: Path
    error: str  # a sentence on those that are not among them; empty where all are

    def report(self, start: float, notes: list[str], **values: Any) -> Report:
        """start: of the command, as time.perf_counter said."""
        seconds = round(time.perf_counter() - start, 3)
        what = self.files[0] if len(self.files) == 1 else f"{len(self.files)} files to {self.out}"
        text = "\n".join([f"wrote {what} in {seconds:.1f} s", *notes])
        return Report(text, {"files": self.files, **values, "notes": notes, "seconds": seconds}, self.error)


def each_picture(tasks: "list[Job]", do: "Callable[[Job, Meter], None]", done_word: str, out: Path) -> Done:
    """Do every job. What fails in a folder is said when the rest is there; raises StudioError where nothing is."""
    files, failed = [], []
    for number, task in enumerate(tasks):
        try:
            with Meter(task.source.name, number, len(tasks)) as meter:
                make_folder(task.out.parent)
                do(task, meter)
        except DiskError:
            raise  # the next one would meet it too
        except StudioError as error:
            if len(tasks) == 1:
                raise
            failed.append(f"{task.inside}: {error}")
        else:
            files.append(str(task.out))
    if not failed:
        return Done(files, out, "")
    rest = f"the other {len(files)} are in {out}" if files else "none could be"
    count = f"{len(failed)} of {len(tasks)} files could not be {done_word}"
    error = f"{count}, {rest}: " + "; ".join(failed)
    if not files:
        raise ImageError(error)
    return Done(files, out, error)


def remake(
    image: Path, out: Path, done_word: str, provenance: "Callable[[], Provenance]",
    make: "Callable[[Picture, Callable[[float], None]], Picture]",
) -> Report:
    """Make a picture of `image`, or of every one of a folder, and say what became of them.

    provenance loads the model, and is asked when the paths are known to be right and before a picture is opened; its
    settings hold the model's licence. Raises StudioError.
    """
    from studio.counterparts import jobs, kept_notes, licence_notes, opened
    from studio.images import save_picture
    from studio.provenance import PARTLY_GENERATED

    start = time.perf_counter()
    tasks = jobs(image, out)
    made_by = provenance()
    labels = made_by.labels(PARTLY_GENERATED)
    notes = licence_notes(made_by.model, made_by.settings["licence"])

    def do(job: "Job", meter: Meter) -> None:
        picture = opened(job.source, job.out)
        save_picture(job.out, make(picture, meter.show), lossless=True, labels=labels)
        notes.extend(kept_notes(job.out, picture))

    return each_picture(tasks, do, done_word, out).report(start, notes)


class Work:
    """What all the files of a command share, and what there is to say about them."""

    def __init__(
        self, restorer: "Restorer", wish: "RestoreSettings", suggest: "SuggestSettings",
        strokes: "TratteggioSettings | None", arguments: argparse.Namespace,
    ) -> None:
        self.restorer, self.wish, self.suggest, self.strokes = restorer, wish, suggest, strokes
        self.mask, self.note = arguments.mask, arguments.note
        self.layers: Path | None = arguments.layers
        self.report: Path | None = arguments.report
        self.several = False
        self.notes: list[str] = []
        self.licences: list[str] = []
        self.filled_px: dict[str, int] = {}

    def check(self) -> None:
        """Load what is needed. Raises StudioError."""
        self.restorer.check(self.wish)
        if self.mask == AUTO:
            self.restorer.check_detector()

    def do(self, job: "Job", meter: Meter) -> None:
        """Raises StudioError."""
        from studio.counterparts import kept_notes, licence_notes, opened
        from studio.images import open_picture, save_picture
        from studio.layers import Treatment
        from studio.restore import labels, provenance
        from studio.tratteggio import drawn_in_strokes

        picture = opened(job.source, job.out)
        mask, said = self._mask(job, picture, meter)
        treatment = Treatment(picture)
        self.notes += said
        self.filled_px[str(job.inside)] = int(mask.sum())
        if not mask.any():
            self.notes.append(f"{job.source.name}: nothing to restore")
            self.notes += _save_untouched(job, picture)
        else:
            layer = self.restorer.fill(picture, mask, self.wish, progress=meter.show)
            if "model" in layer.made:
                self.licences = licence_notes(layer.made["model"], layer.made["licence"])
            if self.strokes is not None:
                layer = drawn_in_strokes(layer, picture, self.strokes)
            self.filled_px[str(job.inside)] = layer.made["area_px"]
            treatment = treatment.with_layer(layer)
            made = provenance(treatment)
            save_picture(job.out, treatment.flatten(), lossless=True, labels=labels(made))
            self.notes += kept_notes(job.out, picture)
        if self.layers is not None:
            _write_layers(self.layers / job.inside.parent, job.out.stem, treatment)
        if self.report is not None:
            self._write_report(job, treatment, open_picture(job.out))

    def _mask(self, job: "Job", picture: "Picture", meter: Meter) -> tuple["np.ndarray", list[str]]:
        from studio.counterparts import check_single
        from studio.masks import read_mask

        if self.mask == AUTO:
            found = self.restorer.suggest(picture, progress=meter.show)
            kinds = found.found(self.suggest.threshold)
            said = ", ".join(f"{kind.regions} x {kind.name} ({kind.confidence:.0%} sure)" for kind in kinds)
            return found.mask(self.suggest), [f"{job.source.name}: {said}"] if said else []
        path = _mask_of(job, Path(self.mask))
        check_single(path)
        for written, option in self._written(job):
            if written.exists() and os.path.samefile(written, path):
                raise SettingError(f"{written} is the mask to work from; give another name with {option}")
        read = read_mask(path, picture.size)
        return read.mask, [f"{path.name}: {note}" for note in read.notes]

    def _written(self, job: "Job") -> list[tuple[Path, str]]:
        """Where pictures and masks of a job are written, and by which option."""
        from studio.report import MASK

        places = [(job.out, "--out")]
        if self.layers is not None:
            places.append((self.layers / job.inside.parent / f"{job.out.stem}.mask.png", "--layers"))
        if self.report is not None:
            places.append((self._report_folder(job) / MASK, "--report"))
        return places

    def _report_folder(self, job: "Job") -> Path:
        return self.report / job.inside.parent / job.out.stem if self.several else self.report

    def _write_report(self, job: "Job", treatment: "Treatment", result: "Picture") -> None:
        from studio.files import sha256
        from studio.report import facts, write_report

        files = {
            "original": {"name": job.source.name, "sha256": sha256(job.source)},
            "result": {"name": job.out.name, "sha256": sha256(job.out)},
        }
        values, changes = facts(treatment, result, files=files, note=self.note)
        write_report(self._report_folder(job), treatment, result, values, changes)


def _mask_of(job: "Job", given: Path) -> Path:
    """The mask's file of a picture: the one given, or that of the same name in the folder given."""
    from studio.images import SUFFIXES

    if not given.is_dir():
        return given
    place = (given / job.inside).parent
    pictures = [path for path in sorted(place.glob("*")) if path.suffix.lower() in SUFFIXES]
    names = [path for path in pictures if path.stem == job.inside.stem]
    if not names:
        raise ImageError(f"{given} has no mask named {job.inside.stem}; add one, black where nothing is to be filled")
    return names[0]


def _save_untouched(job: "Job", picture: "Picture") -> list[str]:
    """The very file where its kind stays the same, and else the same pixels; what that cannot keep."""
    from studio.counterparts import kept_notes
    from studio.files import write_bytes
    from studio.images import FORMAT_OF, save_picture

    suffix = job.out.suffix.lower()
    if suffix == job.source.suffix.lower() or FORMAT_OF[suffix] == picture.format:
        write_bytes(job.out, job.source.read_bytes())
        return []
    save_picture(job.out, picture, lossless=True)
    return kept_notes(job.out, picture)


def _write_layers(folder: Path, stem: str, treatment: "Treatment") -> None:
    from studio.files import write_bytes
    from studio.images import save_picture
    from studio.masks import encode_mask
    from studio.raster.tiff import encode_tiff

    original = treatment.original
    make_folder(folder)
    write_bytes(folder / f"{stem}.mask.png", encode_mask(treatment.filled()))
    alone = [layer.alone(original) for layer in treatment.layers]
    for picture in alone:
        save_picture(folder / f"{stem}.fill.png", picture)
    pages = [("fill", picture.pixels) for picture in alone]
    whole = encode_tiff(original.pixels, icc=original.icc, exif=original.exif, dpi=original.dpi, layers=pages)
    write_bytes(folder / f"{stem}.layers.tif", whole)


COMMANDS.register("restore")(Command("fill cracks and losses, and touch nothing else", add_restore_arguments, run))
