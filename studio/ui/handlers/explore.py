"""What the explore tab's page may ask for: pictures, contact sheets, a file, and the settings inside one."""

import base64
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from studio.errors import ImageError, SettingError
from studio.explore import TOOL, ExploreSettings
from studio.images import encode_jpeg
from studio.provenance import encode_png, read
from studio.seeds import MAX_SEED
from studio.ui.components.live import MAX_FILE_BYTES, Answer, Newest, Request, data_url
from studio.ui.services import Services

STEPS = 7  # in-betweens on the strip
SEEDS = 12  # pictures on a page of the grid
MAX_BOOKMARKS = 24
TOGETHER = 4  # small pictures made before looking whether the view moves again
THUMB_PX = 128  # larger pictures are shrunk to this for a sheet
SHOWN_PX = 256  # smaller pictures are smoothed up to this for the page: browsers magnify in visible steps
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Description:
    """What the page shows of a model: facts in words, the number of its classes, its dials' effects (0..1).

    movable: whether its pictures can be shifted and turned.
    """

    facts: tuple[str, ...]
    classes: int
    effects: tuple[float, ...]
    movable: bool


class ExploreHandlers:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.newest = Newest()

    def draw(self, data: Any) -> Answer:
        """The picture of the settings as JPEG, or {"stale": True} when a newer request of the page came meanwhile.

        `ms` says where the time went: waiting for the device, making the picture, encoding it.
        """
        start = time.perf_counter()
        request = Request.read(data)
        self.newest.arrive(request)
        settings = ExploreSettings.from_dict(request.settings)
        self.services.explorer.prepare([settings])
        with self.services.explorer.engine.use(settings.model):
            entered = time.perf_counter()
            if self.newest.overtaken(request):
                return {"stale": True}
            picture = self.services.explorer.picture(settings)
        drawn = time.perf_counter()
        jpeg = encode_jpeg(_smooth(picture)[0], JPEG_QUALITY)
        done = time.perf_counter()
        spans = {"wait": entered - start, "draw": drawn - entered, "encode": done - drawn, "total": done - start}
        return {"picture": data_url("jpeg", jpeg), "ms": {name: round(1000 * s, 2) for name, s in spans.items()}}

    def strip(self, data: Any) -> Answer:
        """The walk's in-betweens as cells."""
        request = Request.read(data)
        settings = ExploreSettings.from_dict(request.settings)
        steps = [i / (STEPS - 1) for i in range(STEPS)]
        return self._cells(request, [(settings.replace(walk=t), f"{t:.0%}", {"walk": round(t, 2)}) for t in steps])

    def grid(self, data: Any) -> Answer:
        """The same controls at the seeds from data["first"] on, as cells."""
        request = Request.read(data)
        first = data.get("first")
        if type(first) is not int or not 0 <= first <= MAX_SEED:
            raise SettingError(f"first={first!r} is outside 0..{MAX_SEED} (the seed that the page begins with)")
        settings = ExploreSettings.from_dict(request.settings)
        seeds = range(first, min(first + SEEDS, MAX_SEED + 1))
        patches = [{"seed": seed, "walk": 0.0} for seed in seeds]
        return self._cells(request, [(settings.replace(**patch), str(patch["seed"]), patch) for patch in patches])

    def kept(self, data: Any) -> Answer:
        """What the model makes of the bookmarks data["bookmarks"], settings without a model, as cells.

        Those that it cannot draw have no picture, and what they `says` instead.
        """
        request = Request.read(data)
        model, bookmarks = ExploreSettings.from_dict(request.settings).model, data.get("bookmarks")
        if not isinstance(bookmarks, list) or not all(isinstance(one, dict) for one in bookmarks):
            kind = type(bookmarks).__name__
            raise SettingError(f"the bookmarks are a {kind}, not a list of settings; reload the page")
        if len(bookmarks) > MAX_BOOKMARKS:
            raise SettingError(f"{len(bookmarks)} bookmarks are more than {MAX_BOOKMARKS}; remove some")
        cells = []
        for one in bookmarks:
            try:
                settings = ExploreSettings.from_dict({**one, "model": model})
                answer = self._cells(request, [(settings, str(settings.seed), {})])
            except SettingError as error:  # a class that this model has not, say: the others are drawn all the same
                answer = {"cells": [{"picture": None, "caption": "–", "patch": {}, "says": str(error)}]}
            if "stale" in answer:
                return answer
            cells += answer["cells"]
        return {"cells": cells}

    def save(self, data: Any) -> Answer:
        """The picture at full quality, with its settings inside, as a PNG to download."""
        settings = ExploreSettings.from_dict(Request.read(data).settings)
        return {"picture": data_url("png", self.png(settings)), "name": f"{settings.model}-seed{settings.seed}.png"}

    def png(self, settings: ExploreSettings) -> bytes:
        picture = self.services.explorer.picture(settings)
        return encode_png(picture[0], self.services.explorer.provenance(settings))

    def open(self, data: Any) -> Answer:
        """The settings inside a picture made here: {"settings": ...}; a notice says where they may fall short."""
        found = read(_file_bytes(data))
        if found is None:
            return {"notice": "explore.no_settings"}
        if found.tool != TOOL:
            return {"notice": "explore.other_tool", "values": {"tool": found.tool}}
        if found.model not in self.services.models("explore"):
            return {"notice": "explore.model_missing", "values": {"model": found.model}}
        answer: Answer = {"settings": ExploreSettings.from_dict({**found.settings, "model": found.model}).to_dict()}
        if found.model_sha256 != self.services.explorer.engine.info(found.model).sha256:
            answer |= {"notice": "explore.model_differs", "values": {"model": found.model}}
        return answer

    def describe(self, model: Any) -> Description:
        """Raises StudioError for a name that is not installed or a model that cannot be read."""
        name = ExploreSettings(model=model).model
        info = self.services.explorer.engine.info(name)
        size, length = f"{info.config['resolution']} px", f"{info.kimg:,.0f} kimg"
        facts = (info.title, info.family.title, size, length, info.licence)
        effects = tuple(self.services.explorer.dials(name).effects.tolist())
        facts, classes = tuple(fact for fact in facts if fact), int(info.config.get("classes", 0))
        return Description(facts, classes, effects, self.services.explorer.movable(name))

    def _cells(self, request: Request, wishes: list[tuple[ExploreSettings, str, dict[str, float]]]) -> Answer:
        cells = []
        for i in range(0, len(wishes), TOGETHER):
            if self.newest.overtaken(request):
                return {"stale": True}
            group = wishes[i : i + TOGETHER]
            pictures = small(self.services.explorer.pictures([settings for settings, _, _ in group]))
            for picture, (_, caption, patch) in zip(pictures, group):
                url = data_url("jpeg", encode_jpeg(picture, JPEG_QUALITY))
                cells.append({"picture": url, "caption": caption, "patch": patch})
        return {"cells": cells}


def _smooth(picture: Tensor) -> Tensor:
    if picture.shape[-1] >= SHOWN_PX:
        return picture
    with torch.inference_mode():
        return interpolate(picture, size=SHOWN_PX, mode="bicubic").clamp(-1, 1)


def small(pictures: Tensor) -> Tensor:
    """At most THUMB_PX on a side."""
    side = pictures.shape[-1]
    if side <= THUMB_PX:
        return pictures
    with torch.inference_mode():
        return interpolate(pictures, size=THUMB_PX, mode="area")


def _file_bytes(data: Any) -> bytes:
    text = data.get("file") if isinstance(data, dict) else None
    if not isinstance(text, str):
        raise ImageError("no file arrived; drop the picture again")
    if len(text) > MAX_FILE_BYTES * 4 // 3 + 4:
        raise ImageError(f"the picture is larger than {MAX_FILE_BYTES >> 20} MiB; drop the file as it was saved here")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or text that is not even ASCII
        raise ImageError("the file did not arrive whole; drop the picture again") from None
