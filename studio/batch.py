"""Files to make out of files: one by one, or whole folders, with pictures and films among them.

Nothing is opened for longer than its header takes, and nothing is made yet.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.errors import ImageError, SettingError
from studio.images import FORMAT_OF, list_pictures
from studio.raster.untrusted import admitted
from studio.video import KINDS

FILMS = frozenset(".mp4 .webm .mov .m4v .mkv .avi .mpg .mpeg .ogv".split())  # and .gif, if it moves


@dataclass(frozen=True)
class Task:
    """One file to make."""

    content: Path
    styles: tuple[Path, ...]
    out: Path
    film: bool


def plan(content: Path, styles: Sequence[Path], out: Path) -> list[Task]:
    """What to make of what. `content` and `styles` are files, or a folder each, of which every one is taken.

    Names are kept as far as they can be; a folder's results lie as its files do. Raises StudioError where it is not
    clear what is meant, or an input would be overwritten.
    """
    folders = [path for path in styles if path.is_dir()]
    if folders and len(styles) > 1:
        raise SettingError(f"{folders[0]} is a folder among {len(styles)} styles; give it alone, or pictures")
    looks = [(path.stem, (path,)) for path in list_pictures(folders[0])] if folders else [("", tuple(styles))]
    contents = list_contents(content) if content.is_dir() else [content]
    if not looks or not contents:
        raise ImageError(f"{content if looks else folders[0]} holds no pictures; give another folder")
    several = content.is_dir() or bool(folders)
    if several and out.suffix.lower() in (*FORMAT_OF, *KINDS):
        raise SettingError(f"{out.name} is a file's name, and what is made are several; give a folder with --out")
    named = not several and not out.is_dir() and bool(out.suffix)

    kinds = {path: is_film(path, out.suffix.lower() if named else "") for path in contents}
    if named and not kinds[content] and out.suffix.lower() not in FORMAT_OF:
        raise ImageError(f"{out.name} does not end in one of {', '.join(FORMAT_OF)}; choose one of these")
    tasks, taken = [], set()
    # those that keep their names come first: b.bmp, which becomes b.png, gives way to b.png
    for path in sorted(contents, key=lambda path: _suffix(path, kinds[path]) != path.suffix):
        film = kinds[path]
        place = out / path.relative_to(content).parent if content.is_dir() else out
        for look, pictures in looks:
            if named:
                target = out
            elif folders and content.is_dir():
                target = place / path.stem / (look + _suffix(path, film))
            else:
                target = place / ((look or path.stem) + _suffix(path, film))
            if str(target).casefold() in taken:
                target = target.with_name(path.name + target.suffix)
            taken.add(str(target).casefold())
            _check_apart(target, (path, *pictures))
            tasks.append(Task(path, pictures, target, film))
    return tasks


def list_contents(folder: Path) -> list[Path]:
    """Pictures and films below a folder, pictures first; nothing hidden."""
    films = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in FILMS and path.is_file()]
    hidden = lambda path: any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    return [*list_pictures(folder), *(path for path in films if not hidden(path))]


def is_film(path: Path, out_suffix: str = "") -> bool:
    """Whether a file is painted as a film: a GIF is one if it moves, unless the result is to be a picture."""
    suffix = path.suffix.lower()
    if suffix != ".gif" or out_suffix in FORMAT_OF:
        return suffix in FILMS
    return frames_of(path) > 1


def frames_of(path: Path) -> int:
    """How many frames or pages a picture file has; 1 for one that cannot be read, which says so when it is opened."""
    try:
        with admitted(path) as file:
            # beside a camera's JPEG lie previews and maps of its depth
            return 1 if file.image.format == "MPO" else int(getattr(file.image, "n_frames", 1))
    except Exception:  # decoders meet hostile bytes with any exception there is
        return 1


def _suffix(path: Path, film: bool) -> str:
    """Of the result: the input's own, if that can be written."""
    writable, instead = (KINDS, ".mp4") if film else (FORMAT_OF, ".png")
    return path.suffix if path.suffix.lower() in writable else instead


def _check_apart(out: Path, inputs: tuple[Path, ...]) -> None:
    for path in inputs:
        if out.exists() and path.exists() and os.path.samefile(out, path):
            raise SettingError(f"{out} is one of the pictures to work from; give another name with --out")
