"""Losses that look at holes. Masks are [N, 1, H, W], 1 = hole; each picture counts alike, however small its hole."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

SOFT = 1e-3  # added to a root mean square, whose slope at 0 has no bound

def at_size(masks: Tensor, like: Tensor) -> Tensor:
    """Masks at the last two sides of `like`: 1 wherever a hole touches."""
    return F.adaptive_max_pool2d(masks, like.shape[-2:])


def hole_mean(values: Tensor, masks: Tensor) -> Tensor:
    """Mean of values [N, C, H, W] over channels and hole: [N]; 0 without a hole."""
    return (values.mean(dim=1, keepdim=True) * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3)).clamp(min=1)


def hole_distance(found: Tensor, wanted: Tensor, masks: Tensor) -> Tensor:
    """Mean absolute difference inside the hole: [N]. found and wanted [N, C, H, W]."""
    return hole_mean((found - wanted).abs(), masks)


def hole_root_mean_square(found: Tensor, wanted: Tensor, masks: Tensor) -> Tensor:
    """Root of the mean squared difference inside the hole: [N]; it is what PSNR measures. Shapes as above."""
    return (hole_mean((found - wanted).square(), masks) + SOFT**2).sqrt()


def perceptual_distance(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], masks: Tensor) -> Tensor:
    """Mean absolute difference of responses {layer: [N, C, h, w]} around the hole, mean over layers: [N].

    Relative to the responses' mean in the picture, so that layers and pictures count alike.
    """
    terms = []
    for name, target in wanted.items():
        strength = target.mean(dim=(1, 2, 3)) + 0.05
        terms.append(hole_distance(found[name], target, at_size(masks, target)) / strength)
    return torch.stack(terms).mean(dim=0)
