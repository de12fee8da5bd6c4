"""Losses that look at holes. Masks are [N, 1, H, W], 1 = hole; each picture counts alike, however small its hole."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-5  # added to a mean square: two fifths of a level of 255, beyond which nothing is gained

def at_size(masks: Tensor, like: Tensor) -> Tensor:
    """Masks at the last two sides of `like`: 1 wherever a hole touches."""
    return F.adaptive_max_pool2d(masks, like.shape[-2:])


def hole_mean(values: Tensor, masks: Tensor) -> Tensor:
    """Mean of values [N, C, H, W] over channels and hole: [N]; 0 without a hole."""
    return (values.mean(dim=1, keepdim=True) * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3)).clamp(min=1)


def hole_distance(found: Tensor, wanted: Tensor, masks: Tensor) -> Tensor:
    """Mean absolute difference inside the hole: [N]. found and wanted [N, C, H, W]."""
    return hole_mean((found - wanted).abs(), masks)


def hole_psnr_loss(found: Tensor, wanted: Tensor, masks: Tensor) -> Tensor:
    """Minus a tenth of the PSNR in dB inside the hole of pictures in [-1, 1]: [N]. Shapes as above.

    A smooth picture then counts as much as a rough one (Chen et al. 2021, HINet, arXiv:2105.06086).
    """
    return (hole_mean((found - wanted).square(), masks) / 4 + FLOOR / 4).log10()


def perceptual_distance(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], masks: Tensor) -> Tensor:
    """Mean absolute difference of responses {layer: [N, C, h, w]} around the hole, mean over layers: [N].

    Relative to the responses' mean in the picture, so that layers and pictures count alike.
    """
    terms = []
    for name, target in wanted.items():
        strength = target.mean(dim=(1, 2, 3)) + 0.05
        terms.append(hole_distance(found[name], target, at_size(masks, target)) / strength)
    return torch.stack(terms).mean(dim=0)
