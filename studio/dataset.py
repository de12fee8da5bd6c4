"""The dataset doctor: looks at pictures before a training does, and says what is wrong with them and what to do.

Works on a folder or a zip, in bounded memory: of each picture a few hundred bytes are kept.
The originals are only read.
"""

import hashlib
import os
import statistics
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from studio.duplicates import Look, near_duplicates
from studio.errors import ImageError, stop_if
from studio.files import write_json
from studio.inorder import in_order
from studio.raster.opening import open_picture
from studio.raster.untrusted import admitted
from studio.sources import MIN_PICTURES, Source, open_source

VERSION = 1
FEW, ENOUGH = 100, 1000  # pictures: below, models learn them by heart; from here on, they need little help
FEW_OF_A_CLASS = 20
WIDE = 2.0  # longer to shorter side: a square crop loses half of such a picture
LARGE_PIXELS = 16_000_000  # a picture from this size on is decoded alone: 200 megapixels take 800 MB
GREY_LEVELS = 2  # of difference between the channels of a grey picture, which JPEG leaves
NAMED = 20  # names in a finding; the report has all
RESOLUTIONS = tuple(2**i for i in range(4, 11))


@dataclass(frozen=True)
class Finding:
    """Something to know before training. grave: the training cannot go well before it is mended."""

    kind: str  # none, few, unreadable, copies, alike, small, wide, classes, grey
    grave: bool
    count: int
    message: str  # a sentence with the value, the limit and the next step
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What was found. Sizes are in px as a viewer shows them, upright."""

    source: str
    resolution: int  # px, what it was looked at for
    pictures: int
    classes: dict[str, int]  # pictures in each first folder; empty where all are in one
    skipped: list[dict[str, str]]  # name and reason
    copies: list[list[str]]  # byte for byte
    alike: list[list[str]]  # to the eye; copies byte for byte are not named again
    small: list[str]  # shorter side below the resolution
    widths: dict[str, int]  # least, middle, most
    heights: dict[str, int]
    aspects: dict[str, float]  # of width to height
    cropped: float  # share of all that a square crop out of the middle leaves out, 0..1
    grey: int  # pictures without colour
    largest: int  # px, the largest resolution for which nine pictures in ten need not be enlarged
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write it as dataset.json or under another name. Raises DiskError."""
        write_json(path, self.to_dict())


@dataclass(frozen=True)
class _Seen:
    name: str
    size: tuple[int, int]
    digest: bytes
    look: Look
    grey: bool


