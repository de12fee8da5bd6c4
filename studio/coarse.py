"""A picture with holes at half its size, where the holes are narrower, and back.

Pictures are [1, C, H, W], masks [1, 1, H, W] bool, True in the holes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def halved(picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Both at half the size, rounded up. Each pixel is the mean of those of its four that are known."""
    right, below = picture.shape[3] % 2, picture.shape[2] % 2
    known = F.pad((~mask).to(picture.dtype), (0, right, 0, below), mode="replicate")
    share = F.avg_pool2d(known, 2)
    clean = torch.where(mask, 0.0, picture)
    sums = F.avg_pool2d(F.pad(clean, (0, right, 0, below), mode="replicate"), 2)
    hole = share == 0
    return sums / torch.where(hole, 1.0, share), hole


def doubled(half: Tensor, height: int, width: int) -> Tensor:
    """What `halved` gave at the size that it came from, bilinear."""
    size = 2 * half.shape[2], 2 * half.shape[3]
    return F.interpolate(half, size=size, mode="bilinear", align_corners=False)[:, :, :height, :width]
