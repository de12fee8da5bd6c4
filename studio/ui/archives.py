"""A zip of pictures that a visitor sent, unpacked onto the desk."""

import shutil
import zipfile
import zlib
from pathlib import PurePosixPath

from studio.errors import DataError
from studio.images import SUFFIXES
from studio.ui.desks import Desks, Kept, safe_name

MAX_UNPACKED_BYTES = 2 << 30


def unpack(desks: Desks, desk: str, kept: Kept, most: int) -> tuple[list[tuple[Kept, str]], int]:
    """A zip's pictures as files of their own, with their names in it, and how many other files were left out.

    Raises DataError for what is no zip, for one with a password, without a picture,
    with more than `most`, or too large.
    """
    found: list[tuple[Kept, str]] = []
    skipped = 0
    room = MAX_UNPACKED_BYTES
    try:
        with zipfile.ZipFile(kept.path) as zipped, desks.scratch(desk) as folder:
            for entry in zipped.infolist():
                path = PurePosixPath(entry.filename.replace("\\", "/").lstrip("/"))
                hidden = any(part.startswith((".", "__")) for part in path.parts)
                if entry.is_dir():
                    continue
                if hidden or path.suffix.lower() not in SUFFIXES:
                    skipped += 1
                    continue
                if len(found) == most:
                    raise DataError(f"{kept.name} holds more than {most} pictures; split it")
                room -= entry.file_size  # and zipfile hands out no more than that
                if room < 0:
                    raise DataError(f"{kept.name} unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB; split it")
                with zipped.open(entry) as source, open(folder / "entry", "wb") as target:
                    shutil.copyfileobj(source, target)
                name = "/".join(safe_name(part) for part in path.parts)
                found.append((desks.add(desk, folder / "entry", path.name), name))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise DataError(f"{kept.name} cannot be unpacked ({error}); pack it again, without a password") from error
    if not found:
        raise DataError(f"{kept.name} holds no picture; put PNG, JPEG or TIFF files into it")
    return found, skipped
