"""The pictures to learn from: what was dropped on the train tab stays below ~/.atelier/pictures, as runs need it.

The page calls such a set by its name, `{"set": "flowers"}`; where it may, also a folder of this machine,
`{"path": ...}`.
"""

import contextlib
import io
import json
import os
import re
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from studio.dropped import Dropped
from studio.errors import DataError, ImageError, SettingError
from studio.files import disk_errors
from studio.footage import survey
from studio.library import home
from studio.raster.opening import open_picture
from studio.sources import Source, open_source
from studio.stills import StillSettings, take_stills
from studio.ui.components.live import Answer, data_url
from studio.ui.desks import Kept, check_desk, safe_name
from studio.ui.services import Services
from studio.ui.shelf import called
from studio.ui.tasks import Task

MAX_PICTURES = 50_000  # in a folder that is dropped
MAX_ARRIVING = 8  # folders that arrive at the same time
THUMB_PX = 88
_UPLOAD = re.compile(r"[0-9a-f]{32}")


class Pictures:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.root = home() / "pictures"
        self._arriving: OrderedDict[tuple[str, str], _Arriving] = OrderedDict()  # longest silent first
        self._guard = threading.Lock()

    # Which there are.

    def names(self) -> list[str]:
        """Sets that were brought, the latest first."""
        if not self.root.is_dir():
            return []
        shown = (p for p in self.root.iterdir() if not p.name.startswith("."))
        found = [p for p in shown if p.is_dir() or p.suffix.lower() == ".zip"]
        return [p.name for p in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)]

    def sets(self, data: Any) -> Answer:
        return {"sets": [{"name": name} for name in self.names()]}

    def path(self, data: Any) -> Path:
        """Of the source that a request names. Raises DataError, SettingError."""
        source = data.get("source") if isinstance(data, Mapping) else None
        if isinstance(source, dict) and isinstance(name := source.get("set"), str):
            if name not in self.names():
                raise DataError(f"there are no pictures called {name[:80]!r} any more; bring them again")
            return self.root / name
        if isinstance(source, dict) and isinstance(text := source.get("path"), str):
            if not self.services.paths:
                what = "this page may not read folders of the machine it runs on"
                raise DataError(f"{what}; drop the pictures here instead")
            path = Path(text).expanduser()
            if not text or "\0" in text or not path.is_absolute():
                raise DataError(f"{text[:200]!r} is no whole path; give one that begins at the root of the disk")
            return path
        raise SettingError("no pictures are chosen; drop a folder of them")

    def known(self, path: Path) -> dict[str, str] | None:
        """How the page may speak of the pictures of a run; None where it may not."""
        if path.parent == self.root.absolute() and path.name in self.names():
            return {"set": path.name}
        return {"path": str(path)} if self.services.paths else None

    # How they are brought.

    def gather(self, data: Any) -> Answer:
        """Some files of a folder, with their paths in it. Raises StudioError, and forgets what had arrived."""
        texts, files = getattr(data, "data", None), getattr(data, "files", None)
        if not isinstance(texts, dict) or not isinstance(files, list):
            raise SettingError("the pictures did not arrive whole; drop them again")
        key, names = _upload(texts), _names(texts.get("names"), len(files))
        try:
            arriving = self._arrive(key)
            with arriving.turn:
                for name, (_, content) in zip(names, files):
                    arriving.add(name, content)
        except BaseException:
            self._forget(key)
            raise
        return {"count": arriving.dropped.count}

    def gathered(self, data: Any) -> Answer:
        """All of a folder has come, or it was `stopped`: {source, skipped}. Raises DataError for no picture."""
        key = _upload(data)
        with self._guard:
            arriving = self._arriving.get(key)
        if arriving is None:
            raise DataError("the pictures did not arrive; drop them again")
        try:
            if data.get("stopped") is True:
                return {}
            name = self._keep(arriving.dropped.source(), _text(data, "name"))
            return {"source": {"set": name}, "skipped": len(arriving.dropped.skipped)}
        finally:
            self._forget(key)

    def receive(self, data: Any) -> Answer:
        """A piece of a zip or a film. To the last one: {source} of a zip, {film: {id, name, seconds}} of a film."""
        kept = self.services.desks.receive(data)
        if kept is None:
            return {}
        desk, purpose = data.data["desk"], data.data.get("purpose")
        try:
            if purpose == "film":
                with called(kept) as path:
                    footage = survey(path)
                seconds = round(float(footage.frames / footage.rate), 2)
                return {"id": kept.id, "film": {"id": kept.id, "name": kept.name, "seconds": seconds}}
            return {"id": kept.id, "source": {"set": self._keep_zip(kept)}}
        finally:
            if purpose != "film":
                self.services.desks.discard(desk, kept.id)

    def stills(self, data: Any) -> Callable[[Task], Answer]:
        """Work that takes the film data["file"] apart, a frame every data["every_s"] seconds: {source, skipped}."""
        desk, settings = check_desk(data.get("desk")), StillSettings.from_dict({"every_s": data.get("every_s")})
        kept = self.services.desks.find(desk, data.get("file"))

        def work(task: Task) -> Answer:
            folder = self.root / f".{secrets.token_hex(16)}"
            try:
                with self.services.desks.scratch(desk) as scratch, self.services.desks.hold(desk, [kept.id]):
                    film = scratch / kept.name  # the stills are named after it
                    with disk_errors(film):
                        shutil.copyfile(kept.path, film)
                    found = take_stills(
                        film, folder, settings,
                        progress=lambda done, total: task.progress(done / total), cancelled=task.cancelled,
                    )
                return {"source": {"set": self._keep(folder, film.stem)}, "skipped": found.alike}
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        return work

    def _keep_zip(self, kept: Kept) -> str:
        try:
            open_source(kept.path)
        except DataError as error:
            raise DataError(str(error).replace(str(kept.path), kept.name)) from error
        stem = kept.name[:-4] if kept.name.lower().endswith(".zip") else kept.name
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            beside = self.root / f".{kept.id}.zip"
            shutil.copyfile(kept.path, beside)
        return self._keep(beside, stem, ".zip")

    def _keep(self, found: Path, name: str, suffix: str = "") -> str:
        """Move pictures among the sets, under a name that none of them has."""
        stem = safe_name(name).lstrip(".") or "pictures"
        with self._guard, disk_errors(self.root):
            for i in range(1, 10_000):
                free = f"{stem}{'' if i == 1 else f' {i}'}{suffix}"
                if not (self.root / free).exists():
                    break
            os.replace(found, self.root / free)
            os.utime(self.root / free)
        return free

    def _arrive(self, key: tuple[str, str]) -> "_Arriving":
        with self._guard:
            if key not in self._arriving:
                while len(self._arriving) >= MAX_ARRIVING:
                    self._arriving.popitem(last=False)[1].forget()
                self._arriving[key] = _Arriving(self.root / f".{key[1]}")
            self._arriving.move_to_end(key)
            return self._arriving[key]

    def _forget(self, key: tuple[str, str]) -> None:
        with self._guard:
            arriving = self._arriving.pop(key, None)
        if arriving is not None:
            arriving.forget()


