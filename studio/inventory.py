"""What is installed, as a person wants it told: what each model can do, where it came from, what it takes up."""

import contextlib
import functools
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from studio import library
from studio.capabilities import (
    DamageDetector, Inpainter, Movable, NoiseGenerator, StyleGenerator, Styler, Translator, Upscaler,
)
from studio.checkpoint import CARD, INFO, VERSION, WEIGHTS, ModelInfo, read_info, weights_bytes
from studio.errors import SettingError, StudioError, UnknownName
from studio.files import disk_errors, write_json
from studio.formats.spandrel import facts_of, read_foreign
from studio.hub.install import MAX_CARD, MAX_PICTURE, PICTURES, Source, read_source, source_path
from studio.library import Library

MODEL, NETWORK = "model", "network"
# by the words under which the page explains them
_CAN = {
    "noise": NoiseGenerator, "styles": StyleGenerator, "move": Movable, "paint": Styler, "fill": Inpainter,
    "translate": Translator, "detect": DamageDetector, "enlarge": Upscaler,
}
_FOREIGN = {"fills": ("fill", "inpaint"), "enlarges": ("enlarge", "upscale")}
_SNAPSHOT = re.compile(r"(?P<run>.+) (?P<kimg>\d+(?:\.\d+)?(?:e[+-]?\d+)?) kimg")


@dataclass(frozen=True)
class Item:
    """An installed model, or the file of a network that restores pictures."""

    kind: str  # MODEL or NETWORK
    name: str
    path: Path  # its folder, or its file
    origin: str  # bundled, hub, trained, imported or file
    bytes: int  # on the disk
    changed: float  # seconds since 1970
    info: ModelInfo | None = None  # of a model that can be read
    source: Source | None = None  # on the Hub
    can: tuple[str, ...] = ()
    damaged: str = ""  # what is wrong with it

    @property
    def fixed(self) -> bool:
        """Whether it comes with the studio, and stays as it is."""
        return self.origin == "bundled"

    @property
    def snapshot(self) -> tuple[str, float] | None:
        """The run and the kimg of a moment of a training, as its name tells them."""
        found = _SNAPSHOT.fullmatch(self.name) if self.origin == "trained" else None
        return (found["run"], float(found["kimg"])) if found else None

    @property
    def pictures(self) -> list[Path]:
        """Those that its card shows, as far as they are small enough to be that."""
        if self.kind == NETWORK:
            return []
        found = [p for p in sorted(self.path.iterdir()) if p.suffix.lower() in PICTURES and p.is_file()]
        return [p for p in found if p.stat().st_size <= MAX_PICTURE]

    @property
    def card(self) -> str:
        """The text of its card, a stranger's Markdown; empty where there is none."""
        path = self.path / CARD
        if self.kind == NETWORK or not path.is_file() or path.stat().st_size > MAX_CARD:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")


def inventory(models: Library) -> list[Item]:
    """Everything that is installed; what is damaged is listed too, and hides nothing else."""
    looks = [functools.partial(_model, models, name) for name in models.names()]
    looks += [functools.partial(_network, path) for path in library.networks().values()]
    items = []
    for look in looks:
        with contextlib.suppress(FileNotFoundError, UnknownName):  # deleted a moment ago
            items.append(look())
    return items


def find(models: Library, kind: str, name: str) -> Item:
    """Raises UnknownName. A name is never a path."""
    if kind == NETWORK:
        files = library.networks()
        if name not in files:
            known = ", ".join(files) or "none"
            raise UnknownName(f"no network named {name!r}; installed: {known}")
        return _there(name, lambda: _network(files[name]))
    models.find(name)
    return _there(name, lambda: _model(models, name))


def _there(name: str, look: Callable[[], Item]) -> Item:
    try:
        return look()
    except FileNotFoundError:
        raise UnknownName(f"{name!r} has just been renamed or deleted; choose another") from None


