"""How near a mended picture is to what it was, within the hole alone; and how well damage is found."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from train.losses.inpainting import hole_mean

SMALLEST = 1 / 255**2 / 12  # squared error that rounding to 8 bits leaves; less would be luck, and 0 has no decibels
LEVELS = 256
TOLERANCE = 2  # px; within which cracks are judged


def psnr(found: Tensor, wanted: Tensor, mask: Tensor) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures in the hole, in dB; at most 58.9.

    Pictures [1, 3, H, W] in [-1, 1], mask [1, 1, H, W] of float32 in {0, 1}, 1 in the hole.
    """
    error = float(hole_mean(((found - wanted) / 2).square(), mask))
    return -10 * math.log10(max(error, SMALLEST))


@dataclass
class Tally:
    """How sure a detector was, in LEVELS levels, of pixels that were damaged and of others.

    tolerance: px; what is found is right if there is damage so near, and damage is found if something is found so near.
    A crack is a pixel or two wide, and where exactly its edge lies is a matter of taste: crack detection is judged with
    2 px (Amhaz et al. 2016, "Automatic Crack Detection on Two-Dimensional Pavement Images").
    """

    tolerance: int = 0
    right: np.ndarray = field(default_factory=lambda: np.zeros(LEVELS, np.int64))
    wrong: np.ndarray = field(default_factory=lambda: np.zeros(LEVELS, np.int64))
    damaged: np.ndarray = field(default_factory=lambda: np.zeros(LEVELS, np.int64))

    def add(self, levels: np.ndarray, truth: np.ndarray) -> None:
        """levels [H, W] uint8, truth [H, W] bool."""
        near = self._widened(truth.astype(np.uint8)) > 0
        self.right += np.bincount(levels[near], minlength=LEVELS)
        self.wrong += np.bincount(levels[~near], minlength=LEVELS)
        self.damaged += np.bincount(self._widened(levels)[truth], minlength=LEVELS)

    def _widened(self, levels: np.ndarray) -> np.ndarray:
        """The highest of the levels [H, W] uint8 within the tolerance of each pixel."""
        pooled = F.max_pool2d(torch.from_numpy(levels)[None].float(), 2 * self.tolerance + 1, 1, self.tolerance)
        return pooled[0].numpy().astype(np.uint8)

    def scores(self, level: int) -> dict[str, float]:
        """Precision, recall and F1, over all pixels, if `level` and more is taken for damage.

        Precision is 1 where nothing is taken, recall where nothing was damaged.
        """
        right, wrong = int(self.right[level:].sum()), int(self.wrong[level:].sum())
        there = int(self.damaged.sum())
        precision = right / (right + wrong) if right + wrong else 1.0
        recall = int(self.damaged[level:].sum()) / there if there else 1.0
        both = precision + recall
        return {"precision": precision, "recall": recall, "F1": 2 * precision * recall / both if both else 0.0}

    def best_level(self) -> int:
        """The level from 1 up with the highest F1."""
        return max(range(1, LEVELS), key=lambda level: self.scores(level)["F1"])
