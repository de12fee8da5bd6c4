"""Filling holes by fast Fourier convolutions, after LaMa (Suvorov et al. 2022, arXiv:2109.07161).

A convolution in the spectrum sees the whole picture at once, which is what a large hole needs. What departs from
LaMa:

* The hole is filled as a smooth surface first, and the network draws on top of that. Tone and colour are right before
  it has learned anything, and a crack is filled as well as by biharmonic inpainting.
* The Fourier convolutions draw where a hole is wide, and are left out where none is. What a crack hides is a few pixels
  away, and an eighth of the side knows nothing of single pixels: cracks are left to the plain residual blocks at half
  of the side which end the network. Wide holes get their details there, too.
* Every size of the way down is added again on the way up, as in a U-Net: beside a hole there is texture to keep.
* No batch normalisation: a window of a large picture is filled as it would be in a batch of its own.
* When it is used, what cracks hide is the mean of two answers, the second of the picture upside down.
* For CPUs: most of the work is at an eighth of the side; 1x1 convolutions, which are slow there where channels lie
  side by side, are products of matrices.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.nn.prefill import surface

MULTIPLE = 8  # px
WIDE = 11  # px; holes narrower than that are cracks

Pair = tuple[Tensor, Tensor]  # the local and the global part of x


@dataclass(frozen=True)
class InpaintConfig(Config):
    widths: tuple[int, ...] = setting(
        (16, 32, 64, 128), "channels at 1, 1/2, 1/4 and 1/8 of the side", low=4, high=1024, length=4
    )
    blocks: int = setting(10, "residual blocks at 1/8 of the side", low=1, high=64)
    detail: int = setting(48, "channels at 1/2 of the side that draw the details", low=4, high=512)
    detail_blocks: int = setting(6, "residual blocks of these", low=1, high=64)
    whole: float = setting(0.75, "share of the channels at 1/8 that see the whole picture", low=0.1, high=0.9)


def wide(masks: Tensor) -> Tensor:
    """Where holes are at least WIDE px across, both ways: masks [N, 1, H, W] in {0, 1} -> the same, opened."""
    pool = lambda x: F.max_pool2d(x, WIDE, stride=1, padding=WIDE // 2)
    return pool(-pool(-masks))


def conv(inside: int, out: int, stride: int = 1, gain: float = 1.0, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution that keeps the variance of what a ReLU lets through, times gain squared."""
    layer = nn.Conv2d(inside, out, 3, stride, padding=1, bias=bias)
    nn.init.normal_(layer.weight, std=gain * math.sqrt(2 / (9 * inside)))
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Mixing(nn.Module):
    """A 1x1 convolution as a product of matrices: x [N, in, H, W] -> [N, out, H, W], both contiguous."""

    def __init__(self, inside: int, out: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inside) * (gain * math.sqrt(2 / inside)))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype).expand(len(x), -1, -1), self.bias[:, None].to(x.dtype)
        return torch.baddbmm(bias, weight, x.flatten(2)).unflatten(2, x.shape[2:])


class SpectralTransform(nn.Module):
    """Mixes channels frequency by frequency: x [N, C, H, W], contiguous -> the same shape (LaMa, figure 2)."""

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        inner = channels // 2
        self.enter = Mixing(channels, inner)
        self.frequencies = Mixing(2 * inner, 2 * inner)
        self.leave = Mixing(inner, channels, gain)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.enter(x))
        # half precision has transforms of powers of two alone, and too few numbers for the lowest frequency
        spectrum = torch.fft.rfft2(h.float(), norm="ortho")
        mixed = F.relu(self.frequencies(torch.cat([spectrum.real, spectrum.imag], dim=1).to(h.dtype)))
        real, imaginary = mixed.float().chunk(2, dim=1)
        waves = torch.fft.irfft2(torch.complex(real, imaginary), s=h.shape[2:], norm="ortho")
        return self.leave(h + waves.to(h.dtype))


class FourierConv(nn.Module):
    """A fast Fourier convolution: local and global channels, each heard by the other; shapes stay as they are."""

    def __init__(self, local: int, whole: int, gain: float = 1.0) -> None:
        super().__init__()
        # two sources are summed, so that each gives half of the variance
        gain = gain / math.sqrt(2)
        self.local_local = conv(local, local, gain=gain)
        self.whole_local = conv(whole, local, gain=gain, bias=False)
        self.local_whole = conv(local, whole, gain=gain)
        self.spectral = SpectralTransform(whole, gain / 2)  # of the sum of two, of which one has passed three layers

    def forward(self, x: Pair) -> Pair:
        local, whole = x
        side_by_side = whole.contiguous(memory_format=torch.channels_last)
        return (
            self.local_local(local) + self.whole_local(side_by_side),
            self.local_whole(local) + self.spectral(whole.contiguous()),
        )


class FourierBlock(nn.Module):
    """Two Fourier convolutions and what went in."""

    def __init__(self, local: int, whole: int, gain: float) -> None:
        super().__init__()
        self.first, self.second = FourierConv(local, whole), FourierConv(local, whole, gain)

    def forward(self, x: Pair) -> Pair:
        local, whole = self.first((F.relu(x[0]), F.relu(x[1])))
        local, whole = self.second((F.relu(local), F.relu(whole)))
        return x[0] + local, x[1] + whole