class _Arriving:
    """A folder on its way here, under a hidden name until it is whole."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.turn = folder, threading.Lock()
        self.dropped = Dropped(folder / "pictures")

    def add(self, name: str, content: bytes) -> None:
        piece = self.folder / "piece"
        with disk_errors(piece):
            piece.write_bytes(content)
        try:
            self.dropped.add(name, piece)
        finally:
            piece.unlink(missing_ok=True)  # what is kept is linked or copied

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def thumb(source: Source, name: str) -> str:
    """A small copy of a picture as a data URL; empty for one that cannot be read."""
    with contextlib.suppress(ImageError):
        picture = open_picture(source.read(name)).rgb()
        picture.thumbnail((THUMB_PX, THUMB_PX), reducing_gap=2.0)
        return jpeg(picture.convert("RGB"), THUMB_PX)
    return ""


def jpeg(picture: Image.Image, longest: int) -> str:
    """A data URL of the picture, shrunk to so many px where it is longer."""
    if max(picture.size) > longest:
        picture = picture.copy()
        picture.thumbnail((longest, longest))
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=90)
    return data_url("jpeg", file.getvalue())


def _upload(data: Any) -> tuple[str, str]:
    desk = check_desk(data.get("desk") if isinstance(data, Mapping) else None)
    upload = data.get("upload")
    if not isinstance(upload, str) or not _UPLOAD.fullmatch(upload):
        raise SettingError("an upload's name is 32 hexadecimal digits; reload the page")
    return desk, upload


def _names(text: Any, count: int) -> list[str]:
    """As many names as there are files, out of JSON."""
    try:
        names = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise SettingError("the pictures did not arrive with their names; drop them again")
    return names


def _text(data: Any, name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) and value.strip(" .") else "pictures"
