"""What is kept of a photo when it was painted: its colours, its fine detail, the parts outside of a mask.

Photos and paintings are [1, 3, H, W] in [-1, 1]. Everything here looks only `reach` px around, so that tiles fit.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.canvas import Window

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
EDGE = 0.02  # variance of luma, in [-1, 1], above which a place counts as an edge that smoothing keeps
NOISE = 1e-4  # variance of detail below which nothing is known about it
FEATHER_SHARE = 1 / 300  # of the longest side
MAX_FEATHER = 16  # px
DETAIL_SHARE = 1 / 128
MAX_DETAIL = 24  # px


def luma(x: Tensor) -> Tensor:
    """[1, 1, H, W] in [-1, 1]."""
    weights = x.new_tensor(LUMA)
    return (x * weights[:, None, None]).sum(dim=1, keepdim=True)


def keep_hue(painted: Tensor, photo: Tensor) -> Tensor:
    """The painting's light in the photo's colours: luma of one, hue and, where there is room, chroma of the other."""
    light = luma(painted)
    chroma = photo - luma(photo)
    # grey plus a share of the chroma has the same hue, and for some share lies within the range
    room = torch.where(chroma > 0, 1 - light, 1 + light) / chroma.abs().clamp(min=1e-6)
    return light + chroma * room.amin(dim=1, keepdim=True).clamp(0, 1)


def detail_radius(longest: int) -> int:
    return min(max(round(longest * DETAIL_SHARE), 2), MAX_DETAIL)


def detail_reach(longest: int) -> int:
    """px; how far `give_back_detail` looks."""
    return 4 * detail_radius(longest)


def give_back_detail(painted: Tensor, photo: Tensor, amount: float, longest: int) -> Tensor:
    """The painting with what it lacks of the photo's fine detail in luma, times `amount` from 0 to 1.

    Detail is what a guided filter takes away (He et al. 2013, "Guided Image Filtering"): it keeps edges, so that no
    halo is given back. Where the painting shows the detail already, it gets as much less of it.
    """
    radius = detail_radius(longest)
    mean = lambda x: box_mean(x, radius)
    light, paint = luma(photo).double(), luma(painted).double()
    average = mean(light)
    variance = mean(light * light) - average * average
    slope = variance / (variance + EDGE)
    detail = light - (mean(slope) * light + mean(average - slope * average))
    middle = mean(detail)
    common = mean(detail * paint) - middle * mean(paint)
    shown = common / (mean(detail * detail) - middle * middle + NOISE)
    return painted + (amount * (1 - shown.clamp(0, 1)) * detail).to(painted.dtype)


def box_mean(x: Tensor, radius: int) -> Tensor:
    """Mean of 2 * radius + 1 px each way around each place of x [1, 1, H, W]; at the edges, of what there is."""
    for axis in (2, 3):
        length = x.shape[axis]
        places = torch.arange(length, device=x.device)
        first, last = (places - radius).clamp(min=0), (places + radius + 1).clamp(max=length)
        sums = F.pad(x.cumsum(axis), (1, 0) if axis == 3 else (0, 0, 1, 0))
        shape = [1, 1, 1, 1]
        shape[axis] = length
        x = (sums.index_select(axis, last) - sums.index_select(axis, first)) / (last - first).view(shape)
    return x


@dataclass(frozen=True)
class Regions:
    """Where which of S styles goes: masks [S, H, W] uint8, 255 where it does. They fade in over `feather` px."""

    masks: np.ndarray
    feather: int

    @property
    def reach(self) -> int:
        return 2 * self.feather

    def at(self, window: Window) -> tuple[Tensor, Tensor]:
        """How much is painted [1, 1, h, w], and each style's share in it [S, 1, 1, h, w]; both from 0 to 1.

        Nothing is painted where all masks are 0: they fade within themselves.
        """
        wide = window.grown(self.reach).within(self.masks.shape[1:])
        masks = self.masks[:, wide.top : wide.bottom, wide.left : wide.right]
        painted = torch.from_numpy(feathered(masks.max(axis=0), self.feather))[None, None]
        shares = torch.ones(1, 1, 1, window.height, window.width)
        if len(masks) > 1:
            planes = torch.from_numpy(masks.astype(np.float32))[:, None, None]
            soft = window.of(torch.stack([box_mean(plane, self.feather) for plane in planes]), wide)
            shares = (soft + 1e-3) / (soft + 1e-3).sum(dim=0)  # where there are no masks, nothing is painted anyway
        return window.of(painted, wide), shares


def feather_px(longest: int) -> int:
    return min(max(round(longest * FEATHER_SHARE), 1), MAX_FEATHER)


def feathered(mask: np.ndarray, radius: int) -> np.ndarray:
    """mask [H, W] uint8 -> float32 from 0 to 1: as it is `radius` px inside, fading towards its edges, 0 outside.

    A stroke thinner than that fades from its own middle, which stays as it is.
    """
    depth, eroded = np.zeros(mask.shape, np.uint16), mask
    for _ in range(radius):
        depth += eroded
        eroded = _extreme(eroded, np.minimum)
    deepest = depth
    for _ in range(radius):
        deepest = _extreme(deepest, np.maximum)
    return mask.astype(np.float32) / 255 * depth / np.maximum(deepest, 1)


def _extreme(x: np.ndarray, pick: np.ufunc) -> np.ndarray:
    """The least or greatest of the 3x3 neighbours of each place; beyond the edges there are none."""
    for axis in (0, 1):
        ahead, behind = np.roll(x, -1, axis), np.roll(x, 1, axis)
        edge = [slice(None)] * 2
        edge[axis] = -1
        ahead[tuple(edge)] = x[tuple(edge)]
        edge[axis] = 0
        behind[tuple(edge)] = x[tuple(edge)]
        x = pick(pick(ahead, behind), x)
    return x
