"""The smoothest surface that continues a picture into its holes: there, its Laplacian's Laplacian is 0.

After Damelin & Hoang 2018, "On Surface Completion and Image Inpainting by Biharmonic Functions: Numerical Aspects".
The sum of squares of the Laplacian is least, which conjugate gradients find, begun at the solution at half the size.
"""

import numpy as np
import torch
from torch import Tensor

from studio.coarse import doubled, halved

TOLERANCE = 1e-3  # of the first residual, which shows in no 8-bit picture
MAX_STEPS = 300
MIN_SIDE = 8  # px; smaller pictures are not halved


def biharmonic(picture: Tensor, mask: Tensor) -> Tensor:
    """picture [1, C, H, W], mask [1, 1, H, W] bool, not all True -> the picture with its holes filled, unclamped.

    Polynomials up to the third degree come back exactly, away from the picture's edges.
    """
    if not mask.any():
        return picture
    x = _solve(torch.where(mask, 0.0, picture.double()).cpu(), mask.cpu())
    return torch.where(mask, x.to(picture), picture)


def _solve(picture: Tensor, mask: Tensor) -> Tensor:
    height, width = picture.shape[2:]
    guess, smaller = halved(picture, mask)
    if smaller.any() and min(height, width) >= MIN_SIDE:
        guess = _solve(guess, smaller)
    x = torch.where(mask, doubled(guess, height, width), picture)
    pixels = x[0].permute(1, 2, 0).reshape(height * width, -1).contiguous().numpy()
    _smooth(pixels, mask[0, 0].numpy())
    return torch.from_numpy(pixels).view(1, height, width, -1).permute(0, 3, 1, 2)


def _smooth(x: np.ndarray, mask: np.ndarray) -> None:
    """Make x [H * W, C] smoothest where the mask [H, W] is True, beginning with what it is there."""
    unknown, around = np.flatnonzero(mask), _neighbours(mask.shape)
    near = mask.copy()
    near.ravel()[around[unknown]] = True
    rows = np.flatnonzero(near)  # where the Laplacian depends on the unknown
    at_rows, at_unknown = around[rows], around[unknown]
    surface, curvature = np.zeros_like(x), np.zeros_like(x)

    def twice(values: np.ndarray, full: np.ndarray) -> np.ndarray:
        """The Laplacian's Laplacian, at the unknown, of what is `values` there and `full` elsewhere."""
        full[unknown] = values
        curvature[rows] = full[at_rows].sum(axis=1) - 4 * full[rows]
        return curvature[at_unknown].sum(axis=1) - 4 * curvature[unknown]

    found = x[unknown]
    residual = -twice(found, x)
    direction, energy = residual, (residual * residual).sum()
    enough = energy * TOLERANCE**2
    for _ in range(MAX_STEPS):
        if energy <= enough:
            break
        curved = twice(direction, surface)
        step = energy / (direction * curved).sum()
        found += step * direction
        residual -= step * curved
        before, energy = energy, (residual * residual).sum()
        direction = residual + (energy / before) * direction
    x[unknown] = found


def _neighbours(size: tuple[int, int]) -> np.ndarray:
    """[H * W, 4]: the places beside, above and below each place; beyond the edges, the place itself."""
    places = np.pad(np.arange(size[0] * size[1]).reshape(size), 1, mode="edge")
    beside = (places[1:-1, :-2], places[1:-1, 2:], places[:-2, 1:-1], places[2:, 1:-1])
    return np.stack(beside, axis=-1).reshape(-1, 4)