def examine(
    path: Path,
    resolution: int = 64,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Report:
    """Decode every picture of a folder or zip once, and say what was found.

    resolution: side in px of what is to be trained. progress hears how many of how many are looked at. Raises
    DataError for what is no folder or zip, or holds no picture files; Cancelled once `cancelled` says so.
    """
    source = open_source(path)
    alone = threading.Lock()
    seen: list[_Seen] = []
    skipped: list[dict[str, str]] = []
    threads = min(4, os.cpu_count() or 1)
    for done, outcome in enumerate(in_order(lambda name: _look(source, name, alone), source.names, threads), 1):
        stop_if(cancelled)
        if isinstance(outcome, _Seen):
            seen.append(outcome)
        else:
            skipped.append(outcome)
        progress(done, len(source.names))
    return _report(path, resolution, seen, skipped)


def _look(source: Source, name: str, alone: threading.Lock) -> _Seen | dict[str, str]:
    try:
        data = source.read(name)
        with admitted(data) as file:
            large = file.image.width * file.image.height >= LARGE_PIXELS
        if large:
            with alone:
                return _decode(name, data)
        return _decode(name, data)
    except ImageError as error:
        return {"name": name, "reason": str(error)}


def _decode(name: str, data: bytes) -> _Seen:
    picture = open_picture(data).rgb()
    size = picture.size
    picture.thumbnail((256, 256), reducing_gap=2.0)
    pixels = np.asarray(picture.convert("RGB")).astype(np.int16)
    grey = bool((pixels.max(axis=2) - pixels.min(axis=2)).max() <= GREY_LEVELS)
    return _Seen(name, size, hashlib.blake2b(data, digest_size=16).digest(), Look.of(picture), grey)


def _report(path: Path, resolution: int, seen: list[_Seen], skipped: list[dict[str, str]]) -> Report:
    by_bytes: dict[bytes, list[_Seen]] = defaultdict(list)
    for one in seen:
        by_bytes[one.digest].append(one)
    firsts = [same[0] for same in by_bytes.values()]
    alike = [[firsts[i].name for i in group] for group in near_duplicates([one.look for one in firsts])]
    folders = Counter(_class(one.name) for one in seen)
    shorter = sorted(min(one.size) for one in seen)
    report = Report(
        source=str(path.absolute()),
        resolution=resolution,
        pictures=len(seen),
        classes=dict(sorted(folders.items())) if len(folders) > 1 else {},
        skipped=skipped,
        copies=[[one.name for one in same] for same in by_bytes.values() if len(same) > 1],
        alike=alike,
        small=[one.name for one in seen if min(one.size) < resolution],
        widths=_spread([one.size[0] for one in seen]),
        heights=_spread([one.size[1] for one in seen]),
        aspects=_spread([round(one.size[0] / one.size[1], 3) for one in seen]),
        cropped=round(statistics.fmean(1 - min(one.size) / max(one.size) for one in seen), 4) if seen else 0.0,
        grey=sum(one.grey for one in seen),
        largest=max((r for r in RESOLUTIONS if shorter and r <= shorter[len(shorter) // 10]), default=0),
        findings=[],
    )
    wide = [one.name for one in seen if max(one.size) > WIDE * min(one.size)]
    report.findings.extend(_findings(report, wide))
    return report


def _class(name: str) -> str:
    parts = PurePosixPath(name).parts
    return parts[0] if len(parts) > 1 else ""


def _spread(values: list) -> dict[str, Any]:
    if not values:
        return {"least": 0, "middle": 0, "most": 0}
    return {"least": min(values), "middle": statistics.median_low(values), "most": max(values)}


def _findings(report: Report, wide: list[str]) -> Iterable[Finding]:
    n, side = report.pictures, report.resolution
    spare = sum(len(group) - 1 for group in report.copies)
    distinct = n - spare
    if n < MIN_PICTURES:
        yield Finding("none", True, n, f"{n} pictures can be read, and a training needs {MIN_PICTURES}; bring more")
    elif distinct < FEW:
        yield Finding(
            "few", False, distinct,
            f"{distinct} different pictures are few: below {FEW} a model learns them by heart; bring more, or start "
            "from a trained model and stop early",
        )
    elif distinct < ENOUGH:
        yield Finding(
            "few", False, distinct,
            f"{distinct} different pictures are enough with augmentation, and {ENOUGH} are better; "
            "leave augment at ada or diff",
        )
    if report.skipped:
        first = report.skipped[0]
        yield Finding(
            "unreadable", False, len(report.skipped),
            f"{len(report.skipped)} files cannot be read and will be left out, the first because: {first['reason']}",
            _named(item["name"] for item in report.skipped),
        )
    if spare:
        yield Finding(
            "copies", False, spare,
            f"{spare} pictures are copies of others, byte for byte, and weigh double; keep one of each",
            _named(name for group in report.copies for name in group[1:]),
        )
    if report.alike:
        spare = sum(len(group) - 1 for group in report.alike)
        yield Finding(
            "alike", False, spare,
            f"{spare} pictures look like others of the set, resized or re-saved; keep the best of each group",
            _named(name for group in report.alike for name in group[1:]),
        )
    if report.small:
        largest = f"train at {report.largest} px" if report.largest else "bring larger ones"
        yield Finding(
            "small", len(report.small) > n / 2, len(report.small),
            f"{len(report.small)} pictures are smaller than {side} px and would be blurred by enlarging; "
            f"leave them out, or {largest}",
            _named(report.small),
        )
    if wide:
        yield Finding(
            "wide", False, len(wide),
            f"{len(wide)} pictures are more than {WIDE:g} times as long as wide, and a square crop loses half of them; "
            "crop them by hand to what matters",
            _named(wide),
        )
    if rare := [name for name, count in report.classes.items() if count < FEW_OF_A_CLASS]:
        yield Finding(
            "classes", False, len(rare),
            f"{len(rare)} of {len(report.classes)} folders hold fewer than {FEW_OF_A_CLASS} pictures, too few for a "
            "class of their own; fill them, or train without classes",
            _named(name or "(no folder)" for name in rare),
        )
    if n and report.grey == n:
        yield Finding("grey", False, n, f"all {n} pictures are grey; train with 1 channel, which is faster")


def _named(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice(names, NAMED))
