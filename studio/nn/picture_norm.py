"""Features normalised by their own picture's mean and deviation.

Ulyanov, Vedaldi, Lempitsky 2016, arXiv:1607.08022. Batch normalisation over a batch of one is the same thing, which is
how pix2pix paints (Isola et al. 2017, arXiv:1611.07004, section 3.4): with a scale and a shift, and nothing kept from
training.
"""

import torch
from torch import Tensor, nn


class PictureNorm(nn.Module):
    """x [N, C, H, W] -> the same shape; where there is but one place, which is its own mean, 0."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=(2, 3), unbiased=False, keepdim=True)
        x = (x - mean) * (variance + 1e-5).rsqrt()
        if self.weight is None:
            return x
        return torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])
