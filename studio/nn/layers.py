"""Equalised layers and the 1-3-3-1 filter of the StyleGAN family, in plain PyTorch.

Equalised learning rate (Karras et al. 2018, "Progressive Growing", section 4.1): weights are kept at unit variance and
scaled at run time by 1/sqrt(fan_in), so that Adam moves every layer at the same relative speed.

The filter is [1, 3, 3, 1] (Karras et al. 2020, "Analyzing and Improving"): its separable square runs as a depthwise
convolution, which CPUs and GPUs do fast in channels_last memory, and which differentiates twice without custom code.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LRELU_GAIN = math.sqrt(2)  # keeps unit variance through a leaky ReLU of slope 0.2
_TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


def lrelu(x: Tensor, gain: float = 1.0) -> Tensor:
    """Leaky ReLU of slope 0.2, scaled to keep variance. Any shape."""
    return F.leaky_relu(x, 0.2) * (LRELU_GAIN * gain)


def normalize_2nd_moment(x: Tensor) -> Tensor:
    """Scale each row of x [N, C] to a mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def fir(x: Tensor, stride: int = 1, padding: int = 0, gain: float = 1.0) -> Tensor:
    """Filter x [N, C, H, W] with the 4x4 kernel of [1, 3, 3, 1]; its sum is `gain`."""
    return F.conv2d(x, fir_kernel(x, x.shape[1], gain), stride=stride, padding=padding, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """x [N, C, H, W] -> [N, C, 2H, 2W]: zeros between the samples, then the filter with a sum of 4."""
    return F.conv_transpose2d(x, fir_kernel(x, x.shape[1], 4.0), stride=2, padding=1, groups=x.shape[1])


def downsample(x: Tensor) -> Tensor:
    """x [N, C, H, W] -> [N, C, H/2, W/2]: the filter with a sum of 1, every other sample."""
    return fir(x, stride=2, padding=1)


def fir_kernel(like: Tensor, channels: int, gain: float) -> Tensor:
    """The filter for a depthwise convolution: [channels, 1, 4, 4] with sum `gain`,
    of the dtype and device of `like`.
    """
    kernel = (_TAPS[:, None] * _TAPS[None, :]).to(like) * gain
    return kernel.expand(channels, 1, 4, 4)


class EqualLinear(nn.Module):
    """Fully connected layer with equalised learning rate.

    x [N, in] -> [N, out]. `lr_mult` slows or speeds this layer's learning and leaves its output's variance unchanged.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: float = 0.0, activate: bool = False, lr_mult: float = 1.0
    ) -> None:
        super().__init__()
        self.activate = activate
        self.weight_gain = lr_mult / math.sqrt(in_features)
        self.bias_gain = lr_mult
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_mult)
        self.bias = nn.Parameter(torch.full([out_features], bias / lr_mult))

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight.to(x.dtype) * self.weight_gain, self.bias.to(x.dtype) * self.bias_gain)
        return lrelu(x) if self.activate else x


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate; `down=True` filters and halves the picture.

    x [N, in, H, W] -> [N, out, H, W], or [N, out, H/2, W/2].
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, down: bool = False, bias: bool = True,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.down = down
        self.activate = activate
        self.weight_gain = 1 / math.sqrt(in_channels * kernel**2)
        weight = torch.randn(out_channels, in_channels, kernel, kernel)
        self.weight = nn.Parameter(weight.to(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """`gain` scales the output, after the activation."""
        # The activation's gain rides on the weights: leaky ReLU is homogeneous, and one pass over x is saved.
        gain = gain * LRELU_GAIN if self.activate else gain
        weight = self.weight.to(x.dtype) * (self.weight_gain * gain)
        bias = None if self.bias is None else self.bias.to(x.dtype) * gain
        kernel = weight.shape[-1]
        if not self.down:
            x = F.conv2d(x, weight, bias, padding=kernel // 2)
        elif kernel == 1:
            x = F.conv2d(downsample(x), weight, bias)
        else:
            x = F.conv2d(fir(x, padding=2), weight, bias, stride=2)
        return F.leaky_relu(x, 0.2) if self.activate else x
