"""Attention in pictures whose cost grows with the number of pixels, not with its square.

Shen, Zhang, Zhao, Yi, Li: "Efficient Attention: Attention with Linear Complexities", WACV 2021, arXiv:1812.01243: keys
are softmaxed over places and queries over channels, so that keys and values are summed up before the queries ask.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS, HEAD_WIDTH = 8, 64
INNER = HEADS * HEAD_WIDTH
NEIGHBOURS = 3  # side of what a place looks at, in LocalMix


class ChannelNorm(nn.Module):
    """Every place's channels brought to a mean of 0 and a variance of 1, then scaled and shifted. x [N, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
        return (x - mean) * (variance + 1e-5).rsqrt() * self.weight[:, None, None] + self.bias[:, None, None]


class GlobalMix(nn.Module):
    """What all places together have to say to each. x [N, C, H, W] -> [N, INNER, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, INNER, 1, bias=False)
        self.around = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.key_value = nn.Conv2d(channels, 2 * INNER, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        heads = lambda y: y.reshape(n, HEADS, HEAD_WIDTH, height * width)
        key, value = map(heads, self.key_value(self.around(x)).chunk(2, dim=1))
        query = heads(self.query(x)).softmax(dim=2) * HEAD_WIDTH**-0.5
        summed = value @ key.softmax(dim=3).mT  # [N, heads, value, key]
        return F.gelu((summed @ query).reshape(n, INNER, height, width))


class LocalMix(nn.Module):
    """What the nearest places have to say to each, zeros beyond the border. x [N, C, H, W] -> [N, INNER, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, INNER, 1, bias=False)
        self.key_value = nn.Conv2d(channels, 2 * INNER, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        query = self.query(x).reshape(n, HEADS, HEAD_WIDTH, 1, height * width) * HEAD_WIDTH**-0.5
        near = F.unfold(self.key_value(x), NEIGHBOURS, padding=NEIGHBOURS // 2)
        key, value = near.reshape(n, 2, HEADS, HEAD_WIDTH, NEIGHBOURS**2, height * width).unbind(1)
        weights = (query * key).sum(dim=2, keepdim=True).softmax(dim=3)
        return (weights * value).sum(dim=3).reshape(n, INNER, height, width)


class LinearAttention(nn.Module):
    """A residual layer: x [N, C, H, W] -> x + what was found. `local` lets a place look at its neighbours too."""

    def __init__(self, channels: int, local: bool = False) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.everywhere = GlobalMix(channels)
        self.near = LocalMix(channels) if local else None
        self.out = nn.Conv2d(INNER * (2 if local else 1), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        found = self.everywhere(y)
        if self.near is not None:
            found = torch.cat([found, self.near(y)], dim=1)
        return x + self.out(found)
