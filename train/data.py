"""Pictures to learn from: a folder or a zip, any size and kind, as batches of squares of one size.

Nothing is extracted and nothing in the source is changed. Files that cannot be read are skipped and listed. The order is
a function of the seed and the number of pictures seen, so that a resumed run needs no sampler state.
"""

import hashlib
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from studio.errors import DataError, ImageError
from studio.images import resize_crop
from studio.raster.listing import SUFFIXES, list_pictures
from studio.raster.opening import open_picture

MIN_PICTURES = 2
MAX_ENTRY_BYTES = 256 << 20  # of one picture's file inside a zip
MAX_RATIO = 200  # of unpacked to packed bytes; pictures are compressed already, bombs reach thousands
MEMORY_BYTES = 4 << 30  # of decoded pictures kept; a larger set is decoded again each epoch


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
            if entry.is_dir() or name.suffix.lower() not in SUFFIXES or any(p.startswith((".", "__")) for p in name.parts):
                continue
            if entry.file_size > MAX_ENTRY_BYTES:
                size, limit = entry.file_size >> 20, MAX_ENTRY_BYTES >> 20
                raise DataError(f"{entry.filename!r} in {path} unpacks to {size} MiB, over the limit of {limit}; leave it out")
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


@dataclass(frozen=True)
class Skipped:
    name: str
    reason: str


@dataclass
class Pictures:
    """A data set of squares. `labels` [n] are class numbers, all 0 without classes."""

    source: Source
    names: list[str]
    resolution: int
    channels: int
    labels: Tensor
    class_names: list[str]
    skipped: list[Skipped] = field(default_factory=list)
    _decoded: Tensor | None = None  # uint8 [n, C, R, R], where it fits in memory

    def __len__(self) -> int:
        return len(self.names)

    def load(self, indices: list[int]) -> Tensor:
        """uint8 [len(indices), C, R, R]."""
        if self._decoded is not None:
            return self._decoded[indices]
        return torch.stack([decode(self.source.read(self.names[i]), self.resolution, self.channels) for i in indices])

    def summary(self) -> dict:
        """What dataset.json says."""
        return {
            "pictures": len(self),
            "resolution": self.resolution,
            "channels": self.channels,
            "classes": self.class_names,
            "skipped": [{"name": s.name, "reason": s.reason} for s in self.skipped],
        }


def open_source(path: Path) -> Source:
    """The pictures of a folder or a zip. Raises DataError if there are none."""
    if not path.exists():
        raise DataError(f"there is no {path}; give a folder or a zip of pictures")
    source: Source = FolderSource(path) if path.is_dir() else ZipSource(path)
    if not source.names:
        raise DataError(f"{path} holds no pictures ({', '.join(sorted(SUFFIXES))}); put at least {MIN_PICTURES} there")
    return source


def open_pictures(
    path: Path,
    resolution: int,
    channels: int,
    *,
    classes: bool = False,
    part: str = "all",
    holdout: float = 0.0,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pictures:
    """Scan a folder or zip, decoding every picture once so that no bad file surprises a run at night.

    classes: the first folder of each name is its class. part: "train" leaves a share of `holdout` out and "held-out" is
    that share; which pictures it holds depends on their names alone. Raises DataError if there is nothing to learn from.
    """
    source = open_source(path)
    wanted = [name for name in source.names if part == "all" or is_held_out(name, holdout) == (part == "held-out")]
    fits = len(wanted) * channels * resolution**2 <= memory_bytes

    def attempt(name: str) -> Tensor | Skipped:
        try:
            return decode(source.read(name), resolution, channels)
        except ImageError as error:
            return Skipped(name, str(error))

    names, tensors, skipped = [], [], []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, (name, outcome) in enumerate(zip(wanted, pool.map(attempt, wanted)), 1):
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
            else:
                names.append(name)
                if fits:
                    tensors.append(outcome)
            progress(done, len(wanted))
    if len(names) < MIN_PICTURES:
        why = f"; the first of {len(skipped)} that were skipped: {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        kept = "" if part == "all" else f" in the {part} part at a holdout of {holdout:g}"
        raise DataError(f"{path} holds {len(names)} readable pictures{kept}; give {MIN_PICTURES} or more{why}")
    labels, class_names = _classes(names) if classes else (torch.zeros(len(names), dtype=torch.long), [])
    decoded = torch.stack(tensors) if fits else None
    return Pictures(source, names, resolution, channels, labels, class_names, skipped, decoded)


def decode(data: bytes, resolution: int, channels: int) -> Tensor:
    """A picture file's bytes -> uint8 [channels, resolution, resolution], cropped to the middle square."""
    picture = resize_crop(open_picture(data).rgb(), resolution)
    array = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(array.copy()).reshape(resolution, resolution, channels).permute(2, 0, 1).contiguous()


def is_held_out(name: str, share: float) -> bool:
    """Whether a picture is kept from training, to measure on: decided by a hash of its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") < share * 2**64


def _classes(names: list[str]) -> tuple[Tensor, list[str]]:
    folders = [PurePosixPath(name).parts[0] if len(PurePosixPath(name).parts) > 1 else "" for name in names]
    class_names = sorted(set(folders))
    if len(class_names) < 2:
        raise DataError("classes were asked for and all pictures are in one folder; put each class in a subfolder of its own")
    numbers = {name: i for i, name in enumerate(class_names)}
    return torch.tensor([numbers[f] for f in folders]), class_names


def indices_at(position: int, count: int, size: int, seed: int) -> list[int]:
    """The pictures numbered position .. position + count of an endless shuffled stream over `size` pictures.

    Every epoch is a permutation of its own, fixed by the seed: equal arguments give equal pictures, on any machine.
    """
    indices: list[int] = []
    while len(indices) < count:
        epoch, start = divmod(position + len(indices), size)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        indices += torch.randperm(size, generator=generator)[start : start + count - len(indices)].tolist()
    return indices


def batches(
    pictures: Pictures, position: int, batch: int, seed: int, rank: int = 0, ranks: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches for one process: (pictures [batch / ranks, C, R, R] in [-1, 1], labels), one prefetched.

    `position` counts pictures that all processes have seen together; `batch` is the size over all processes.
    """

    def load(at: int) -> tuple[Tensor, Tensor]:
        share = indices_at(at, batch, len(pictures), seed)[rank::ranks]
        return pictures.load(share).float() / 127.5 - 1, pictures.labels[share]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(load, position)
        while True:
            ready = waiting.result()
            position += batch
            waiting = pool.submit(load, position)
            yield ready
