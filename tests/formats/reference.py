"""StyleGAN2's and 3's arithmetic as the papers have it, picture by picture in double precision, from bare numbers.

Each format's test reads its numbers out of a file's names by itself; nothing here or there is the importers'.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8


@dataclass
class Layer:
    """styles = w @ affine.T + shift; weight [O, I, k, k] as it multiplies; grain is added before the bias."""

    affine: Tensor
    shift: Tensor
    weight: Tensor
    bias: Tensor
    grain: Tensor | float = 0.0


def mapping(layers: list[tuple[Tensor, Tensor]], *parts: Tensor) -> Tensor:
    """Each part [N, D] to a mean square of 1, then layers of (weight, bias) as they multiply, with leaky ReLUs."""
    x = torch.cat([p.double() / (p.double().square().mean(dim=1, keepdim=True) + 1e-8).sqrt() for p in parts], dim=1)
    for weight, bias in layers:
        x = F.leaky_relu(x @ weight.double().T + bias.double(), 0.2) * math.sqrt(2)
    return x


def modulated(x: Tensor, w: Tensor, layer: Layer, *, up: bool = False, demodulate: bool = True) -> Tensor:
    """One picture's x [I, H, W] and w [w_dim]: a weight of its own."""
    styles = layer.affine.double() @ w + layer.shift.double()
    weight = layer.weight.double() * styles[None, :, None, None]
    if demodulate:
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
    if not up:
        return F.conv2d(x[None], weight, padding=weight.shape[-1] // 2)[0]
    stuffed = torch.zeros(len(x), 2 * x.shape[1] - 1, 2 * x.shape[2] - 1, dtype=x.dtype)
    stuffed[:, ::2, ::2] = x
    return smooth(F.conv2d(stuffed[None], weight.flip(2, 3), padding=2)[0])


def smooth(x: Tensor) -> Tensor:
    """1-3-3-1 in both directions with a sum of 4, one sample of zeros around: [C, H, W] -> [C, H - 1, W - 1]."""
    return F.conv2d(x[:, None], 4 * (TAPS[:, None] * TAPS)[None, None], padding=1)[:, 0]


def stylegan2(const: Tensor, layers: list[Layer], pictures: list[Layer], w: Tensor) -> Tensor:
    """One picture from one w [w_dim]: layers and pictures in order, the first layer at the constant's size."""
    w, x = w.double(), const.double()
    picture = torch.zeros(())
    for i, to_picture in enumerate(pictures):
        for layer in layers[:1] if i == 0 else layers[2 * i - 1 : 2 * i + 1]:
            up = i > 0 and layer is layers[2 * i - 1]
            x = modulated(x, w, layer, up=up) + layer.grain
            x = F.leaky_relu(x + layer.bias.double()[:, None, None], 0.2) * math.sqrt(2)
        added = modulated(x, w, to_picture, demodulate=False) + to_picture.bias.double()[:, None, None]
        if i > 0:
            stuffed = torch.zeros(len(picture), 2 * picture.shape[1] + 1, 2 * picture.shape[2] + 1, dtype=x.dtype)
            stuffed[:, 1::2, 1::2] = picture
            picture = smooth(stuffed)
        picture = picture + added
    return picture
