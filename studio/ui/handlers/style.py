"""What the style tab's page may ask for: files taken in, previews while controls move, work begun and fetched."""

import base64
import contextlib
import functools
import threading
import time
from hashlib import sha256
from typing import Any

import numpy as np

from studio.errors import ImageError, SettingError, StudioError
from studio.fine import STYLE_SIDE
from studio.footage import opened as film_opened
from studio.images import open_picture
from studio.presets import PHOTO, STYLES, style_path
from studio.provenance import read, read_film
from studio.raster.opening import Picture
from studio.style import TOOL
from studio.ui.archives import unpack
from studio.ui.components.live import Answer, Newest, Request, data_url
from studio.ui.components.stage import MAX_BATCH
from studio.ui.desks import Kept, check_desk, finding, safe_path
from studio.ui.handlers.style_controls import SLOTS, StyleControls, padded
from studio.ui.handlers.style_work import Order, StyleWork, region_masks
from studio.ui.services import Services
from studio.ui.shelf import SHOWN_PX, STYLE_PX, THUMB_PX, called, jpeg_url, shrunk, small_picture

UNCONTROLLED = ["work", "at_s", "styles", "weights", "mask"]
MAX_API_BYTES = 32 << 20  # of one picture, for scripts


class StyleHandlers:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.newest = Newest()
        self.max_bytes = services.desks.limits.file
        self._work = StyleWork(services)

    @finding
    def draw(self, data: Any) -> Answer:
        """The photo in the styles as a JPEG of at most 640 px; see StageHandlers."""
        start = time.perf_counter()
        request = Request.read(data)
        self.newest.arrive(request)
        settings, desk = StyleControls.from_dict(request.settings), check_desk(data.get("desk"))
        if not settings.work:
            return {"empty": True}
        shown = self.services.shelf.shown(desk, settings.work, settings.at_s)
        answer = {} if data.get("has") == shown.key else {"before": shown.to_dict()}
        styles = self._styles(desk, settings)
        masks = region_masks(self._labels(desk, settings, SHOWN_PX), settings)
        if not styles:
            return answer | {"picture": jpeg_url(shown.small.rgb())}
        stylist = self.services.stylist(settings.model)
        with stylist.engine.use(settings.model):
            entered = time.perf_counter()
            if self.newest.overtaken(request):
                return {"stale": True}
            pixels = stylist.preview(shown.small, styles, settings.of_style(), masks=masks)
        drawn = time.perf_counter()
        answer["picture"] = jpeg_url(pixels)
        done = time.perf_counter()
        spans = {"wait": entered - start, "draw": drawn - entered, "encode": done - drawn, "total": done - start}
        return answer | {"ms": {name: round(1000 * s, 2) for name, s in spans.items()}}

    def receive(self, data: Any) -> Answer:
        """A piece of a file. To the last one: what it is; what a zip holds, a picture's settings if made here."""
        return self.services.desks.accept(data, self._accept)

    def look(self, data: Any) -> Answer:
        """What files on the desk are: {"files": [...], "missing": [...]}."""
        missing = self.services.desks.missing(data)["missing"]
        found = [file for file in data["files"] if file not in missing]
        return {"files": [self.services.shelf.info(data["desk"], file) for file in found], "missing": missing}

    @finding
    def start(self, data: Any) -> Answer:
        """Begin the finished picture, film, or zip of many pictures."""
        settings = StyleControls.from_dict(Request.read(data).settings)
        desk = check_desk(data.get("desk"))
        styles = self._styles(desk, settings, STYLE_SIDE if settings.quality == "fine" else STYLE_PX)
        if not styles:
            raise SettingError("no style is chosen; click a painting or drop a picture")
        kind = self.services.shelf.shown(desk, settings.work, settings.at_s).kind
        files = _read_files(data.get("files"))
        for file, _ in files:
            self.services.desks.find(desk, file)
        order = Order(desk, settings, kind, styles, files, self._labels(desk, settings))
        return self.services.tasks.start(desk, functools.partial(self._work.run, order))

    def watch(self, data: Any) -> Answer:
        return self.services.tasks.watch(data)

    def stop(self, data: Any) -> Answer:
        return self.services.tasks.stop(data)

    @finding
    def take(self, data: Any) -> Answer:
        return self.services.desks.take(data)

    def sample(self, data: Any) -> Answer:
        """A photo to try the styles on."""
        return {"picture": data_url("jpeg", PHOTO.read_bytes()), "name": PHOTO.name}

    def presets(self, data: Any) -> Answer:
        """The bundled paintings as thumbnails. The tab was opened: the model is made ready beside it."""
        threading.Thread(target=self._warm, name="warm-style", daemon=True).start()
        thumbs = [(name, shrunk(open_picture(style_path(name)).rgb(), THUMB_PX)) for name in STYLES]
        return {"presets": [{"name": name, "picture": jpeg_url(thumb)} for name, thumb in thumbs]}

    def _warm(self) -> None:
        # whatever is wrong with the model is said when something is painted
        with contextlib.suppress(StudioError):
            self.services.stylist(StyleControls().model).check()

    def png(self, photo: Any, styles: Any, settings: Any) -> bytes:
        """For scripts: pictures as data URLs or Base64, styles also as names of presets. Raises StudioError."""
        if not isinstance(styles, list) or not 1 <= len(styles) <= SLOTS:
            raise SettingError(f"styles is no list of 1..{SLOTS} pictures or names of presets")
        files = [b"" if style in STYLES else picture_bytes(style) for style in styles]
        names = [style if style in STYLES else sha256(file).hexdigest() for style, file in zip(styles, files)]
        opened = lambda file: small_picture(open_picture(file), STYLE_PX)
        pictures = [opened(file) if file else _preset(name) for name, file in zip(names, files)]
        if not isinstance(settings, dict):
            raise SettingError("settings are no names with values; give {} for the defaults")
        values = {**settings, "styles": padded(names, ""), "weights": padded(settings.get("weights") or [], 1.0)}
        controls = StyleControls.from_dict(values).replace(format="png")
        return self._work.paint(open_picture(picture_bytes(photo)), pictures, controls, None)

    def _styles(self, desk: str, settings: StyleControls, longest: int = STYLE_PX) -> list[Picture]:
        names = [settings.styles[i] for i in settings.chosen]
        return [_preset(name) if name in STYLES else self.services.shelf.style(desk, name, longest) for name in names]

    def _labels(self, desk: str, settings: StyleControls, longest: int = 0) -> np.ndarray | None:
        """What was painted, at about that longest side."""
        if not settings.mask:
            return None
        labels = self.services.shelf.labels(desk, settings.mask)
        step = max(labels.shape) // (2 * longest) + 1 if longest else 1
        return labels[::step, ::step]

    def _accept(self, desk: str, kept: Kept, purpose: Any) -> Answer:
        shelf = self.services.shelf
        if purpose == "mask":
            shelf.labels(desk, kept.id)
            return {"id": kept.id, "name": kept.name}
        if purpose == "style":
            shelf.style(desk, kept.id)
        elif purpose == "work" and kept.name.lower().endswith(".zip"):
            files, skipped = unpack(self.services.desks, desk, kept, MAX_BATCH)
            listed = [{"id": file.id, "name": name} for file, name in files]
            return {"id": kept.id, "name": kept.name, "kind": "zip", "files": listed, "skipped": skipped}
        info = shelf.info(desk, kept.id)
        if purpose == "work":
            info |= self._restored(kept, info["kind"])
        return info

    def _restored(self, kept: Kept, kind: str) -> Answer:
        """The settings inside a picture or film made in this tab, and what may keep it from looking the same."""
        if kind == "film":
            with called(kept) as path, film_opened(path) as film:
                found = read_film(film.metadata)
        else:
            found = read(kept.path)
        if found is None or found.tool != TOOL:
            return {}
        controls = StyleControls.restored(found.settings)
        answer: Answer = {"settings": controls.to_dict()}
        if controls.quality == "fine":
            return answer
        if found.model not in self.services.models("style"):
            del answer["settings"]["model"]
            return answer | {"notice": "style.model_missing", "values": {"model": found.model}}
        if found.model_sha256 != self.services.engine.info(found.model).sha256:
            answer |= {"notice": "style.model_differs", "values": {"model": found.model}}
        return answer


