"""What the restore tab makes when asked: suggestions, fills, finished and larger pictures, layers, reports."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from studio.enlarge import DENOISE, UPSCALE, DenoiseSettings, UpscaleSettings
from studio.errors import Cancelled, ImageError, SettingError, stop_if
from studio.files import disk_errors
from studio.images import encode, open_picture
from studio.layers import Layer, Treatment
from studio.masks import MAX_GROWTH, check_fillable, encode_mask
from studio.provenance import PARTLY_GENERATED
from studio.raster.labels import Labels
from studio.raster.opening import Picture
from studio.raster.tiff import encode_tiff
from studio.report import facts, write_report
from studio.restore import RestoreSettings, labels, provenance
from studio.session import SUFFIX
from studio.suggestion import Suggestion, SuggestSettings
from studio.ui.batches import Made, zip_each
from studio.ui.desks import Kept
from studio.ui.handlers.restore_controls import LOSSLESS, RestoreControls
from studio.ui.handlers.restore_files import (
    encode_layer, encode_proposal, open_original, read_mask_of, treatment_of,
)
from studio.ui.handlers.restore_networks import RestoreNetworks
from studio.ui.handlers.restore_sessions import Steps, save_steps
from studio.ui.handlers.restore_views import SHOWN_PX, flattened
from studio.ui.services import Services
from studio.ui.shelf import SUFFIX_OF, jpeg_url, shrunk
from studio.ui.tasks import Stopped, Task

JOBS = ("suggest", "fill", "redo", "save", "layers", "report", "session", "enlarge")
ON_STAGE = ("suggest", "fill", "redo")  # whose results the page takes back onto its stage
MOST_WRITTEN = 60  # layers whose names fit into a picture's text beside what made them


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be done, for which desk. files: (file, name, mask or "") of many pictures; none for the one."""

    desk: str
    job: str
    controls: RestoreControls
    files: list[tuple[str, str, str]] = field(default_factory=list)
    steps: Steps = Steps()  # of a session
    layer: str = ""  # that is done again


