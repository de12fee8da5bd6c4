"""Pictures that come with the studio, for sample grids and cards: they may be shown to everybody."""

import torch
from torch import Tensor

from studio.presets import PHOTOS, STYLES, photo_path, style_path
from train.data import decode


def showpieces(count: int, side: int) -> Tensor:
    """Photos and paintings in turn, their middle squares: [count, 3, side, side] in [-1, 1]; count at most 14."""
    paths = [path for pair in zip(map(photo_path, PHOTOS), map(style_path, STYLES)) for path in pair]
    return torch.stack([decode(path.read_bytes(), side, 3) for path in paths[:count]]).float() / 127.5 - 1
