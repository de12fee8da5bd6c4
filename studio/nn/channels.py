"""Pictures in colour for networks that see or make grey ones."""

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, as Pillow weighs them


def take_channels(pictures: Tensor, channels: int) -> Tensor:
    """pictures [N, 3, H, W] -> [N, channels, H, W]; 1 is grey."""
    if channels == 3:
        return pictures
    weights = torch.tensor(LUMA, device=pictures.device, dtype=pictures.dtype)
    return (pictures * weights[:, None, None]).sum(dim=1, keepdim=True)


def as_colours(pictures: Tensor) -> Tensor:
    """pictures [N, 1 or 3, H, W] -> [N, 3, H, W]."""
    return pictures.expand(-1, 3, -1, -1)
