"""Which picture is made of which, file by file; and what is to be said of what files cannot keep."""

import os
from dataclasses import dataclass
from pathlib import Path

from studio.batch import frames_of
from studio.errors import ImageError, SettingError
from studio.images import FORMAT_OF, list_pictures, open_picture
from studio.originals import fit_for
from studio.raster.opening import Picture

LOSSLESS = (".png", ".webp", ".tif", ".tiff")  # .webp, where it is written so


@dataclass(frozen=True)
class Job:
    """One file to make."""

    source: Path
    out: Path
    inside: Path  # where it lies in the folder that was given; its name, where one file was


def jobs(source: Path, out: Path) -> list[Job]:
    """What to make of a picture, or of every picture of a folder, where what was a JPEG or the like becomes a PNG.

    Raises StudioError where it is not clear what is meant, or an input would be overwritten.
    """
    folder = source.is_dir()
    pictures = list_pictures(source) if folder else [source]
    if not pictures:
        raise ImageError(f"{source} holds no pictures; give another folder")
    if folder and out.suffix.lower() in FORMAT_OF:
        raise SettingError(f"{out.name} is a file's name, and what is made are several; give a folder with --out")
    named = not folder and not out.is_dir() and bool(out.suffix)
    if named and out.suffix.lower() not in FORMAT_OF:
        raise ImageError(f"{out.name} does not end in one of {', '.join(FORMAT_OF)}; choose one of these")
    made: list[Job] = []
    taken: set[str] = set()
    # those that keep their names come first: b.jpg, which becomes b.png, gives way to b.png
    for path in sorted(pictures, key=lambda path: path.suffix.lower() not in LOSSLESS):
        inside = path.relative_to(source) if folder else Path(path.name)
        target = out
        if not named:
            suffix = path.suffix if path.suffix.lower() in LOSSLESS else ".png"
            target = out / inside.with_suffix(suffix)
            if str(target).casefold() in taken:
                target = target.with_name(path.name + suffix)
        taken.add(str(target).casefold())
        if target.exists() and path.exists() and os.path.samefile(target, path):
            raise SettingError(f"{target} is the picture to work from; give another name with --out")
        made.append(Job(path, target, inside))
    return made


def check_single(path: Path) -> None:
    """Raises ImageError for a file of several pages or frames: which of them is meant cannot be guessed."""
    if (count := frames_of(path)) > 1:
        raise ImageError(f"{path} has {count} pages or frames; save the one to be worked on by itself")


def opened(path: Path, out: Path | None = None) -> Picture:
    """A picture of one page; where `out` is named, as a file of that kind can hold it. Raises ImageError."""
    check_single(path)
    picture = open_picture(path)
    return picture if out is None else fit_for(picture, FORMAT_OF[out.suffix.lower()])


def licence_notes(model: str, licence: str) -> list[str]:
    """What is to be known of a network's file before its pictures are used."""
    return [f"{model}: licence {licence}"]


def kept_notes(path: Path, picture: Picture) -> list[str]:
    """What a file of that name cannot keep of a picture."""
    suffix = path.suffix.lower()
    notes = []
    if picture.read_as:
        notes.append(f"{path.name}: the original has {picture.read_as}, and so they are written")
    if picture.icc_applied:
        notes.append(f"{path.name}: the original's colour profile was applied, and is not written")
    if suffix not in LOSSLESS:
        notes.append(f"{path.name}: JPEG encodes every pixel anew; a .png or .tif keeps them as they are")
    if suffix == ".webp" and picture.pixels.itemsize > 1:
        notes.append(f"{path.name}: WebP keeps 8 of {picture.bits} bits; a .png or .tif keeps them all")
    if suffix == ".webp" and picture.dpi is not None:
        notes.append(f"{path.name}: WebP does not keep the resolution; a .png or .tif does")
    return notes
