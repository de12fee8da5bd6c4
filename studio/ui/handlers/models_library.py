"""What the models tab's page may ask of what is installed: a list, all about one, pictures, other names, deletion."""

import contextlib
import threading
from pathlib import Path
from typing import Any

from PIL import Image

from studio.checkpoint import WEIGHTS
from studio.errors import ImageError, SettingError, UnknownName
from studio.explore import ExploreSettings
from studio.images import encode_jpeg, open_picture
from studio.inventory import MODEL, NETWORK, Item, delete, find, inventory, network_facts, rename, task_of
from studio.recent import Recent
from studio.seeds import MAX_SEED
from studio.ui.cards import read_card
from studio.ui.components.live import Answer, data_url
from studio.ui.handlers.explore import JPEG_QUALITY, small
from studio.ui.services import Services
from studio.ui.shelf import jpeg_url, shrunk

THUMB_PX, PREVIEW_PX = 112, 900
SEEDS = 6  # pictures in a row of a comparison
MAX_DELETED = 200  # at once
TABS = {"explore": "explore", "style": "style", "inpaint": "restore", "upscale": "restore"}  # by task


class ModelsLibrary:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._pictures: Recent[str] = Recent(256)
        self._guard = threading.Lock()  # of what is renamed or deleted

    def models(self, data: Any) -> Answer:
        """Everything that is installed: {models: [...], bytes: of what is the person's own}."""
        items, told = inventory(self.services.library), []
        for item in items:
            with contextlib.suppress(FileNotFoundError):  # deleted a moment ago
                told.append(self._told(item))
        return {"models": told, "bytes": sum(item.bytes for item in items if not item.fixed)}

    def about(self, data: Any) -> Answer:
        """All about one: what the list says, its card as a tree, its picture, facts."""
        item = self.find(data)
        try:
            return self._about(item)
        except FileNotFoundError:
            raise UnknownName(f"{item.name!r} has just been renamed or deleted; choose another") from None

    def _about(self, item: Item) -> Answer:
        told = self._told(item)
        if item.kind == NETWORK:
            facts = network_facts(item.path)
            told |= {"can": [{"fills": "fill", "enlarges": "enlarge"}[facts["does"]]], "opens": "restore"}
            source = _facts(item)
            licence = source["licence"] or facts["licence"]
            told |= {**source, "family": facts["architecture"], "licence": licence, "scale": facts["scale"]}
            return {**told, "card": []}
        picture = next((url for path in item.pictures if (url := self._picture(path, PREVIEW_PX))), "")
        return {**told, **_facts(item), "card": read_card(item.card), "picture": picture}

    def draw(self, data: Any) -> Answer:
        """Pictures of data["model"] at SEEDS seeds from data["first"], at data["psi"]: {cells: [{picture, seed}]}."""
        model, first, psi = (data.get(key) if isinstance(data, dict) else None for key in ("model", "first", "psi"))
        if type(first) is not int or not 0 <= first <= MAX_SEED - SEEDS:
            raise SettingError(f"first={str(first)[:20]} is outside 0..{MAX_SEED - SEEDS} (the first of the seeds)")
        settings = ExploreSettings(model=model, psi=psi)
        cells = []
        for seed in range(first, first + SEEDS):  # one by one: of large models six at once are too much
            picture = small(self.services.explorer.picture(settings.replace(seed=seed)))
            cells.append({"picture": data_url("jpeg", encode_jpeg(picture[0], JPEG_QUALITY)), "seed": seed})
        return {"cells": cells}

    def rename(self, data: Any) -> Answer:
        """Call data's model data["to"]: {kind, name}."""
        self.check_own()
        to = data.get("to") if isinstance(data, dict) else None
        if not isinstance(to, str):
            raise SettingError("there is no name; type one")
        with self._guard:
            item = self.find(data)
            return {"kind": item.kind, "name": rename(self.services.library, item, to.strip())}

    def remove(self, data: Any) -> Answer:
        """Delete data["models"], a list of {kind, name}: {freed: bytes}. All or, where one may not go, none."""
        self.check_own()
        asked = data.get("models") if isinstance(data, dict) else None
        if not isinstance(asked, list) or not 1 <= len(asked) <= MAX_DELETED:
            raise SettingError(f"models is no list of 1 to {MAX_DELETED} models; choose some")
        with self._guard:
            items = [self.find(one) for one in asked]
            if fixed := [item for item in items if item.fixed]:
                delete(fixed[0])
            return {"freed": sum(delete(item) for item in items)}

    def find(self, data: Any) -> Item:
        """The model that a request is about. Raises SettingError, UnknownName."""
        kind, name = (data.get(key) if isinstance(data, dict) else None for key in ("kind", "name"))
        if kind not in (MODEL, NETWORK) or not isinstance(name, str):
            raise SettingError("the request names no model; reload the page")
        return find(self.services.library, kind, name)

    def check_own(self) -> None:
        """Raises SettingError where the page is a visitor's."""
        if not self.services.paths:
            sentence = "visitors of this page may not change what is installed"
            raise SettingError(f"{sentence}; ask whoever runs it, or run your own")

    def _told(self, item: Item) -> Answer:
        """What the list shows."""
        info, snapshot = item.info, item.snapshot
        config = info.config if info else {}
        thumb = next((url for path in item.pictures[:1] if (url := self._picture(path, THUMB_PX))), "")
        return {
            "kind": item.kind, "name": item.name, "title": (info.title if info else "") or item.name,
            "origin": item.origin, "bytes": item.bytes, "changed": item.changed, "can": list(item.can),
            "damaged": item.damaged, "own": self.services.paths and not item.fixed,
            "task": task_of(item), "opens": TABS.get(task_of(item), ""),
            "resolution": config.get("resolution"), "kimg": info.kimg if info else 0,
            "licence": info.licence if info else "", "run": snapshot[0] if snapshot else "", "thumb": thumb,
        }

    def _picture(self, path: Path, longest: int) -> str:
        """A small copy as a data URL; empty for what is no picture, since the rest can be told all the same."""

        def make() -> str:
            try:
                picture = open_picture(path).rgb()
            except ImageError:
                return ""
            return jpeg_url(_corner(picture) if longest == THUMB_PX else shrunk(picture, longest))

        facts = path.stat()
        return self._pictures.get((path, facts.st_mtime_ns, facts.st_size, longest), make)


def _corner(grid: Image.Image) -> Image.Image:
    """The first pictures of a grid of samples, so large that something can be seen of them."""
    side = min(grid.size)
    side = max(side // 2, min(side, THUMB_PX))
    return shrunk(grid.crop((0, 0, side, side)), THUMB_PX)


def _facts(item: Item) -> Answer:
    info, source = item.info, item.source
    facts: Answer = {"licence": source.licence if source else ""}
    if source:
        facts |= {"repo": source.repo, "revision": source.revision, "file": source.file}
    if info is None:
        return facts
    weights = (item.path / WEIGHTS).stat().st_size
    training = {key: str(info.training[key])[:200] for key in ("imported_from", "recipe") if key in info.training}
    said = info.licence != "not stated" or not source
    return {
        **facts, "licence": info.licence if said else source.licence or info.licence,
        "family": f"{info.family.title}, {info.family.paper}", "data": info.data, "data_licence": info.data_licence,
        "sha256": info.sha256, "weights": weights, "classes": info.config.get("classes") or 0, **training,
        "metrics": {str(name)[:60]: str(value)[:60] for name, value in list(info.metrics.items())[:40]},
    }
