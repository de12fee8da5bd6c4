"""How the pictures of a film move: dense optical flow, how far to trust it, and what flickers.

A flow [N, 2, H, W], in px and x before y, tells for each place of the later picture where in the earlier one it was.
Trust [N, 1, H, W] is from 0 to 1. Pictures are [N, C, H, W] in [-1, 1].
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MIN_SIDE = 32  # px; what is smaller is taken to stand still
RETURN_PX, RETURN_SHARE = 0.5, 0.1  # how far a place may miss itself, there and back: so much, and so much of its way
NOISE = 0.04  # difference of colours that a camera's grain makes, in [-1, 1]
EDGE_PX = 0.35  # how far an edge may lie beside itself
WINDOW = 2  # px around, over which differences are averaged


def estimate(later: np.ndarray, earlier: np.ndarray) -> Tensor:
    """The flow [1, 2, H, W] between two pictures [H, W, 3] uint8, after Kroeger et al. 2016,
    "Fast Optical Flow using Dense Inverse Search", arXiv:1603.03590.
    """
    import cv2  # takes half a second, which the commands that have no film to paint need not wait for

    height, width = later.shape[:2]
    if min(height, width) < MIN_SIDE:
        return torch.zeros(1, 2, height, width)
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = search.calc(*(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (later, earlier)), None)
    return torch.from_numpy(flow).permute(2, 0, 1)[None].contiguous()


def warp(earlier: Tensor, flow: Tensor, mode: str = "bicubic") -> Tensor:
    """The earlier picture as the flow says that it would look later; from outside of it come its edges."""
    height, width = flow.shape[2:]
    x, y = _places(flow)
    grid = torch.stack([(x + 0.5) * (2 / width) - 1, (y + 0.5) * (2 / height) - 1], dim=-1)
    return F.grid_sample(earlier, grid, mode=mode, padding_mode="border", align_corners=False)


def inside(flow: Tensor) -> Tensor:
    """[N, 1, H, W]: 1 where the flow comes from within the picture, 0 where from outside."""
    height, width = flow.shape[2:]
    x, y = _places(flow)
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).to(flow)[:, None]


def trust(flow: Tensor, back: Tensor, later: Tensor, earlier: Tensor) -> Tensor:
    """How sure it is that the flow is right, and that nothing came into view.

    `back` is the flow from the earlier picture to the later: where both together do not lead back (after Sundaram
    et al. 2010, "Dense point trajectories by GPU-accelerated large displacement optical flow"), or where colours have
    changed by more than grain and a share of a pixel at an edge can do, there is little trust.
    """
    missed = (flow + warp(back, flow, "bilinear")).square().sum(dim=1, keepdim=True)
    allowed = RETURN_PX + RETURN_SHARE * flow.norm(dim=1, keepdim=True)
    returns = torch.exp(-_mean(missed, 1) / allowed.square())
    smooth = _mean(later, 1)
    changed = (smooth - warp(_mean(earlier, 1), flow, "bilinear")).square().mean(dim=1, keepdim=True)
    slope = sum(_slope(smooth, axis).square().mean(dim=1, keepdim=True) for axis in (2, 3))
    same = torch.exp(-_mean(changed, WINDOW) / (NOISE**2 + EDGE_PX**2 * _mean(slope, WINDOW)))
    return _mean(returns * same * inside(flow), 1)


def warped_difference(later: Tensor, earlier: Tensor, flow: Tensor, counted: Tensor | None = None) -> Tensor:
    """What flickers from one picture to the next: root of the mean squared difference from the earlier one, warped.

    [N], 0..2. As the temporal loss of Ruder et al. 2016, "Artistic style transfer for videos", eq. 7. `counted`
    [N, 1, H, W] from 0 to 1 says how much each place counts, such as `trust` of an estimated flow; without it, all
    do that were in the picture before.
    """
    counted = inside(flow) if counted is None else counted
    squared = (later - warp(earlier, flow)).square().mean(dim=1, keepdim=True)
    return ((squared * counted).sum(dim=(1, 2, 3)) / counted.sum(dim=(1, 2, 3)).clamp(min=1e-6)).sqrt()


def _places(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Where each place comes from: x and y, each [N, H, W], in px."""
    height, width = flow.shape[2:]
    count = lambda n: torch.arange(n, device=flow.device, dtype=flow.dtype)
    return flow[:, 0] + count(width), flow[:, 1] + count(height)[:, None]


def _mean(x: Tensor, radius: int) -> Tensor:
    """Of a square around each place."""
    return F.avg_pool2d(F.pad(x, (radius,) * 4, mode="replicate"), 2 * radius + 1, stride=1)


def _slope(x: Tensor, axis: int) -> Tensor:
    """Half the difference of the neighbours, of the same shape."""
    ends = [0, 0, 1, 1] if axis == 2 else [1, 1, 0, 0]
    padded = F.pad(x, ends, mode="replicate")
    return (padded.narrow(axis, 2, x.shape[axis]) - padded.narrow(axis, 0, x.shape[axis])) / 2
