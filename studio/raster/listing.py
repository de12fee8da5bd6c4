"""The pictures of a folder, in the order a person would put them in."""

import os
import re
from pathlib import Path

from studio.errors import ImageError

SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .mpo .webp .tif .tiff .bmp .gif .pbm .pgm .ppm .pnm .jp2 .j2k .jpx .avif".split()
)


def list_pictures(folder: Path) -> list[Path]:
    """Every file below a folder that is named like a picture, a2 before a10; nothing hidden, no links to folders.

    Raises ImageError if there is no such folder.
    """
    if not folder.is_dir():
        raise ImageError(f"there is no folder {folder}; check the name")
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not _hidden(f)]
        found += [Path(place, n) for n in names if not _hidden(n) and Path(n).suffix.lower() in SUFFIXES]
    return sorted(found, key=lambda path: [(_natural(part), part) for part in path.relative_to(folder).parts])


def _hidden(name: str) -> bool:
    return name.startswith((".", "__"))  # __MACOSX: what a Mac leaves in zips, small files named like the pictures


def _natural(name: str) -> list[str | int]:
    # split at a group puts the digits at the odd places, so that text meets text and numbers meet numbers
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(re.split(r"(\d+)", name))]
