"""StyleGAN2's synthesis laid out for speed: the same pictures as the training form, to 1e-4.

What is done once instead of at every picture: weights laid out with their gains inside, the sums of squares that
demodulation needs, noise scaled by its strength. What is chosen by size, for a single picture: where a layer has fewer
weights than activations (the high resolutions), style and demodulation go into the weights, and otherwise into the
activations, which lets the weights be packed for the CPU. Nothing uses grouped convolutions but the 4x4 filter.
"""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.nn.layers import LRELU_GAIN, fir_kernel, upsample
from studio.nn.packed import PackedConv


class FastLayer(nn.Module):
    """A synthesis layer. `source` is the training form: a SynthesisLayer."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.up, self.clamp = source.up, source.clamp
        weight = source.weight.detach().contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", weight)
        self.register_buffer("power", weight.square().sum(dim=(2, 3)).t().contiguous())  # [IO]
        self.register_buffer("style_weight", source.affine.weight * source.affine.weight_gain)
        self.register_buffer("style_bias", source.affine.bias * source.affine.bias_gain)
        self.register_buffer("bias", source.bias * LRELU_GAIN)
        self.register_buffer("strength", source.noise_strength * LRELU_GAIN)
        self.register_buffer("noise", (source.noise_const * source.noise_strength * LRELU_GAIN)[None, None])
        out_channels, in_channels = weight.shape[:2]
        pixels = source.noise_const.numel()
        activations = out_channels * pixels + in_channels * (pixels // 4 if self.up else pixels)
        self.light = weight.numel() < activations
        self.convolve = None
        if not self.light:
            side = source.noise_const.shape[0] // (2 if self.up else 1)
            self.convolve, self.weight = PackedConv(weight, (side, side), transposed=self.up), None
        if self.up:
            self.register_buffer("kernel", fir_kernel(weight, out_channels, 4.0).contiguous())

    def forward(self, x: Tensor, w: Tensor, noise: str) -> Tensor:
        styles = F.linear(w, self.style_weight, self.style_bias)  # [NI]
        scale = (styles.square() @ self.power + 1e-8).rsqrt_().mul_(LRELU_GAIN)  # [NO]
        bias = self.bias[:, None, None]
        if len(w) == 1 and self.light:
            weight = self.weight * (scale.view(-1, 1, 1, 1) * styles.view(1, -1, 1, 1))
            if self.up:
                x = self._upsampled(x, weight).add_(bias)
            else:
                x = F.conv2d(x, weight, self.bias, padding=1)
        else:
            x = x * styles[:, :, None, None]
            if self.light:
                x = self._upsampled(x, self.weight) if self.up else F.conv2d(x, self.weight, padding=1)
            else:
                x = self._filtered(self.convolve(x)) if self.up else self.convolve(x)
            x = torch.addcmul(bias, x, scale[:, :, None, None])
        if noise == "const":
            x.add_(self.noise)
        elif noise == "random":
            x.add_(torch.randn(len(x), 1, *x.shape[2:], device=x.device) * self.strength)
        x = F.leaky_relu_(x, 0.2)
        return x.clamp_(-self.clamp, self.clamp) if self.clamp else x

    def _upsampled(self, x: Tensor, weight: Tensor) -> Tensor:
        return self._filtered(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))

    def _filtered(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, padding=1, groups=len(self.kernel))


class FastToRGB(nn.Module):
    """A to-RGB layer. `source` is the training form: a ToRGB."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.clamp = source.clamp
        self.register_buffer("weight", source.weight.detach().clone())
        self.register_buffer("bias", source.bias.detach().clone())
        self.register_buffer("style_weight", source.affine.weight * (source.affine.weight_gain * source.weight_gain))
        self.register_buffer("style_bias", source.affine.bias * (source.affine.bias_gain * source.weight_gain))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = F.linear(w, self.style_weight, self.style_bias)
        if len(w) == 1:
            x = F.conv2d(x, self.weight * styles.view(1, -1, 1, 1), self.bias)
        else:
            x = F.conv2d(x * styles[:, :, None, None], self.weight, self.bias)
        return x.clamp_(-self.clamp, self.clamp) if self.clamp else x


class FastSynthesis(nn.Module):
    """ws [N, num_ws, w_dim] -> pictures [N, channels, resolution, resolution], about [-1, 1], float32."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        blocks = list(blocks)
        const = blocks[0].const.detach()[None].contiguous(memory_format=torch.channels_last)
        self.register_buffer("const", const)
        layers = [[b.conv1] if i == 0 else [b.conv0, b.conv1] for i, b in enumerate(blocks)]
        self.layers = nn.ModuleList(nn.ModuleList(FastLayer(layer) for layer in pair) for pair in layers)
        self.torgb = nn.ModuleList(FastToRGB(b.torgb) for b in blocks)

    def forward(self, ws: Tensor, noise: str = "const") -> Tensor:
        x = self.const.expand(len(ws), -1, -1, -1)
        if len(ws) > 1:
            x = x.contiguous(memory_format=torch.channels_last)
        picture, index = None, 0
        for layers, torgb in zip(self.layers, self.torgb):
            for layer in layers:
                x = layer(x, ws[:, index], noise)
                index += 1
            added = torgb(x, ws[:, index])
            picture = added if picture is None else upsample(picture).add_(added)
        return picture


def lay_out(generator: nn.Module) -> nn.Module:
    """A StyleGAN2Generator whose synthesis is the fast form; it cannot be trained or saved."""
    laid_out = copy.copy(generator)
    laid_out._modules = dict(generator._modules)
    blocks = (getattr(generator.synthesis_network, f"b{r}") for r in generator.synthesis_network.resolutions)
    laid_out.synthesis_network = FastSynthesis(blocks).to(next(generator.parameters()).device)
    return laid_out.eval().requires_grad_(False)
