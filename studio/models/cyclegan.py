"""CycleGAN's generator: from one kind of picture to another, by residual blocks at a quarter of the side.

Zhu, Park, Isola, Efros: "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017,
arXiv:1703.10593, appendix 7.2; the network is that of Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155. CUT (Park, Efros,
Zhang, Zhu: "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020, arXiv:2007.15651) uses it too,
and filters where the side is halved and doubled (Zhang 2019, arXiv:1904.11486).
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.nn.channels import as_colours, take_channels
from studio.nn.picture_norm import PictureNorm

SAMPLINGS = ("strided", "repeated", "filtered")


@dataclass(frozen=True)
class CycleGANConfig(Config):
    in_channels: int = setting(3, "colour channels of what is given: 1 grey, 3 RGB", choices=[1, 3])
    out_channels: int = setting(3, "colour channels of what is made: 1 grey, 3 RGB", choices=[1, 3])
    width: int = setting(64, "feature maps at the full side; doubled at each halving", low=1, high=1024)
    blocks: int = setting(9, "residual blocks", low=0, high=64)
    down: str = setting("strided", "how the side is halved", choices=("strided", "filtered"))
    up: str = setting("strided", "how it is doubled", choices=SAMPLINGS)
    affine: bool = setting(False, "the normalised features are scaled and shifted")


class FilteredDown(nn.Module):
    """Half the side, after the filter [1, 2, 1] in both directions. x [N, C, H, W] -> [N, C, ceil(H/2), ceil(W/2)]."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = _binomial(x, [1.0, 2.0, 1.0])
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=x.shape[1])


class FilteredUp(nn.Module):
    """Twice the side, by the filter [1, 3, 3, 1] in both directions. x [N, C, H, W] -> [N, C, 2H, 2W]."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = _binomial(x, [1.0, 3.0, 3.0, 1.0]) * 4
        y = F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, padding=2, groups=x.shape[1])
        return y[:, :, 1:-1, 1:-1]


def _binomial(like: Tensor, taps: list[float]) -> Tensor:
    line = torch.tensor(taps, device=like.device, dtype=like.dtype)
    line = line / line.sum()
    return (line[:, None] * line).expand(like.shape[1], 1, len(taps), len(taps))


class ResidualBlock(nn.Module):
    """Two convolutions of 3x3. x [N, C, H, W] -> the same shape."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        layers = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), PictureNorm(channels, affine)]
            layers += [] if last else [nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class CycleGANGenerator(nn.Module):
    """Pictures -> pictures of another kind; fulfils Translator."""

    multiple = 4

    def __init__(self, config: CycleGANConfig) -> None:
        super().__init__()
        self.config = config
        width, norm = config.width, partial(PictureNorm, affine=config.affine)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(config.in_channels, width, 7)]
        layers += [norm(width), nn.ReLU()]
        for inside in (width, 2 * width):
            layers += _down(inside, 2 * inside, config.down, norm)
        layers += [ResidualBlock(4 * width, config.affine) for _ in range(config.blocks)]
        for inside in (4 * width, 2 * width):
            layers += [*_up(inside, inside // 2, config.up), norm(inside // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, config.out_channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)

    def translate(self, pictures: Tensor) -> Tensor:
        """pictures [N, 3, H, W] in [-1, 1], sides multiples of 4 and at least 16 -> the same shape and range."""
        x = take_channels(pictures, self.config.in_channels).contiguous(memory_format=torch.channels_last)
        return as_colours(self.layers(x))

    forward = translate


def _down(inside: int, out: int, how: str, norm: partial[PictureNorm]) -> list[nn.Module]:
    if how == "strided":
        return [nn.Conv2d(inside, out, 3, stride=2, padding=1), norm(out), nn.ReLU()]
    return [nn.Conv2d(inside, out, 3, padding=1), norm(out), nn.ReLU(), FilteredDown()]


def _up(inside: int, out: int, how: str) -> list[nn.Module]:
    if how == "strided":
        return [nn.ConvTranspose2d(inside, out, 3, stride=2, padding=1, output_padding=1)]
    grow = FilteredUp() if how == "filtered" else nn.Upsample(scale_factor=2.0, mode="nearest")
    return [grow, nn.Conv2d(inside, out, 3, padding=1)]


MODELS.register("cyclegan")(
    ModelFamily(
        config=CycleGANConfig, build=CycleGANGenerator, task="translate", title="CycleGAN",
        paper="Zhu et al. 2017, arXiv:1703.10593",
    )
)
