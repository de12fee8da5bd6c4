"""Pictures to learn from: a folder or a zip, any size and kind, as batches of squares of one size.

Nothing is extracted and nothing in the source is changed. Files that cannot be read are skipped and listed. The order
is a function of the seed and the number of pictures seen, so that a resumed run needs no sampler state.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from studio.errors import DataError, ImageError
from studio.inorder import in_order
from studio.raster.opening import open_picture
from studio.sources import MIN_PICTURES, Source, open_source
from train.fit import FITS
from train.together import gathered, place

MEMORY_BYTES = 4 << 30  # of decoded pictures kept; a larger set is decoded again each epoch


@dataclass(frozen=True)
class Skipped:
    name: str
    reason: str


@dataclass
class Pictures:
    """A data set of squares. `labels` [n] are class numbers, all 0 without classes.

    `fit` is how pictures were made square (train/fit.py), and empty where squares were taken in another way.
    """

    source: Source
    names: list[str]
    resolution: int
    channels: int
    labels: Tensor
    class_names: list[str]
    skipped: list[Skipped] = field(default_factory=list)
    _decoded: Tensor | None = None  # uint8 [n, C, R, R], where it fits in memory
    fit: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def load(self, indices: list[int]) -> Tensor:
        """uint8 [len(indices), C, R, R]."""
        if self._decoded is not None:
            return self._decoded[indices]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            how = self.resolution, self.channels, self.fit or "crop"
            one = lambda i: decode(self.source.read(self.names[i]), *how)
            return torch.stack(list(pool.map(one, indices)))

    def summary(self) -> dict:
        """What dataset.json says."""
        return {
            "pictures": len(self),
            "names_sha256": hashlib.sha256("\n".join(self.names).encode("utf-8", "surrogateescape")).hexdigest(),
            "resolution": self.resolution,
            "channels": self.channels,
            **({"fit": self.fit} if self.fit else {}),
            "classes": self.class_names,
            "skipped": [{"name": s.name, "reason": s.reason} for s in self.skipped],
        }


def open_pictures(
    path: Path,
    resolution: int,
    channels: int,
    *,
    classes: bool = False,
    fit: str = "crop",
    part: str = "all",
    holdout: float = 0.0,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pictures:
    """Scan a folder or zip, decoding every picture once so that no bad file surprises a run at night.

    classes: the first folder of each name is its class. fit: how a picture becomes a square, one of train.fit.FITS.
    part: "train" leaves a share of `holdout` out and "held-out" is that share; which pictures it holds depends on
    their names alone. Raises DataError if there is nothing to learn from.
    """
    source = open_source(path)
    wanted = [name for name in source.names if part == "all" or is_held_out(name, holdout) == (part == "held-out")]
    fits = len(wanted) * channels * resolution**2 <= memory_bytes

    def attempt(name: str) -> Tensor | Skipped:
        try:
            return decode(source.read(name), resolution, channels, fit)
        except ImageError as error:
            return Skipped(name, str(error))

    # Of what memory does not hold, each process looks through its share; what it holds, every process needs whole.
    rank, ranks = (0, 1) if fits else place()
    mine, tensors, bad = wanted[rank::ranks], [], {}
    outcomes = in_order(attempt, mine, min(8, os.cpu_count() or 1))
    for done, (name, outcome) in enumerate(zip(mine, outcomes), 1):
        if isinstance(outcome, Skipped):
            bad[name] = outcome
        elif fits:
            tensors.append(outcome)
        progress(done, len(mine))
    bad = bad if fits else gathered(bad)
    names, skipped = [name for name in wanted if name not in bad], [bad[name] for name in wanted if name in bad]
    if len(names) < MIN_PICTURES:
        first = skipped[0] if skipped else None
        why = f"; the first of {len(skipped)} that were skipped: {first.name}: {first.reason}" if first else ""
        kept = "" if part == "all" else f" in the {part} part at a holdout of {holdout:g}"
        raise DataError(f"{path} holds {len(names)} readable pictures{kept}; give {MIN_PICTURES} or more{why}")
    labels, class_names = _classes(names) if classes else (torch.zeros(len(names), dtype=torch.long), [])
    decoded = torch.stack(tensors) if fits else None
    return Pictures(source, names, resolution, channels, labels, class_names, skipped, decoded, fit)


def decode(data: bytes, resolution: int, channels: int, fit: str = "crop") -> Tensor:
    """A picture file's bytes -> uint8 [channels, resolution, resolution]. Raises ImageError."""
    picture = FITS.get(fit)(open_picture(data).rgb(), resolution)
    array = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(array.copy()).reshape(resolution, resolution, channels).permute(2, 0, 1).contiguous()


def is_held_out(name: str, share: float) -> bool:
    """Whether a picture is kept from training, to measure on: decided by a hash of its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") < share * 2**64


def _classes(names: list[str]) -> tuple[Tensor, list[str]]:
    folders = [PurePosixPath(name).parts[0] if len(PurePosixPath(name).parts) > 1 else "" for name in names]
    class_names = sorted(set(folders))
    if len(class_names) < 2:
        what = "classes were asked for and all pictures are in one folder"
        raise DataError(f"{what}; put each class in a subfolder of its own")
    numbers = {name: i for i, name in enumerate(class_names)}
    return torch.tensor([numbers[f] for f in folders]), class_names


def indices_at(position: int, count: int, size: int, seed: int) -> list[int]:
    """The pictures numbered position .. position + count of an endless shuffled stream over `size` pictures.

    Every epoch is a permutation of its own, fixed by the seed: equal arguments give equal pictures, on any machine.
    """
    indices: list[int] = []
    while len(indices) < count:
        epoch, start = divmod(position + len(indices), size)
        indices += _order(size, seed, epoch)[start : start + count - len(indices)].tolist()
    return indices


@functools.lru_cache(2)  # a batch may take the end of one epoch and the beginning of the next
def _order(size: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


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
