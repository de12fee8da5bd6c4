"""Many pictures done one after the other within a task, into one zip; a text in it says what could not be done."""

import itertools
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from studio.errors import Cancelled, DataError, StudioError
from studio.files import disk_errors
from studio.ui.tasks import Stopped, Task

Made = tuple[bytes, str, str]  # a file, the suffix of its kind, and what is to be noted of it or ""


def zip_each(
    path: Path, names: Sequence[str], make: Callable[[int, Callable[[float], None]], Made], task: Task, told: str
) -> tuple[int, list[str]]:
    """How many are in the zip, and the notes, which stand in it as a text called `told`.

    make(i, progress) does what is called names[i], and may raise StudioError, or Cancelled; of names that are equal
    but for their suffix, the second becomes NAME-2. Once the task is cancelled the zip ends with what was done.
    Raises DataError where not one could be done, DiskError, and Stopped where there is nothing to keep.
    """
    notes: list[str] = []
    taken: set[str] = set()
    count = len(names)
    with disk_errors(path), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as zipped:
        for i, name in enumerate(names):
            if task.cancelled():
                break
            try:
                data, suffix, note = make(i, lambda fraction, i=i: task.progress((i + fraction) / count))
            except Cancelled:
                break
            except StudioError as error:
                notes.append(f"{name}: {error}")
                continue
            if note:
                notes.append(f"{name}: {note}")
            stem = str(PurePosixPath(name).with_suffix(""))
            numbered = (f"{stem}-{number}" for number in itertools.count(2))
            free = next(one for one in itertools.chain([stem], numbered) if one not in taken)
            taken.add(free)
            zipped.writestr(f"{free}{suffix}", data)
        if notes:
            zipped.writestr(told, "\n".join(notes) + "\n")
    done = len(taken)
    if not done and notes:
        raise DataError(f"none of the {count} pictures could be done; the first: {notes[0]}")
    if not done:
        raise Stopped
    return done, notes