def rename(models: Library, item: Item, to: str) -> str:
    """Call it otherwise; its name then. Raises SettingError, DiskError."""
    _check_own(item, "renamed")
    library.check_name(to)
    to += item.path.suffix if item.kind == NETWORK and Path(to).suffix.lower() != item.path.suffix.lower() else ""
    if to == item.name:
        return to
    taken = library.networks() if item.kind == NETWORK else models.names()
    place = item.path.with_name(to)
    if to in taken or place.exists():
        raise SettingError(f"there is a {item.kind} named {to!r} already; choose another name")
    with disk_errors(place):
        os.rename(item.path, place)
        if item.kind == NETWORK and source_path(item.path).is_file():
            os.rename(source_path(item.path), source_path(place))
    if item.info is not None and item.info.title == item.name:
        write_json(place / INFO, {"version": VERSION, **vars(item.info), "title": to})
    return to


def delete(item: Item) -> int:
    """Remove it from the disk; the bytes that freed. Raises SettingError for what comes with the studio; DiskError."""
    _check_own(item, "deleted")
    with disk_errors(item.path):
        if item.kind == NETWORK:
            item.path.unlink()
            source_path(item.path).unlink(missing_ok=True)
        else:
            # hidden first: one that was deleted by half would be listed as damaged
            gone = item.path.with_name(f".deleted.{secrets.token_hex(4)}")
            os.rename(item.path, gone)
            shutil.rmtree(gone)
    return item.bytes


def network_facts(path: Path) -> dict[str, Any]:
    """{does, architecture, licence, scale} of a network's file: as noted when it was installed, else by reading it.

    Raises CheckpointError, CapabilityError.
    """
    noted = noted_facts(path)
    facts = path.stat()
    return noted or _read_facts(path, facts.st_mtime_ns, facts.st_size)


def noted_facts(path: Path) -> dict[str, Any]:
    """The same, empty where nothing was noted."""
    try:
        facts = json.loads(source_path(path).read_text(encoding="utf-8"))["network"]
        told = {key: str(facts[key])[:200] for key in ("does", "architecture", "licence")}
        return {**told, "scale": int(facts["scale"])} if told["does"] in _FOREIGN else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def task_of(item: Item) -> str:
    """The kind of work it is for; empty where that is not known without reading it."""
    if item.kind == NETWORK:
        return _FOREIGN.get(noted_facts(item.path).get("does", ""), ("", ""))[1]
    return item.info.family.task if item.info else ""


def _check_own(item: Item, what: str) -> None:
    if item.fixed:
        raise SettingError(f"{item.name} comes with the studio and cannot be {what}; choose one of your own")


def _model(models: Library, name: str) -> Item:
    folder = models.find(name)
    size, changed = _weight(folder)
    source = read_source(folder)
    origin = "bundled" if folder.parent == library.BUNDLED else "hub" if source else "file"
    item = Item(MODEL, name, folder, origin, size, changed, source=source)
    try:
        info = read_info(folder)
        info.network_config()
        weights_bytes(folder)  # whether the file is there and as long as its own header says
        if origin == "file" and "imported_format" in info.training:
            origin = "imported"
        elif origin == "file" and "recipe" in info.training:
            origin = "trained"
        can = _capabilities(info.model, json.dumps(dict(info.config), sort_keys=True))
    except StudioError as error:
        why = str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), name)
        return Item(MODEL, name, folder, origin, size, changed, source=source, damaged=why)
    return Item(MODEL, name, folder, origin, size, changed, info, source, can)


def _network(path: Path) -> Item:
    noted, facts, source = noted_facts(path), path.stat(), read_source(path)
    can = (_FOREIGN[noted["does"]][0],) if noted else ()
    origin = "hub" if source else "file"
    return Item(NETWORK, path.name, path, origin, facts.st_size, facts.st_mtime, source=source, can=can)


@functools.lru_cache(256)
def _capabilities(model: str, config: str) -> tuple[str, ...]:
    """What networks of these settings can do, laid out without memory to look at them."""
    info = ModelInfo(model=model, config=json.loads(config), sha256="")
    with torch.device("meta"):
        network = info.family.build(info.network_config())
    return tuple(name for name, capability in _CAN.items() if isinstance(network, capability))


@functools.lru_cache(64)
def _read_facts(path: Path, changed_ns: int, size: int) -> dict[str, Any]:
    return facts_of(read_foreign(path))


def _weight(folder: Path) -> tuple[int, float]:
    """Bytes of all files of a checkpoint, and when its weights were written."""
    files = [p for p in folder.iterdir() if p.is_file()]
    weights = folder / WEIGHTS if (folder / WEIGHTS).is_file() else folder / INFO
    return sum(p.stat().st_size for p in files), weights.stat().st_mtime
