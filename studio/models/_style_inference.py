"""The style network laid out for one style and one set of statistics: plain convolutions, the same picture to 1e-4.

Given the statistics, a layer's normalisation, gain and bias are a factor and a term for each channel, which go into
its kernel. So do the mixture of experts, the whitening before the first layer and the colouring after the last.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.models.style import (
    DEVIATION_EPS, Statistics, StyleCode, StyledConv, StyleNetwork, add_grain, balance, pad, upsampling_taps,
)

BLOCK_REACH, OTHER_REACH = 16, 38  # px: two 3x3 kernels at 1/8 of the side; all the layers outside of the blocks


class FoldedConv(nn.Module):
    """A StyledConv for one texture with given statistics. x [1, in, H, W] -> [1, out, H', W']."""

    def __init__(self, source: StyledConv, texture: Tensor, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.up, self.stride, self.activate = source.up, source.stride, source.activate
        gain, bias = source.affine(texture)[0].chunk(2)
        gain = gain / (deviation.flatten() + DEVIATION_EPS)
        kernel = source.kernels(texture)[0] * gain[:, None, None, None]
        kernel = upsampling_taps(kernel) if self.up else kernel
        self.register_buffer("kernel", kernel.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias - mean.flatten() * gain)

    def forward(self, x: Tensor) -> Tensor:
        x = pad(x, 1)
        if self.up:
            x = F.conv_transpose2d(x, self.kernel, self.bias, stride=2, padding=4)
        else:
            x = F.conv2d(x, self.kernel, self.bias, stride=self.stride)
        return F.relu_(x) if self.activate else x

    def take(self, inverse: Tensor, mean: Tensor) -> None:
        """From here on take pictures with colours, which `inverse` [3, 3] whitens after `mean` [3] is taken away."""
        kernel = torch.einsum("oikl,ij->ojkl", self.kernel, inverse)
        self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        self.bias = self.bias - self.kernel.sum(dim=(2, 3)) @ mean


class FoldedStyle(nn.Module):
    """Paints pictures whose colours have `mean` [1, 3] and `root` [1, 3, 3] in one style (len(style) is 1).

    Pictures are [1, 3, H, W] in [-1, 1], sides multiples of 8 and at least 16; so is what comes out, not yet clamped.
    """

    def __init__(
        self, network: StyleNetwork, style: StyleCode, given: Statistics, mean: Tensor, root: Tensor
    ) -> None:
        super().__init__()
        statistics = iter(given)
        fold = lambda layer: FoldedConv(layer, style.texture, *next(statistics))
        self.down = nn.ModuleList(map(fold, network.down))
        self.blocks = nn.ModuleList(nn.ModuleList(map(fold, block)) for block in network.blocks)
        self.up = nn.ModuleList([fold(network.up[0])])
        self.fine = nn.ModuleList(map(fold, network.fine))
        self.up.extend(map(fold, network.up[1:]))
        self.register_buffer("coarse_grain", network.coarse_grain.detach())
        self.register_buffer("fine_grain", network.fine_grain.detach())
        self.reach = BLOCK_REACH * len(self.blocks) + OTHER_REACH

        drawn_mean, drawn_deviation = next(statistics)
        inverse, outside = torch.linalg.inv(root[0]), style.root[0] * balance(drawn_deviation, style.root)
        self.down[0].take(inverse, mean[0])
        kernel = torch.einsum("ij,jokl->iokl", outside, network.draw.weight)
        self.register_buffer("kernel", kernel.contiguous(memory_format=torch.channels_last))
        recolour = outside @ inverse
        self.register_buffer("recolour", recolour[:, :, None, None])
        self.register_buffer(
            "bias", style.mean[0] + outside @ (network.draw.bias - drawn_mean.flatten()) - recolour @ mean[0]
        )

    def forward(self, pictures: Tensor, top: int = 0, left: int = 0) -> Tensor:
        place = [torch.tensor([n], device=pictures.device) for n in (top, left)]
        x = pictures.contiguous(memory_format=torch.channels_last)
        for layer in self.down[:-1]:
            x = layer(x)
        x, quarter = self.down[-1](x), x
        x = add_grain(x, self.coarse_grain, 8, *place)
        for first, second in self.blocks:
            x += second(first(x))
        x = self.up[0](x).add_(quarter)
        del quarter
        x = add_grain(x, self.fine_grain, 4, *place)
        x += self.fine[1](self.fine[0](x))
        for layer in self.up[1:]:
            x = layer(x)
        x = F.conv2d(pad(x, 1), self.kernel, self.bias)
        # recoloured when small: in its full size that would take as long as a whole layer
        low = F.conv2d(F.avg_pool2d(pictures, 4), self.recolour)
        return x.add_(F.interpolate(low, scale_factor=4, mode="bilinear"))
