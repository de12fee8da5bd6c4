"""pix2pix's generator: a U-Net from one kind of picture to another.

Isola, Zhu, Zhou, Efros: "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
arXiv:1611.07004, appendix 6.1. As there, features are normalised by the picture's own statistics.
departs from the paper: dropout, its only noise, is left out when painting, so that a picture comes out the same again.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.nn.channels import as_colours, take_channels
from studio.nn.picture_norm import PictureNorm

SLOPE = 0.2


@dataclass(frozen=True)
class Pix2PixConfig(Config):
    in_channels: int = setting(3, "colour channels of what is given: 1 grey, 3 RGB", choices=[1, 3])
    out_channels: int = setting(3, "colour channels of what is made: 1 grey, 3 RGB", choices=[1, 3])
    width: int = setting(
        64, "feature maps at half the side; doubled at each halving, at most to 8 times", low=1, high=1024
    )
    halvings: int = setting(8, "how often the side is halved: 8 for pictures of 256 px, 7 for 128 px", low=2, high=12)
    affine: bool = setting(True, "the normalised features are scaled and shifted")
    bias: bool = setting(False, "convolutions have a bias; the last one has in any case")
    early: bool = setting(False, "features are activated before they are passed over and down, not after")
    last: str = setting(
        "transposed", "how the picture is made of the last features", choices=["transposed", "repeated"]
    )

    @property
    def widths(self) -> list[int]:
        """Feature maps after each halving."""
        return [self.width * min(2**i, 8) for i in range(self.halvings)]


class Pix2PixGenerator(nn.Module):
    """Pictures -> pictures of another kind; fulfils Translator."""

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.config = config
        self.multiple = 2**config.halvings
        widths = config.widths
        pairs = zip([config.in_channels, *widths], widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1, bias=config.bias) for a, b in pairs)
        # the outermost and the innermost features are not normalised
        self.down_norms = nn.ModuleList(PictureNorm(width, config.affine) for width in widths[1:-1])
        given = [widths[-1], *(2 * width for width in widths[-2:0:-1])]  # from within, and passed over
        pairs = list(zip(given, widths[-2::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=config.bias) for a, b in pairs)
        self.up_norms = nn.ModuleList(PictureNorm(b, config.affine) for _, b in pairs)
        if config.last == "transposed":
            self.picture = nn.ConvTranspose2d(2 * widths[0], config.out_channels, 4, stride=2, padding=1)
        else:
            self.picture = nn.Conv2d(2 * widths[0], config.out_channels, 4)
        self.to(memory_format=torch.channels_last)

    def translate(self, pictures: Tensor) -> Tensor:
        """pictures [N, 3, H, W] in [-1, 1], sides multiples of `multiple` -> the same shape and range."""
        x = take_channels(pictures, self.config.in_channels).contiguous(memory_format=torch.channels_last)
        early, passed = self.config.early, []
        for i, conv in enumerate(self.down):
            x = conv(x if early or i == 0 else F.leaky_relu(x, SLOPE))
            if 0 < i < len(self.down) - 1:
                x = self.down_norms[i - 1](x)
            x = F.leaky_relu(x, SLOPE) if early else x
            passed.append(x)
        for i, (conv, norm) in enumerate(zip(self.up, self.up_norms)):
            x = passed.pop() if i == 0 else torch.cat([passed.pop(), x], dim=1)
            x = norm(conv(x if early else F.relu(x)))
            x = F.relu(x) if early else x
        x = torch.cat([passed.pop(), x], dim=1)
        if self.config.last == "repeated":
            x = F.pad(F.interpolate(x, scale_factor=2.0, mode="nearest"), (2, 1, 2, 1))
        x = self.picture(x if early else F.relu(x))
        return as_colours(x.tanh())

    forward = translate


MODELS.register("pix2pix")(
    ModelFamily(
        config=Pix2PixConfig, build=Pix2PixGenerator, task="translate", title="pix2pix",
        paper="Isola et al. 2017, arXiv:1611.07004",
    )
)