@functools.cache
def _preset(name: str) -> Picture:
    return open_picture(style_path(name))


def _read_files(files: Any) -> list[tuple[str, str]]:
    """[{id, name}] from the page as pairs, names with their folders and fit for a zip."""
    if not isinstance(files, list) or len(files) > MAX_BATCH:
        raise SettingError(f"files is no list of at most {MAX_BATCH} pictures; drop fewer at a time")
    pairs = []
    for file in files:
        if not isinstance(file, dict) or not all(isinstance(file.get(key), str) for key in ("id", "name")):
            raise SettingError("a file in the list has no name; reload the page")
        pairs.append((file["id"], safe_path(file["name"])))
    return pairs


def picture_bytes(text: Any) -> bytes:
    """The file in a data URL or in Base64, at most MAX_API_BYTES of it. Raises ImageError."""
    if not isinstance(text, str):
        raise ImageError("a picture is no text; give a data URL or Base64")
    body = text.partition(",")[2] if text.startswith("data:") else text
    if len(body) > MAX_API_BYTES * 4 // 3 + 4:
        size = f"a picture has over {MAX_API_BYTES >> 20} MiB"
        raise ImageError(f"{size}; use the command line for it: python -m studio")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:  # binascii.Error, or text that is not even ASCII
        raise ImageError("a picture is not valid Base64; send it again") from None
