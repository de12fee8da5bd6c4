"""Losses for masks of several classes that exclude one another not. Logits and labels in {0, 1} are [N, K, H, W]."""

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, rarity: float = 1.0) -> Tensor:
    """Binary cross-entropy, mean over pixels and classes: [N]. What is labelled counts `rarity` times."""
    weight = logits.new_tensor(rarity)
    return F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none").mean(dim=(1, 2, 3))


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - 2 |A and B| / (|A| + |B|) of each class over the whole batch (Milletari et al. 2016, V-Net, section 3):
    [K].

    Over the batch, as most pictures lack most classes; one that all of them lack has a loss near 0 if nothing is
    said.
    """
    probabilities = logits.sigmoid()
    sums = lambda t: t.sum(dim=(0, 2, 3))
    return 1 - (2 * sums(probabilities * labels) + 1) / (sums(probabilities.square()) + sums(labels) + 1)


@torch.no_grad()
def f1_score(probabilities: Tensor, labels: Tensor, threshold: float = 0.5) -> Tensor:
    """2 TP / (2 TP + FP + FN) of each class over the batch, by pixels: [K]; 1 with nothing to find, nor found."""
    found, there = probabilities > threshold, labels > 0.5
    sums = lambda t: t.sum(dim=(0, 2, 3)).float()
    return (2 * sums(found & there) + 1e-6) / (sums(found) + sums(there) + 1e-6)
