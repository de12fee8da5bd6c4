"""Files that are either whole or not there: written beside their place, flushed, and renamed into it."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from studio.errors import DiskError


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write at `path` into DiskError; what was there before stays as it was."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        code = _errno(error)
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise DiskError(f"the disk of {path} is full; free some space and try again") from error
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise DiskError(f"{path} cannot be written (no permission); choose another folder") from error
        if code in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
            raise DiskError(f"{path} cannot be written because its folder does not exist; create it first") from error
        if code == errno.ENAMETOOLONG:
            raise DiskError(f"{path.name[:40]!r}... is too long for a file's name; choose a shorter one") from error
        if code == errno.EISDIR:
            raise DiskError(f"{path} cannot be written because a folder has that name; choose another name") from error
        raise


def _errno(error: OSError | SafetensorError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error (\d+)", str(error))  # safetensors' writer reports them in words only
    return int(found[1]) if found else None


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, all or nothing. Raises DiskError."""
    with disk_errors(path):
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(beside, 0o644)  # mkstemp's 0600 would hide a picture from the person's other programs
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    A folder already at `path` is replaced, and stays if anything goes wrong. Raises DiskError.
    """
    if path.is_file():
        raise DiskError(f"{path} is a file, not a folder; choose another name")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield beside
            for file in beside.rglob("*"):
                if file.is_file():
                    with open(file, "rb") as written:
                        os.fsync(written.fileno())
                    os.chmod(file, 0o644)  # safetensors writes 0600, which would hide weights from other programs
            os.chmod(beside, 0o755)
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
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
