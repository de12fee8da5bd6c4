"""Ways to fill holes that learn from nothing but the picture itself: baselines, and good for hairlines.

Each takes a picture [1, 3, H, W] in [-1, 1] and a mask [1, 1, H, W] bool that is not all True, and gives the picture
with its holes filled, about in [-1, 1]. What stands in the holes is ignored.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from studio.biharmonic import biharmonic
from studio.exemplars import exemplars
from studio.registry import Registry

Fill = Callable[[Tensor, Tensor], Tensor]

FILLS: Registry[Fill] = Registry("classical fill")
HALF = 65535 / 2
RADIUS = 3  # px; how far Telea and Navier-Stokes look, as is usual


@FILLS.register("telea")
def telea(picture: Tensor, mask: Tensor) -> Tensor:
    """From the edge inwards, by what lies nearest (Telea 2004, "An image inpainting technique ...")."""
    return _opencv(picture, mask, cv2.INPAINT_TELEA)


@FILLS.register("ns")
def navier_stokes(picture: Tensor, mask: Tensor) -> Tensor:
    """Lines of equal light flow on into the hole (Bertalmio et al. 2001, "Navier-Stokes, ...")."""
    return _opencv(picture, mask, cv2.INPAINT_NS)


FILLS.register("biharmonic")(biharmonic)
FILLS.register("patches")(exemplars)


def _opencv(picture: Tensor, mask: Tensor, method: int) -> Tensor:
    holes = mask[0, 0].cpu().numpy().astype(np.uint8)
    # floats of one channel, for of bytes 16 bits would keep 8; and in steps of 16 bits, for OpenCV's Telea is a step
    # off here and there, which is to be seen of 256
    levels = picture[0].float().add(1).mul(HALF).cpu().numpy()
    planes = [cv2.inpaint(np.ascontiguousarray(plane), holes, RADIUS, method) for plane in levels]
    filled = torch.from_numpy(np.stack(planes))[None].div(HALF).sub(1)
    return torch.where(mask, filled.to(picture), picture)
