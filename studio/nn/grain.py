"""Noise that a generator adds to its feature maps, with a learned strength."""

import torch
from torch import Tensor, nn

from studio.errors import SettingError

NOISE = ("const", "random", "none")


def check_noise(noise: str) -> None:
    """Raises SettingError unless it is one of NOISE."""
    if noise not in NOISE:
        raise SettingError(f"noise={noise!r} is not one of {', '.join(NOISE)}")


class Grain(nn.Module):
    """Noise with a learned strength. x [N, C, H, W] -> the same shape."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("const", torch.randn(side, side))

    def forward(self, x: Tensor, noise: str) -> Tensor:
        if noise == "none":
            return x
        grain = torch.randn(len(x), 1, *x.shape[2:], device=x.device) if noise == "random" else self.const
        return x + (self.strength * grain).to(x.dtype)
