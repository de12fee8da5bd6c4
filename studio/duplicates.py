"""Pictures that are there twice: re-saved, resized or slightly retouched copies of one another.

Two small views of each picture are kept, 288 bytes together: the signs of its horizontal gradients (dHash, Krawetz
2013, "Kind of Like That"), by which candidates are found without comparing all pairs, and 16 x 16 grey levels, which
decide: drawings on white paper have like gradients where they have no ink.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

MAX_BITS = 6  # of the 64 gradients that may differ
MAX_LEVELS = 8.0  # root mean square of the difference of the 256 grey levels, of 255
# so many parts of the gradients: pictures that differ in fewer bits are equal in one part at least
_BANDS = MAX_BITS + 1
_BLOCK = 2048  # rows compared at once, so that the memory is bounded


@dataclass(frozen=True, eq=False)
class Look:
    """The small views of a picture: `gradients` uint8 [8] (64 bits) and `levels` uint8 [16, 16]."""

    gradients: np.ndarray
    levels: np.ndarray

    @classmethod
    def of(cls, image: Image.Image) -> "Look":
        grey = image.convert("L")
        rows = np.asarray(grey.resize((9, 8), Image.Resampling.BOX)).astype(np.int16)
        levels = np.asarray(grey.resize((16, 16), Image.Resampling.BOX)).copy()
        # Flat regions would flip their signs with every rounding: a step counts from 2 levels on.
        return cls(np.packbits(rows[:, 1:] > rows[:, :-1] + 1), levels)


class Album:
    """Pictures as they come in, of which only those are kept that are like none before."""

    def __init__(self) -> None:
        self._count = 0
        self._bits = np.zeros((0, 64), np.uint8)  # both grow by doubling
        self._levels = np.zeros((0, 256), np.float32)

    def add(self, look: Look) -> bool:
        """Keep a picture's look; False if one that is kept looks the same, and then it is not."""
        bits, levels = np.unpackbits(look.gradients), look.levels.ravel().astype(np.float32)
        near = np.flatnonzero((self._bits[: self._count] != bits).sum(axis=1) <= MAX_BITS)
        far = ((self._levels[near] - levels) ** 2).mean(axis=1)
        if (far <= MAX_LEVELS**2).any():
            return False
        if self._count == len(self._bits):
            self._bits = np.concatenate([self._bits, np.zeros((max(self._count, 64), 64), np.uint8)])
            self._levels = np.concatenate([self._levels, np.zeros((max(self._count, 64), 256), np.float32)])
        self._bits[self._count], self._levels[self._count] = bits, levels
        self._count += 1
        return True


def near_duplicates(looks: list[Look]) -> list[list[int]]:
    """Groups of two and more pictures that look the same, by their place in `looks`, in order.

    A group holds everything that is like anything in it. Memory grows with the number of pictures, not of pairs.
    """
    if not looks:
        return []
    bits = np.unpackbits(np.stack([look.gradients for look in looks]), axis=1)
    levels = np.stack([look.levels.ravel() for look in looks]).astype(np.float32)
    leader = np.arange(len(looks))

    def root(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = int(leader[i])
        return i

    for band in np.array_split(bits, _BANDS, axis=1):
        for members in _buckets(np.packbits(band, axis=1)):
            for one, other in _alike(bits[members], levels[members]):
                a, b = root(int(members[one])), root(int(members[other]))
                leader[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = defaultdict(list)
    for i in range(len(looks)):
        groups[root(i)].append(i)
    return [group for group in groups.values() if len(group) > 1]


def _buckets(keys: np.ndarray) -> Iterable[np.ndarray]:
    """Places of equal rows of keys [N, bytes], where there are two and more."""
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    for places in np.split(order, np.cumsum(counts)[:-1]):
        if len(places) > 1:
            yield places


def _alike(bits: np.ndarray, levels: np.ndarray) -> Iterable[tuple[int, int]]:
    """Pairs (i, j), i < j, of rows that are alike; of a row, with its nearest relatives before it alone."""
    signs = bits.astype(np.float32) * 2 - 1
    squares = (levels * levels).sum(axis=1)
    limit = MAX_LEVELS**2 * levels.shape[1]
    for start in range(0, len(bits), _BLOCK):
        for first in range(0, start + 1, _BLOCK):
            rows, columns = slice(start, start + _BLOCK), slice(first, first + _BLOCK)
            differing = (bits.shape[1] - signs[rows] @ signs[columns].T) / 2
            far = squares[rows, None] + squares[None, columns] - 2 * levels[rows] @ levels[columns].T
            later, earlier = np.nonzero((differing <= MAX_BITS) & (far <= limit))
            later, earlier = later + start, earlier + first
            later, earlier = later[earlier < later], earlier[earlier < later]
            # One relative is enough to join a group: thousands of equal pictures have millions of pairs.
            _, places = np.unique(later, return_index=True)
            yield from zip(earlier[places].tolist(), later[places].tolist())
