"""Follows a run's progress.jsonl while it is written: reads on from where it was, and draws any length as few points.

    progress = Progress(run)
    progress.read()                       # again and again; takes in what was appended
    progress.series("loss_G", 400)        # (kimg, values), at most 400 points, spikes kept
    progress.trend("loss_G", 120)         # (kimg, means), 120 points of what noise would hide
"""

import json
import math
import os
import threading
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from studio.runfolder import RunFolder

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20  # a longer one is no line of a trainer's, and is let go
POSITION = ("tick", "step", "kimg")  # where a line stands; no series of their own


@dataclass
class _Series:
    """Values, each with the place of its tick."""

    places: array = field(default_factory=lambda: array("q"))
    values: array = field(default_factory=lambda: array("d"))

    def cut(self, place: int) -> None:
        """Forget what is at a tick's place and beyond."""
        end = bisect_left(self.places, place)
        del self.places[end:], self.values[end:]


class Progress:
    """What a run's progress file says so far, without what a resume took back. Any thread may read and ask."""

    def __init__(self, run: RunFolder) -> None:
        self._path = run.progress_path
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._file: tuple[int, int] | None = None  # device and number of the file that was read
        self._offset = 0
        self._rest = b""  # the beginning of a line whose end is not written yet
        self._skipping = False  # within a line that is too long
        self._series: dict[str, _Series] = {}
        self._ticks: list[dict[str, Any]] = []  # the newest alone
        self._steps, self._kimg = array("q"), array("d")  # of every tick
        self._warnings: list[dict[str, Any]] = []
        self._changes: list[tuple[int, dict[str, list]]] = []

    def read(self) -> bool:
        """Take in what was appended since the last call; True if that was anything. A file that was replaced or cut
        short is read from its beginning. A half-written line waits for its end. Raises nothing for what it holds.
        """
        with self._lock:
            try:
                with open(self._path, "rb") as file:
                    return self._follow(file)
            except OSError:  # not there yet, or deleted with its run
                had = self._file is not None
                self._forget()
                return had

    def _follow(self, file: Any) -> bool:
        about = os.fstat(file.fileno())
        changed = False
        if self._file != (about.st_dev, about.st_ino) or about.st_size < self._offset:
            changed = self._file is not None
            self._forget()
            self._file = (about.st_dev, about.st_ino)
        file.seek(self._offset)
        while block := file.read(BLOCK_BYTES):
            self._offset += len(block)
            *lines, self._rest = (self._rest + block).split(b"\n")
            for line in lines:
                if not self._skipping:
                    self._take(line)
                self._skipping = False
            if len(self._rest) > MAX_LINE_BYTES:
                self._rest, self._skipping = b"", True
            changed = changed or bool(lines)
        return changed

    def _take(self, text: bytes) -> None:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return  # a trainer was killed while it wrote this line
        if not isinstance(line, dict):
            return
        if _is_whole(line.get("resumed")):
            self._take_back(line["resumed"])
            if isinstance(line.get("changed"), dict):
                self._changes.append((line["resumed"], line["changed"]))
        elif not (_is_whole(line.get("step")) and _is_number(line.get("kimg"))):
            return
        elif "warning" in line:
            self._warnings.append(line)
        else:
            self._add(line)

    def _take_back(self, step: int) -> None:
        end = bisect_right(self._steps, step)
        del self._steps[end:], self._kimg[end:]
        for series in self._series.values():
            series.cut(end)
        self._warnings = [line for line in self._warnings if line["step"] <= step]
        self._ticks = [line for line in self._ticks if line["step"] <= step]

    def _add(self, line: dict[str, Any]) -> None:
        step = line["step"]
        if self._steps and step <= self._steps[-1]:
            self._take_back(step - 1)  # steps rise: a line that was edited in by hand must not break the search
        place = len(self._steps)
        self._steps.append(step)
        self._kimg.append(line["kimg"])
        # Two are enough: at a resume the newest one is taken back, and the next line brings another.
        self._ticks = [*self._ticks[-1:], line]
        for name, value in line.items():
            if name not in POSITION and _is_number(value):
                if name not in self._series:
                    self._series[name] = _Series()
                series = self._series[name]
                series.places.append(place)
                series.values.append(value)

    @property
    def ticks(self) -> int:
        """How many there are."""
        with self._lock:
            return len(self._steps)

    @property
    def latest(self) -> dict[str, Any]:
        """The newest tick's line; empty before the first one, and for a moment after a resume took many back."""
        with self._lock:
            return dict(self._ticks[-1]) if self._ticks else {}

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """What the trainer noticed: `warning` (its kind), `message`, `step`, `kimg`."""
        with self._lock:
            return list(self._warnings)

    @property
    def changes(self) -> list[tuple[int, dict[str, list]]]:
        """(step, name -> [before, after]) of settings that a resume or a rollback changed."""
        with self._lock:
            return list(self._changes)

    def names(self) -> list[str]:
        """Of the series, in the order in which they came up."""
        with self._lock:
            return [name for name, series in self._series.items() if series.values]

    def series(self, name: str, points: int = 500) -> tuple[list[float], list[float]]:
        """(kimg, values) of at most `points` points; empty for a name that never came up."""
        with self._lock:
            found = self._series.get(name, _Series())
            values = np.array(found.values)
            places = thin(values, points)
            kimg = [self._kimg[found.places[place]] for place in places]
        return kimg, values[places].tolist()

    def trend(self, name: str, points: int = 120) -> tuple[list[float], list[float]]:
        """(kimg, means) of `points` equal stretches of a series, at the middle tick of each; empty for one with fewer
        values than two a stretch, which has no noise to hide in.
        """
        with self._lock:
            found = self._series.get(name, _Series())
            values = np.array(found.values)
            if len(values) < 2 * points:
                return [], []
            edges = np.linspace(0, len(values), points + 1).round().astype(np.int64)
            kimg = [self._kimg[found.places[middle]] for middle in ((edges[:-1] + edges[1:] - 1) // 2).tolist()]
        return kimg, (np.add.reduceat(values, edges[:-1]) / np.diff(edges)).tolist()


def thin(values: np.ndarray, points: int) -> np.ndarray:
    """Places of at most `points` of values [n], points at least 4, ascending: the first and last one, and of equal
    stretches between them the lowest and highest, so that a spike of a single value shows.
    """
    n = len(values)
    if n <= points:
        return np.arange(n)
    edges = np.linspace(1, n - 1, (points - 2) // 2 + 1).round().astype(np.int64)
    inner = [p for a, b in zip(edges, edges[1:]) for p in (a + values[a:b].argmin(), a + values[a:b].argmax())]
    return np.unique([0, *inner, n - 1])


def _is_whole(value: object) -> bool:
    return type(value) is int and abs(value) < 2**53


def _is_number(value: object) -> bool:
    return (type(value) is float and math.isfinite(value)) or _is_whole(value)
