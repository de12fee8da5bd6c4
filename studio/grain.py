"""Grain for what was filled too smoothly: how a surface looks from near is found elsewhere in the same picture.

A small network knows what colours go on where, and paints them softly; patches of the picture (`studio/exemplars.py`)
are as rough as it is, and when they are alone, put together what does not belong together. So what is coarse is the
network's, and what is fine the patches', which begin from what the network painted.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from studio.exemplars import exemplars

FINE = 4.0  # px; standard deviation of the smoothing that parts what is coarse from what is fine
AMOUNT = 0.7  # of what is fine; all of it shows where patches meet


def with_grain(picture: Tensor, mask: Tensor, each: Callable[[], None] = lambda: None) -> Tensor:
    """picture [1, C, H, W] in [-1, 1], whole, mask [1, 1, H, W] bool, not all True -> the same with grain in the mask.

    Where no patch is whole nothing changes. `each` as in `exemplars`.
    """
    rough = exemplars(picture, mask, each, guess=picture)
    return torch.where(mask, picture + AMOUNT * (_fine(rough) - _fine(picture)), picture)


def _fine(picture: Tensor) -> Tensor:
    """What smoothing takes away."""
    pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).float().cpu().numpy())
    smooth = cv2.GaussianBlur(pixels, (0, 0), FINE, borderType=cv2.BORDER_REPLICATE)
    return picture - torch.from_numpy(smooth.reshape(pixels.shape)).permute(2, 0, 1)[None].to(picture)
