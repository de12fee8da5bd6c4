"""A file of weights that a person has, into the library: recognised by what it holds, converted, nothing executed.

Files of other programs go through `studio.formats`. A checkpoint of this studio comes as the zip that the train tab
saves. A network that restores pictures and that spandrel knows stays a file.
"""

import contextlib
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from studio.checkpoint import CARD, INFO, WEIGHTS, load_network
from studio.errors import CheckpointError, stop_if
from studio.files import disk_errors, whole_folder
from studio.hub.install import (
    FOREIGN, MAX_CARD, MAX_PICTURE, MAX_PICTURES, PICTURES, free_name, keep_network, working_folder,
)

SUFFIXES = (*FOREIGN, ".zip")
MAX_INFO, MAX_WEIGHTS = 1 << 20, 4 << 30


def name_for(file: str) -> str:
    """What a model is called after its file's name."""
    stem = re.sub(r"[^\w .-]+", "-", Path(file).stem).strip(" .-")
    return stem[:80].strip(" .-") or "model"


def adopt(path: Path, file: str, name: str, root: Path, cancelled: Callable[[], bool] = lambda: False) -> Path:
    """Install a file under `name`; its folder, or its file for a network that restores pictures.

    file: what the person calls it. root: the library's folder for the person's own models. Nothing that is installed
    is replaced. Raises SettingError for a name that is taken or none, CheckpointError, DiskError; Cancelled once
    `cancelled` says so, and then nothing is installed.
    """
    free_name(name, None, root)
    with working_folder(root) as work:
        made = work / "made"
        if members := _checkpoint_in(path):
            _unpack(path, members, made, cancelled)
            _check_loads(made, file)
        else:
            from studio.formats import convert

            named = _named(path, file, work)
            try:
                convert(named, made, cancelled)
            except CheckpointError as error:
                return keep_network(named, name, None, {}, error)
        stop_if(cancelled)
        with whole_folder(root / name) as beside:
            for part in made.iterdir():
                os.replace(part, beside / part.name)
    return root / name


def _named(path: Path, file: str, work: Path) -> Path:
    """The file under the person's name for it, which messages and the card say."""
    named = work / "file" / file
    with disk_errors(named):
        named.parent.mkdir()
        try:
            os.link(path, named)
        except OSError:  # another disk, or a system that lets nobody
            shutil.copyfile(path, named)
    return named


def _checkpoint_in(path: Path) -> Mapping[str, zipfile.ZipInfo]:
    """The parts of a checkpoint's folder in a zip by their names; empty where it holds none."""
    with _opened(path) as archive:
        if archive is None:
            return {}
        places = [(PurePosixPath(info.filename), info) for info in archive.infolist()]
        for folder in [place.parent for place, _ in places if place.name == INFO]:
            among = {place.name: info for place, info in places if place.parent == folder}
            if WEIGHTS in among:
                return among
    return {}


def _unpack(
    path: Path, members: Mapping[str, zipfile.ZipInfo], folder: Path, cancelled: Callable[[], bool]
) -> None:
    """What belongs to a checkpoint, and nothing else; names of the zip never become paths."""
    limits = {INFO: MAX_INFO, WEIGHTS: MAX_WEIGHTS, CARD: MAX_CARD}
    pictures = [n for n, i in members.items() if n.lower().endswith(PICTURES) and i.file_size <= MAX_PICTURE]
    limits |= dict.fromkeys(sorted(pictures)[:MAX_PICTURES], MAX_PICTURE)
    with _opened(path) as archive, disk_errors(folder):
        folder.mkdir()
        for name in [name for name in limits if name in members]:
            with archive.open(members[name]) as inner, open(folder / name, "wb") as out:
                left = limits[name]
                while block := inner.read(min(1 << 20, left + 1)):
                    stop_if(cancelled)
                    left -= len(block)
                    if left < 0:
                        raise CheckpointError(f"{name} in the zip is over {limits[name] >> 20} MiB; pack it again")
                    out.write(block)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | None]:
    """None for what is no zip. Raises CheckpointError for a damaged one."""
    if not zipfile.is_zipfile(path):
        yield None
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, zlib.error) as error:
        raise CheckpointError(f"the zip is damaged or locked ({type(error).__name__}); pack it again") from error


def _check_loads(folder: Path, file: str) -> None:
    try:
        load_network(folder)
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(str(folder), file)) from error
