"""Where pictures to learn from are: a folder or a zip, in which nothing is extracted and nothing is changed."""

import struct
import zipfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from studio.errors import DataError, ImageError
from studio.footage import SUFFIXES as FILMS
from studio.raster.listing import SUFFIXES, list_pictures

MIN_PICTURES = 2
MAX_ENTRY_BYTES = 256 << 20  # of one picture's file inside a zip
MAX_RATIO = 200  # of unpacked to packed bytes; pictures are compressed already, bombs reach thousands


class Source(Protocol):
    """Named picture files, in a fixed order. A name's folders, where it has any, are its class."""

    names: list[str]

    def read(self, name: str) -> bytes:
        """Raises ImageError for a file that is gone, damaged or locked."""


class FolderSource:
    """Every picture below a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names = sorted(p.relative_to(path).as_posix() for p in list_pictures(path))  # the order of a zip of it

    def read(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise ImageError(f"{name} cannot be read ({error.strerror}); leave it out or put it back") from error


class ZipSource:
    """Every picture in a zip, read in place. Raises DataError for a zip that is damaged or made to do harm."""

    def __init__(self, path: Path) -> None:
        try:
            # One handle a thread would be faster on many cores; decoding dominates, and one is simpler to close.
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise DataError(f"{path} is not a readable zip ({error}); pack the pictures again") from error
        self.names = []
        for entry in self._zip.infolist():
            name = PurePosixPath(entry.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts:
                raise DataError(f"{path} names a file outside itself ({entry.filename!r}); do not use this zip")
            if (
                entry.is_dir()
                or name.suffix.lower() not in SUFFIXES
                or any(p.startswith((".", "__")) for p in name.parts)
            ):
                continue
            if entry.file_size > MAX_ENTRY_BYTES:
                size, limit = entry.file_size >> 20, MAX_ENTRY_BYTES >> 20
                raise DataError(
                    f"{entry.filename!r} in {path} unpacks to {size} MiB, over the limit of {limit}; leave it out"
                )
            if entry.file_size > 1 << 20 and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
                raise DataError(
                    f"{entry.filename!r} in {path} unpacks to more than {MAX_RATIO} times its size, "
                    "as a zip bomb does; do not use this zip"
                )
            self.names.append(entry.filename)
        self.names.sort()

    def read(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as file:
                data = file.read(MAX_ENTRY_BYTES + 1)  # the header's size may lie
        except Exception as error:  # each packing method meets damaged bytes with an exception of its own
            raise ImageError(f"{name} cannot be unpacked ({error}); pack it again, without a password") from error
        if len(data) > MAX_ENTRY_BYTES:
            raise ImageError(f"{name!r} unpacks to more than {MAX_ENTRY_BYTES >> 20} MiB")
        return data


def open_source(path: Path) -> Source:
    """The pictures of a folder or a zip. Raises DataError if there are none."""
    if not path.exists():
        raise DataError(f"there is no {path}; give a folder or a zip of pictures")
    if path.is_file() and path.suffix.lower() in FILMS:
        raise DataError(f"{path} is a film; take pictures out of it first: python -m train stills FILM --out DIR")
    source: Source = FolderSource(path) if path.is_dir() else ZipSource(path)
    if not source.names:
        raise DataError(f"{path} holds no pictures ({', '.join(sorted(SUFFIXES))}); put at least {MIN_PICTURES} there")
    return source
