"""Files that are either whole or not there: written beside their place, flushed, and renamed into it."""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from studio.errors import DiskError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write at `path` into DiskError; what was there before stays as it was."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        code = _errno(error)
        if code in _FULL:
            raise DiskError(f"the disk of {path} is full; free some space and try again") from error
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise DiskError(f"{path} cannot be written (no permission); choose another folder") from error
        if code in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
            raise DiskError(f"{path} cannot be written because its folder does not exist; create it first") from error
        if code == errno.ENAMETOOLONG:
            raise DiskError(f"{path.name[:40]!r}... is too long for a file's name; choose a shorter one") from error
        if code == errno.EISDIR:
            raise DiskError(f"{path} cannot be written: a folder has that name; choose another name") from error
        raise


def _errno(error: OSError | SafetensorError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error (\d+)", str(error))  # safetensors' writer reports them in words only
    return int(found[1]) if found else None


@contextlib.contextmanager
def _errors_within(beside: Path, path: Path) -> Iterator[None]:
    """As disk_errors(path), for what goes wrong at `beside` alone: a block may meet refusals elsewhere."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        name = getattr(error, "filename", None)
        if isinstance(name, (str, bytes)):
            ours = Path(os.fsdecode(name)).is_relative_to(beside)
        else:
            ours = _errno(error) in _FULL  # an error without a name; only what is written can fill a disk
        if not ours:
            raise
        with disk_errors(path):
            raise


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write, which becomes `path` when the block ends well and vanishes when it does not.

    A file already at `path` is replaced, and stays if anything goes wrong. Raises DiskError, for errors that are
    about this file; others of the block pass through.
    """
    if path.is_dir():  # renaming would find out too, when all of a film has been drawn
        raise DiskError(f"{path} is a folder; give the name of a file in it")
    beside = _beside(path)
    try:
        with disk_errors(path):
            beside.touch(0o600, exist_ok=False)
        with _errors_within(beside, path):
            yield beside
        with disk_errors(path):
            _flush(beside)
            os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, all or nothing. Raises DiskError."""
    with whole_file(path) as beside:
        beside.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    A folder already at `path` is replaced, and stays if anything goes wrong. Raises DiskError, for errors that are
    about this folder; others of the block pass through.
    """
    if path.is_file():
        raise DiskError(f"{path} is a file, not a folder; choose another name")
    beside = _beside(path)
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.mkdir(0o700)
        with _errors_within(beside, path):
            yield beside
        with disk_errors(path):
            for file in beside.rglob("*"):
                if file.is_file():
                    _flush(file)
            os.chmod(beside, 0o755)
            _put_in_place(beside, path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _beside(path: Path) -> Path:
    """A name for what becomes `path`.

    It is known before anything is there, so that an interrupt finds what to remove.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _flush(file: Path) -> None:
    with open(file, "r+b") as written:
        os.fsync(written.fileno())
    os.chmod(file, 0o644)  # mkstemp and safetensors write 0600, which would hide a file from other programs


def _put_in_place(beside: Path, path: Path) -> None:
    old = beside.with_name(beside.name + ".old")
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(beside, path)
    except BaseException:
        if old.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