class DetailBlock(nn.Module):
    """Two convolutions and what went in: x [N, C, H, W] -> the same shape."""

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        self.first, self.second = conv(channels, channels), conv(channels, channels, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class Details(nn.Sequential):
    """x [N, in, H, W], sides even -> what is to be added to the picture [N, 3, H, W]; nothing as it begins.

    It works at half of the side with each four pixels as channels (Shi et al. 2016, arXiv:1609.05158): no pixel is
    lost.
    """

    def __init__(self, inside: int, channels: int, blocks: int) -> None:
        gain = 1 / math.sqrt(2 * blocks)
        super().__init__(
            nn.PixelUnshuffle(2), conv(4 * inside, channels), *(DetailBlock(channels, gain) for _ in range(blocks)),
            nn.ReLU(), conv(channels, 12, gain=0.001), nn.PixelShuffle(2),
        )


class Body(nn.Module):
    """What wide holes need: the whole picture. x [N, 4, H, W], a picture and its mask -> [N, widths[0], H, W]."""

    def __init__(self, config: InpaintConfig) -> None:
        super().__init__()
        a, b, c, d = config.widths
        whole = min(max(round(d * config.whole / 2) * 2, 2), d - 2)
        self.split = [d - whole, whole]
        self.down = nn.ModuleList([conv(4, a), conv(a, b, 2), conv(b, c, 2), conv(c, d, 2)])
        gain = 1 / math.sqrt(2 * config.blocks)  # what all blocks add up to varies as what went in
        self.blocks = nn.ModuleList(FourierBlock(*self.split, gain) for _ in range(config.blocks))
        self.up = nn.ModuleList([conv(d, c), conv(c, b), conv(b, a)])
        self.fine = nn.ModuleList([conv(c, c), conv(b, b), conv(a, a)])

    def forward(self, x: Tensor) -> Tensor:
        sizes = []
        for layer in self.down:
            x = F.relu(layer(x))
            sizes.append(x)
        pair = tuple(x.split(self.split, dim=1))
        pair = pair[0].contiguous(memory_format=torch.channels_last), pair[1].contiguous()
        for block in self.blocks:
            pair = block(pair)
        x = torch.cat([pair[0], pair[1].contiguous(memory_format=torch.channels_last)], dim=1)
        for up, fine, same in zip(self.up, self.fine, sizes[-2::-1]):
            # narrowed before it is enlarged: a quarter of the work
            x = F.relu(F.interpolate(up(F.relu(x)), scale_factor=2, mode="bilinear") + same)
            x = x + fine(x)
        return F.relu(x)


class InpaintNetwork(nn.Module):
    """It is an Inpainter (studio/capabilities.py). Sides are multiples of 8."""

    multiple = MULTIPLE
    narrow = True  # what it paints into wide holes is soft

    def __init__(self, config: InpaintConfig = InpaintConfig()) -> None:
        super().__init__()
        self.config = config
        seen = config.widths[0]
        self.body = Body(config)
        self.draw = conv(seen, 3, gain=0.001)  # it begins with the surface
        self.details = Details(seen + 4, config.detail, config.detail_blocks)
        self.to(memory_format=torch.channels_last)

    def paint(self, pictures: Tensor, masks: Tensor, cracks: bool = False) -> Tensor:
        """What belongs in the holes: [N, 3, H, W], about [-1, 1], of no meaning where the mask is 0.

        cracks: no hole is wide. Where nothing is learned, it is looked.
        """
        ground, told, _ = self._begin(pictures, masks, cracks)
        return ground + self.details(told)

    def _begin(self, pictures: Tensor, masks: Tensor, cracks: bool) -> tuple[Tensor, Tensor, Tensor]:
        """What the details are drawn upon, all that they are told, and where holes are wide [N, 1, H, W]."""
        ground, mask = surface(pictures, masks), masks * 2 - 1
        broad = torch.zeros_like(masks) if cracks else wide(masks)
        learns = torch.is_grad_enabled() and self.draw.weight.requires_grad
        if broad.any() or learns and not cracks:
            seen = broad * self.body(torch.cat([ground, mask], dim=1).contiguous(memory_format=torch.channels_last))
            ground = ground + broad * self.draw(seen)
        else:
            seen = ground.new_zeros(()).expand(len(ground), self.config.widths[0], *ground.shape[2:])
        told = torch.cat([seen.to(ground.dtype), ground, mask], dim=1)
        return ground, told.contiguous(memory_format=torch.channels_last), broad

    def forward(self, pictures: Tensor, masks: Tensor, cracks: bool = False) -> Tensor:
        """Pictures [N, 3, H, W] in [-1, 1] with what is painted where masks [N, 1, H, W] are 1, not clamped."""
        return torch.where(masks > 0, self.paint(pictures, masks, cracks), pictures)

    def fill(self, pictures: Tensor, masks: Tensor) -> Tensor:
        """As `forward`, in [-1, 1], with cracks drawn twice: upright and upside down.

        The mean of both is nearer to what was there. In wide holes it would be softer yet.
        """
        ground, told, broad = self._begin(pictures, masks, cracks=False)
        drawn, narrow = self.details(told), masks > broad
        if narrow.any():
            turned = told.flip(2, 3).contiguous(memory_format=torch.channels_last)
            drawn = torch.where(narrow, (drawn + self.details(turned).flip(2, 3)) / 2, drawn)
        return torch.where(masks > 0, (ground + drawn).clamp(-1, 1), pictures)


MODELS.register("inpaint")(
    ModelFamily(
        InpaintConfig, InpaintNetwork, "inpaint", "Atelier's inpainting network",
        "after LaMa, Suvorov et al. 2022, arXiv:2109.07161",
    )
)
