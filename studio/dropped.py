"""A folder that was dropped on a page: its files arrive one by one with the paths they had, and become a folder again.

The paths are a stranger's word: none leads out of the folder. Only what is a picture is kept, within limits of number,
bytes and pixels; subfolders stay, as they are the pictures' classes.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from studio.errors import DataError, ImageError
from studio.files import disk_errors
from studio.raster.listing import SUFFIXES
from studio.raster.untrusted import admitted

MAX_DEPTH = 16  # folders within one another
MAX_PART = 200  # bytes of one part of a path; file systems take 255, and names beside it are made of it


@dataclass(frozen=True)
class Limits:
    files: int = 100_000
    total_bytes: int = 32 << 30
    file_bytes: int = 256 << 20


class Dropped:
    """A folder being filled.

    `skipped` tells of each file that was left out, and why; `count` of those that were kept.
    """

    def __init__(self, folder: Path, limits: Limits = Limits()) -> None:
        """folder: is made, and must be empty. Raises DataError, DiskError."""
        self.folder, self.limits = folder, limits
        self.count = self.total_bytes = 0
        self.skipped: dict[str, str] = {}
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DataError(f"{folder} is not empty; give a folder for these pictures alone")

    def add(self, name: str, file: Path) -> bool:
        """Keep a file under the path that the page gives it; False if it is left out, which is no error.

        Raises DataError for a path that leads elsewhere, and where a limit of the whole is reached; DiskError.
        """
        parts = safe_parts(name)
        if (
            any(part.startswith((".", "__")) for part in parts)
            or PurePosixPath(parts[-1]).suffix.lower() not in SUFFIXES
        ):
            return self._skip(name, "it is not named like a picture")
        size = file.stat().st_size
        if size > self.limits.file_bytes:
            limit = self.limits.file_bytes >> 20
            return self._skip(name, f"it has {size >> 20} MiB, over the limit of {limit} for one picture")
        instead = "give the path of a folder on this machine instead"
        if self.count >= self.limits.files:
            raise DataError(f"there are more than {self.limits.files:,} pictures; {instead}")
        if self.total_bytes + size > self.limits.total_bytes:
            raise DataError(
                f"the pictures have more than {self.limits.total_bytes / 2**30:.3g} GiB together; {instead}"
            )
        try:
            with admitted(file):
                pass
        except ImageError as error:
            return self._skip(name, str(error).replace(str(file), PurePosixPath(name).name))
        place = self.folder.joinpath(*parts)
        with disk_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():  # also where the file system takes A.png and a.png for one
                return self._skip(name, "another picture has this name already")
            _put(file, place)
        self.count += 1
        self.total_bytes += size
        return True

    def source(self) -> Path:
        """Where the pictures are: the folder without those around it that hold nothing but one folder.

        A dropped folder brings its own name as the first part of each path, which is no class.
        Raises DataError for none.
        """
        if not self.count:
            first = next(iter(self.skipped.items()), None)
            why = f"; the first of {len(self.skipped)} files: {first[0]}: {first[1]}" if first else ""
            kinds = ", ".join(sorted(SUFFIXES))
            raise DataError(f"no picture came with it ({kinds}){why}; drop a folder that holds some")
        found = self.folder
        while len(inside := list(found.iterdir())) == 1 and inside[0].is_dir():
            found = inside[0]
        return found

    def _skip(self, name: str, reason: str) -> bool:
        self.skipped[name] = reason
        return False


def safe_parts(name: str) -> tuple[str, ...]:
    """The parts of a relative path out of a browser, / or \\ between them. Raises DataError for any other path."""
    parts = tuple(name.replace("\\", "/").split("/"))
    bad = (
        not all(parts) or len(parts) > MAX_DEPTH
        or any(part in (".", "..") or len(part.encode(errors="replace")) > MAX_PART for part in parts)
        or any(not part.isprintable() or part != part.strip() or set(part) & set(':*?"<>|') for part in parts)
    )
    if bad:
        limit = f"{MAX_DEPTH} folders of {MAX_PART} bytes a name"
        raise DataError(f"{name[:100]!r} is no path within a folder (up to {limit}, none of : * ? \" < > |); rename it")
    return parts


def _put(file: Path, place: Path) -> None:
    """The page's copy under its name; a second one only where that is on another disk."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
