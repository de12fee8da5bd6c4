"""Holes filled from their edges, with nothing learned: what an inpainting network draws upon.

Pictures are [N, C, H, W], masks [N, 1, H, W] with 1 in the holes. All of it runs where the network does, in batches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTHINGS = 3  # of the hole, at each size; three of them hide the squares of the smaller one
STEPS = 20  # of bending; cracks of a few pixels are then as smooth as can be
HIGHEST = 64.0  # eigenvalue of the Laplacian's Laplacian
LOWEST = 0.3  # of those that STEPS wear off; what is lower belongs to wide holes, and hardly moves


def surface(pictures: Tensor, masks: Tensor) -> Tensor:
    """Pictures with their holes filled: cracks as biharmonic inpainting would, wide holes with the tones around them.

    What pictures hold under the mask does not matter, even if it is not finite; 0 where nothing is known.
    """
    return bend(diffuse(pictures, masks), masks)


def diffuse(pictures: Tensor, masks: Tensor) -> Tensor:
    """Pictures whose holes take on the tones around them.

    Each size fills the holes of the next larger one, from a single pixel on.
    """
    known = masks == 0
    levels = [(torch.where(known, pictures, 0.0), known.to(pictures.dtype))]
    while max(levels[-1][0].shape[2:]) > 1:
        values, weight = levels[-1]
        half = lambda t: F.avg_pool2d(t, 2, ceil_mode=True)
        share = half(weight)
        levels.append((half(values) / share.clamp(min=1e-6), (share > 0).to(share.dtype)))
    filled = levels.pop()[0]
    for values, weight in reversed(levels):
        coarse = F.interpolate(filled, size=values.shape[2:], mode="bilinear")
        filled = torch.where(weight > 0, values, coarse)
        for _ in range(SMOOTHINGS):
            around = F.avg_pool2d(filled, 3, stride=1, padding=1, count_include_pad=False)
            filled = torch.where(weight > 0, values, around)
    return filled


def bend(filled: Tensor, masks: Tensor) -> Tensor:
    """Filled pictures whose holes go on as their surroundings slope: there, the Laplacian's Laplacian nears 0.

    It solves what `studio.biharmonic` solves, by Chebyshev's semi-iteration (Golub & Varga 1961), whose steps need no
    sums over the picture: so exactly where holes are a few pixels wide, and hardly at all in the middle of wide ones.
    """
    centre, radius = (HIGHEST + LOWEST) / 2, (HIGHEST - LOWEST) / 2
    ratio = radius / centre
    step = masks * laplacian(laplacian(filled)) / -centre
    for _ in range(STEPS - 1):
        filled = filled + step
        residual = masks * laplacian(laplacian(filled))
        before, ratio = ratio, 1 / (2 * centre / radius - ratio)
        step = ratio * before * step - (2 * ratio / radius) * residual
    return filled + step


def laplacian(x: Tensor) -> Tensor:
    """The four neighbours less four times each pixel; beyond the edges, a pixel's neighbour is the pixel itself."""
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return p[:, :, :-2, 1:-1] + p[:, :, 2:, 1:-1] + p[:, :, 1:-1, :-2] + p[:, :, 1:-1, 2:] - 4 * x
