"""Visitors' desks: the files that a page has sent or had made, under a name that this page alone knows.

A file goes to and fro in pieces, so that neither a body nor the memory has to hold all of it. It is called by its
content's hash, within its desk: a hash that stands in a picture's provenance opens nothing on another desk. Desks
that were silent longest make room first; a page that finds its file gone sends it again.
"""

import base64
import contextlib
import functools
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from studio.errors import DiskError, SettingError, StudioError
from studio.files import disk_errors, sha256

PIECE_BYTES = 8 << 20
MAX_NAME = 120
_PREFIX = "atelier-desks-"
_SECRET = re.compile(r"[0-9a-f]{32}")
FILE = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,15}")
MAX_DEPTH = 8  # folders that a file's name keeps
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u202a-\u202e\u2066-\u2069]+')  # of file names, on any system


class MissingFile(StudioError):
    """A file that is not on the desk, or not any more."""

    def __init__(self, file: str) -> None:
        super().__init__("a file is no longer on the desk; drop it again")
        self.file = file


def finding(ask: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Answers {"missing": [file]} for a file that is not on the desk, so that the page can send it again."""

    @functools.wraps(ask)
    def answer(*arguments: Any) -> dict[str, Any]:
        try:
            return ask(*arguments)
        except MissingFile as error:
            return {"missing": [error.file]}

    return answer


@dataclass(frozen=True)
class Limits:
    """In bytes, save `desks` and `files`. A desk that is full forgets what it has not used for longest."""

    file: int = 1 << 30
    desk: int = 3 << 30
    total: int = 12 << 30
    desks: int = 256
    files: int = 1200  # on one desk
    uploads: int = 4  # of one desk, at the same time


@dataclass(frozen=True)
class Kept:
    """A file on a desk. `id` is the SHA-256 of its content, `name` what the visitor calls it, fit for a file."""

    id: str
    name: str
    path: Path
    bytes: int


@dataclass
class _Upload:
    path: Path
    name: str
    size: int
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    busy: bool = False


@dataclass
class _Desk:
    folder: Path
    files: OrderedDict[str, Kept] = field(default_factory=OrderedDict)  # longest unused first
    uploads: OrderedDict[str, _Upload] = field(default_factory=OrderedDict)
    held: Counter[str] = field(default_factory=Counter)

    @property
    def bytes(self) -> int:
        return sum(kept.bytes for kept in self.files.values()) + sum(u.received for u in self.uploads.values())


class Desks:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, limits: Limits = Limits(), root: Path | None = None) -> None:
        self.limits = limits
        self._root = root  # made at the first file
        self._desks: OrderedDict[str, _Desk] = OrderedDict()  # longest silent first
        self._guard = threading.Lock()

    def receive(self, data: Any) -> Kept | None:
        """A piece of a file: the file when it was the last one, else None. Raises SettingError, DiskError.

        `data` is what Gradio makes of a form: texts `desk`, `upload`, `name`, `size`, `offset`, and one file.
        """
        desk_name, upload_name, name, size, offset, piece = _read_piece(data)
        if size > self.limits.file:
            limit = f"over the limit of {_mega(self.limits.file)}"
            raise SettingError(f"{name} has {_mega(size)}, {limit}; make it smaller")
        with self._guard:
            desk = self._desk(desk_name)
            if offset == 0:
                self._begin(desk, upload_name, name, size)
            upload = desk.uploads.get(upload_name)
            if upload is None or upload.busy or upload.received != offset or offset + len(piece) > upload.size:
                self._drop_upload(desk, upload_name)
                raise SettingError(f"{name} did not arrive in order; drop it again")
            upload.busy = True
        try:
            with disk_errors(upload.path), open(upload.path, "ab") as file:
                file.write(piece)
        except BaseException:
            with self._guard:
                self._drop_upload(desk, upload_name)
            raise
        upload.digest.update(piece)
        with self._guard:
            upload.received, upload.busy = offset + len(piece), False
            if upload.received < upload.size:
                return None
            desk.uploads.pop(upload_name, None)
            kept = self._keep(desk, upload.digest.hexdigest(), upload.name, upload.path)
            self._make_room(desk_name)
            return kept

    def accept(self, data: Any, look: Callable[[str, Kept, Any], dict[str, Any]]) -> dict[str, Any]:
        """A piece of a file, as `receive`: to the last one what look(desk, file, data's purpose) answers, else {}.

        A file that `look` refuses is forgotten.
        """
        kept = self.receive(data)
        if kept is None:
            return {}
        desk = data.data["desk"]
        try:
            return look(desk, kept, data.data.get("purpose"))
        except BaseException:
            self.discard(desk, kept.id)
            raise

    def write(self, desk: str, data: bytes, name: str) -> Kept:
        """Put bytes that were made here onto the desk, as a file."""
        with self.scratch(desk) as folder:
            path = folder / "made"
            path.write_bytes(data)
            return self.add(desk, path, name)

    def add(self, desk: str, path: Path, name: str) -> Kept:
        """Move a file that was made here, from `scratch(desk)`, onto the desk."""
        id = sha256(path)
        with self._guard:
            kept = self._keep(self._desk(desk), id, safe_name(name), path)
            self._make_room(desk)
            return kept

    @contextlib.contextmanager
    def scratch(self, desk: str) -> Iterator[Path]:
        """A folder to make files in; it vanishes when the block ends."""
        with self._guard:
            folder = self._desk(check_desk(desk)).folder
        with disk_errors(folder):
            made = Path(tempfile.mkdtemp(dir=folder))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def find(self, desk: str, file: str) -> Kept:
        """Raises MissingFile, or SettingError for what is no name of a desk or a file."""
        check_desk(desk)
        if not isinstance(file, str) or not FILE.fullmatch(file):
            raise SettingError("a file's name is 64 hexadecimal digits; reload the page")
        with self._guard:
            found = self._desks.get(desk)
            if found is None or file not in found.files:
                raise MissingFile(file)
            self._desks.move_to_end(desk)
            found.files.move_to_end(file)
            return found.files[file]

    def discard(self, desk: str, file: str) -> None:
        """Forget a file, if it is there and nobody holds it."""
        with self._guard:
            found = self._desks.get(desk)
            if found is not None and file in found.files and found.held[file] <= 0:
                found.files.pop(file).path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def hold(self, desk: str, files: Iterable[str]) -> Iterator[list[Kept]]:
        """The files, which stay until the block ends. Raises MissingFile."""
        kept = [self.find(desk, file) for file in files]
        with self._guard:
            held = self._desks[desk].held if desk in self._desks else Counter()
            held.update(k.id for k in kept)
        try:
            yield kept
        finally:
            with self._guard:
                held.subtract(k.id for k in kept)

    def missing(self, data: Any) -> dict[str, Any]:
        """Which of data["files"] are not on the desk: {"missing": [...]}."""
        desk, files = check_desk(_get(data, "desk")), _get(data, "files")
        if not isinstance(files, list) or len(files) > self.limits.files:
            raise SettingError(f"files is no list of at most {self.limits.files} names; reload the page")
        gone = []
        for file in files:
            try:
                self.find(desk, file)
            except MissingFile:
                gone.append(file)
        return {"missing": gone}

    def take(self, data: Any) -> dict[str, Any]:
        """A piece of a file, from data["offset"] on: {"piece": Base64, "size": of the whole file}."""
        kept = self.find(_get(data, "desk"), _get(data, "file"))
        offset = _get(data, "offset")
        if type(offset) is not int or not 0 <= offset <= kept.bytes:
            raise SettingError(f"offset={offset!r} is outside 0..{kept.bytes} (bytes of the file)")
        try:
            with open(kept.path, "rb") as file:
                file.seek(offset)
                piece = file.read(PIECE_BYTES)
        except FileNotFoundError:
            raise MissingFile(kept.id) from None
        return {"piece": base64.b64encode(piece).decode(), "size": kept.bytes}

    def close(self) -> None:
        """Forget every file."""
        with self._guard:
            self._desks.clear()
            if self._root is not None:
                shutil.rmtree(self._root, ignore_errors=True)
                self._root = None

    def _desk(self, name: str) -> _Desk:
        if self._root is None:
            _sweep()
            self._root = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        if name not in self._desks:
            while len(self._desks) >= self.limits.desks:
                oldest = next((n for n, d in self._desks.items() if not +d.held), None)
                if oldest is None:
                    raise SettingError(f"all {self.limits.desks} desks are at work; try again in a minute")
                self._clear(oldest)
            with disk_errors(self._root):
                self._desks[name] = _Desk(Path(tempfile.mkdtemp(dir=self._root)))
        self._desks.move_to_end(name)
        return self._desks[name]

    def _begin(self, desk: _Desk, upload: str, name: str, size: int) -> None:
        self._drop_upload(desk, upload)
        while len(desk.uploads) >= self.limits.uploads:
            self._drop_upload(desk, next(iter(desk.uploads)))
        if shutil.disk_usage(desk.folder).free < size + (64 << 20):
            raise DiskError(f"the disk has no room for {name} ({_mega(size)}); free some space and try again")
        handle, path = tempfile.mkstemp(dir=desk.folder)
        os.close(handle)
        desk.uploads[upload] = _Upload(Path(path), name, size)

    def _drop_upload(self, desk: _Desk, name: str) -> None:
        upload = desk.uploads.pop(name, None)
        if upload is not None:
            upload.path.unlink(missing_ok=True)

    def _keep(self, desk: _Desk, id: str, name: str, path: Path) -> Kept:
        place = desk.folder / id
        with disk_errors(place):
            os.replace(path, place)
        desk.files[id] = Kept(id, name, place, place.stat().st_size)
        desk.files.move_to_end(id)
        return desk.files[id]

    def _make_room(self, name: str) -> None:
        """Forget what is over the limits, save the newest file and those that are in use."""
        desk = self._desks[name]
        for id in list(desk.files)[:-1]:
            if desk.bytes <= self.limits.desk and len(desk.files) <= self.limits.files:
                break
            if desk.held[id] <= 0:
                desk.files.pop(id).path.unlink(missing_ok=True)
        for other in [n for n, d in self._desks.items() if n != name and not +d.held]:
            if sum(d.bytes for d in self._desks.values()) <= self.limits.total:
                break
            self._clear(other)

    def _clear(self, name: str) -> None:
        shutil.rmtree(self._desks.pop(name).folder, ignore_errors=True)


def check_desk(name: Any) -> str:
    """Raises SettingError for what is not the name of a desk."""
    if not isinstance(name, str) or not _SECRET.fullmatch(name):
        raise SettingError("a desk's name is 32 hexadecimal digits; reload the page")
    return name


def safe_name(name: str) -> str:
    """A stranger's name for a file, as one for any system; never empty, never a path."""
    cleaned = _UNSAFE.sub("_", os.path.basename(name.replace("\\", "/"))).strip(" .")
    stem, suffix = os.path.splitext(cleaned)
    return (stem[: MAX_NAME - len(suffix[:12])] + suffix[:12]) or "file"


def safe_path(name: str) -> str:
    """A stranger's name for a file with its folders, fit for a zip: never empty, never absolute, never upwards."""
    parts = [safe_name(part) for part in name.replace("\\", "/").split("/")[-MAX_DEPTH:] if part.strip(" .")]
    return "/".join(parts) or "picture"


def _read_piece(data: Any) -> tuple[str, str, str, int, int, bytes]:
    texts, files = getattr(data, "data", None), getattr(data, "files", None)
    if isinstance(texts, dict) and isinstance(files, list) and len(files) == 1:
        desk, upload, name, size, offset = (texts.get(k) for k in ("desk", "upload", "name", "size", "offset"))
        piece = files[0][1]
        numbers = all(isinstance(n, str) and _NUMBER.fullmatch(n) for n in (size, offset))
        secrets = all(isinstance(s, str) and _SECRET.fullmatch(s) for s in (desk, upload))
        if numbers and secrets and isinstance(name, str) and isinstance(piece, bytes):
            if int(size) == 0:
                raise SettingError(f"{safe_name(name)} is empty (0 bytes); copy or download it again")
            if len(piece) > PIECE_BYTES:
                limit = f"over the limit of {_mega(PIECE_BYTES)}"
                raise SettingError(f"a piece has {_mega(len(piece))}, {limit}; reload the page")
            return desk, upload, safe_name(name), int(size), int(offset), piece
    raise SettingError("the file did not arrive whole; drop it again")


def _get(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None


def _mega(size: int) -> str:
    return f"{size / (1 << 20):.4g} MiB"


def _sweep() -> None:
    """Clear away the desks of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        pid = folder.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