class RestoreWork:
    """Does what was ordered, within a task, and puts it on the desk."""

    def __init__(self, services: Services, networks: RestoreNetworks) -> None:
        self.services, self.networks = services, networks

    def check(self, order: Order) -> None:
        """Raises StudioError for what could not be done anyway."""
        if order.job in ("fill", "redo"):
            self.networks.restorer(order.desk, order.controls)
        if order.job == "fill" and not order.controls.mask:
            raise SettingError("nothing is marked; paint what is to be filled, or let damage be suggested")
        if order.job == "suggest":
            self.networks.detecting()
        if order.job == "enlarge":
            self.networks.enlarger(order.desk, order.controls)
        if order.job in ("save", "layers", "report") and not order.files and not order.controls.stack:
            raise SettingError("nothing has been filled; paint what is to be filled, and press Fill")
        for file, _, mask in order.files:
            for name in filter(None, (file, mask)):
                self.services.desks.find(order.desk, name)

    def run(self, order: Order, task: Task) -> Kept:
        """Raises StudioError, or Stopped where there was nothing to keep."""
        sources = [name for file, _, mask in order.files for name in (file, mask) if name]
        controls = order.controls
        sources += [name for name in (controls.work, controls.mask, *controls.stack) if name and not order.files]
        sources += [name for name in (controls.network, controls.enlarger) if name]
        make = self._many if order.files else getattr(self, f"_{order.job}")
        words = "" if order.files else f"restore.at_{order.job}"
        task.say(words, job=order.job, work=controls.work, layer=order.layer)
        with self.services.desks.hold(order.desk, sources), self.services.desks.scratch(order.desk) as folder:
            try:
                path, name = make(order, task, folder)
            except Cancelled:
                raise Stopped from None
            if order.job not in ON_STAGE and not order.files:
                task.say("", job=order.job)  # what it was about is said no more
            return self.services.desks.add(order.desk, path, name)

    # ---- what goes back onto the stage

    def _suggest(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        picture = self._original(order)
        found = self.networks.detecting().suggest(picture, progress=task.progress, cancelled=task.cancelled)
        return _put(folder / "proposal", encode_proposal(found)), "damage.png"

    def _fill(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        treatment = treatment_of(self.services.desks, order.desk, order.controls)
        mask = read_mask_of(self.services.desks, order.desk, order.controls.mask, treatment.original)
        made = self._filled(order, treatment.flatten(), mask, order.controls.of_fill(), task)
        treatment.with_layer(made)  # which says if there are too many
        return _put(folder / "layer", encode_layer(made)), "layer.png"

    def _redo(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        treatment = treatment_of(self.services.desks, order.desk, order.controls)
        number = order.controls.stack.index(order.layer)
        old, settings = treatment.layer(number), order.controls.of_fill()
        was = old.made.get("grow")
        more = settings.grow - (was if type(was) is int else 0)  # the layer's place is of the mask as it was grown
        more = max(min(more, MAX_GROWTH), -MAX_GROWTH)
        mask = old.mask(treatment.original.pixels.shape[:2])
        made = self._filled(order, treatment.below(number), mask, settings.replace(grow=more), task)
        made.made["grow"] = settings.grow
        return _put(folder / "layer", encode_layer(made)), "layer.png"

    def _filled(
        self, order: Order, picture: Picture, mask: np.ndarray, settings: RestoreSettings, task: Task
    ) -> Layer:
        return self.networks.restorer(order.desk, order.controls).fill(
            picture, mask, settings, progress=task.progress, cancelled=task.cancelled
        )

    # ---- what the person takes away

    def _save(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        treatment = treatment_of(self.services.desks, order.desk, order.controls)
        task.progress(0.3)
        data = self._finished(treatment, order.controls)
        return _put(folder / "picture", data), self._name(order, SUFFIX_OF[order.controls.format])

    def _layers(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        """A TIFF of several pages for TIFF, else a zip: the original as it came, and each layer over it."""
        treatment = treatment_of(self.services.desks, order.desk, order.controls)
        original, visible = treatment.original, [layer for layer in treatment.layers if not layer.hidden]
        path = folder / "layers"
        if order.controls.format == "tiff":
            pages = [(f"fill {i}", layer.alone(original).pixels) for i, layer in enumerate(visible, 1)]
            data = encode_tiff(
                original.pixels, icc=original.icc, exif=original.exif, dpi=original.dpi, layers=pages,
                xmp=labels(provenance(treatment)).xmp,
            )
            return _put(path, data), self._name(order, ".tif", "layers")
        kept = self.services.desks.find(order.desk, order.controls.work)
        with disk_errors(path), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as zipped:
            zipped.write(kept.path, f"original{PurePosixPath(kept.name).suffix.lower()}")
            for i, layer in enumerate(visible, 1):
                stop_if(task.cancelled)
                zipped.writestr(f"fill-{i:02}.png", encode(layer.alone(original), "PNG"))
                task.progress(i / len(visible))
            zipped.writestr("mask.png", encode_mask(treatment.filled()))
        return path, self._name(order, ".zip", "layers")

    def _report(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        """A zip: the result, and what was done to it as a page and as JSON."""
        treatment = treatment_of(self.services.desks, order.desk, order.controls)
        data = self._finished(treatment, order.controls)
        task.progress(0.4)
        kept = self.services.desks.find(order.desk, order.controls.work)
        name = self._name(order, SUFFIX_OF[order.controls.format])
        files = {
            "original": {"name": kept.name, "sha256": kept.id},
            "result": {"name": name, "sha256": hashlib.sha256(data).hexdigest()},
        }
        result = open_picture(data)
        values, changes = facts(treatment, result, files=files, note=order.controls.note)
        write_report(folder / "report", treatment, result, values, changes)
        task.progress(0.9)
        path = folder / "zip"
        with disk_errors(path), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as zipped:
            zipped.writestr(name, data)
            for file in sorted((folder / "report").iterdir()):
                zipped.write(file, file.name)
        return path, self._name(order, ".zip", "report")

    def _session(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        """The treatment with every step whose files are still there."""
        save_steps(self.services.desks, order.desk, order.steps, folder / "session")
        return folder / "session", self._name(order, SUFFIX, "session")

    def _enlarge(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        controls = order.controls
        picture = flattened(treatment_of(self.services.desks, order.desk, controls), controls)
        enlarger, scale = self.networks.enlarger(order.desk, controls), int(controls.scale)
        work = {"progress": task.progress, "cancelled": task.cancelled}
        if scale == 1:
            settings, tool = DenoiseSettings(strength=controls.noise), DENOISE
            made = enlarger.denoise(picture, settings, **work)
        else:
            settings, tool = UpscaleSettings(scale=scale, strength=controls.noise), UPSCALE
            made = enlarger.upscale(picture, settings, **work)
        task.show(jpeg_url(shrunk(made.rgb(), SHOWN_PX)))
        data = encoded(made, controls.format, enlarger.provenance(tool, settings).labels(PARTLY_GENERATED))
        kind = "clean" if scale == 1 else f"x{scale}"
        return _put(folder / "picture", data), self._name(order, SUFFIX_OF[controls.format], kind)

    def _many(self, order: Order, task: Task, folder: Path) -> tuple[Path, str]:
        """A zip of what could be done; notes.txt in it says what was not, and why."""
        path, count = folder / "zip", len(order.files)

        def make(i: int, progress: Callable[[float], None]) -> Made:
            task.say("restore.picture_of", i=i + 1, count=count, job="many")
            file, name, mask = order.files[i]
            data, suffix = self._one_of_many(order, file, mask, progress, task.cancelled)
            untouched = "" if suffix else "nothing to restore was found; it is as it was"
            return data, suffix or PurePosixPath(name).suffix, untouched

        done, notes = zip_each(path, [name for _, name, _ in order.files], make, task, "notes.txt")
        words = "restore.kept_part" if task.cancelled() else "restore.noted" if notes else ""
        task.say(words, count=len(notes), job="many")
        return path, f"restored-{done}.zip"

    def _one_of_many(
        self, order: Order, file: str, mask: str, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> tuple[bytes, str]:
        """One picture as a file, and the suffix of its kind; without one it is the very file that came."""
        desks, controls = self.services.desks, order.controls
        kept = desks.find(order.desk, file)
        original = open_original(kept)
        if mask:
            where = read_mask_of(desks, order.desk, mask, original)
        elif self.services.models("damage"):
            half_way = lambda fraction: progress(fraction / 2)
            found = self.networks.detecting().suggest(original, progress=half_way, cancelled=cancelled)
            where = proposed_mask(found, controls, original)
        else:
            raise ImageError("it has no mask; put one beside it that is called as it is, with -mask at the end")
        if not where.any():
            return kept.path.read_bytes(), ""
        half = 0.5 if not mask else 0.0
        step = lambda fraction: progress(half + (1 - half) * fraction)
        controls = controls.replace(work=file, mask=mask, layers=(), hidden=())  # not of the one that stands there
        return self.repaired(order.desk, original, where, controls, step, cancelled), SUFFIX_OF[controls.format]

    def repaired(
        self, desk: str, original: Picture, where: np.ndarray, controls: RestoreControls,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
    ) -> bytes:
        """A picture filled where the mask [H, W] bool says, as a file. Raises StudioError, or Cancelled."""
        check_fillable(where)
        restorer = self.networks.restorer(desk, controls)
        layer = restorer.fill(original, where, controls.of_fill(), progress=progress, cancelled=cancelled)
        return self._finished(Treatment(original).with_layer(layer), controls)

    # ---- parts

    def _finished(self, treatment: Treatment, controls: RestoreControls) -> bytes:
        # the note is for the report: pictures are handed on
        kept = controls.replace(proposal="", note="").to_dict()
        made = provenance(treatment, {"controls": kept} if len(controls.layers) <= MOST_WRITTEN else None)
        return encoded(flattened(treatment, controls), controls.format, labels(made))

    def _original(self, order: Order) -> Picture:
        return open_original(self.services.desks.find(order.desk, order.controls.work))

    def _name(self, order: Order, suffix: str, kind: str = "restored") -> str:
        kept = self.services.desks.find(order.desk, order.controls.work)
        return f"{PurePosixPath(kept.name).stem}-{kind}{suffix}"


def proposed_mask(found: Suggestion, controls: RestoreControls, picture: Picture) -> np.ndarray:
    """What is proposed at the settings' threshold, [H, W] bool of the picture's size."""
    classes = [name for name in found.classes if name not in controls.ignored]
    height, width = picture.pixels.shape[:2]
    if not classes:
        return np.zeros((height, width), bool)
    mask = found.mask(SuggestSettings(threshold=controls.threshold, classes=tuple(classes)))
    step = -(-height // mask.shape[0])
    if step > 1:  # the proposal of a very large picture is kept smaller
        mask = mask.repeat(step, axis=0).repeat(step, axis=1)
    if mask.shape[0] < height or mask.shape[1] < width:
        raise ImageError("the suggestion belongs to another picture; suggest again")
    return mask[:height, :width]


def encoded(picture: Picture, format: str, labels: Labels) -> bytes:
    """A picture as a file, without loss in all formats but JPEG. Raises ImageError where WebP would lose bits."""
    if format == "webp" and picture.pixels.dtype == np.uint16:
        raise ImageError("the picture has 16 bits a channel, and WebP holds 8; save it as PNG or TIFF")
    return encode(picture, format.upper(), lossless=format in LOSSLESS, labels=labels)


def _put(path: Path, data: bytes) -> Path:
    with disk_errors(path):
        path.write_bytes(data)
    return path
