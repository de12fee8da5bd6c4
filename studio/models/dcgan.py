"""DCGAN: generator and discriminator of strided convolutions with batch normalisation.

Radford, Metz, Chintala: "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
ICLR 2016, arXiv:1511.06434, section 3: no pooling, no hidden fully connected layers, ReLU in G, leaky ReLU in D, tanh
at G's end, none of the normalisation at G's end and D's start. At 64 px it is the paper's network; other sizes have a
layer more or less. With classes, D's logit has a projection added (Miyato & Koyama 2018, arXiv:1802.05637).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.nn.noise_styles import NoiseStyles

SLOPE = 0.2


@dataclass(frozen=True)
class DCGANConfig(Config):
    resolution: int = setting(64, "side of the square pictures", choices=[16, 32, 64, 128], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    classes: int = setting(0, "class labels; 0 means none", low=0, high=100_000)
    z_dim: int = setting(100, "size of the noise vector z", low=1, high=8192)
    width: int = setting(64, "feature maps at half the side; doubled at each halving", low=1, high=1024)

    @property
    def widths(self) -> list[int]:
        """Feature maps at 4x4, 8x8 ... half the side."""
        return [self.width * 2**i for i in reversed(range(int(math.log2(self.resolution)) - 2))]


def _initialize(network: nn.Module) -> nn.Module:
    """Weights as in section 4 of the paper: normal with a deviation of 0.02; those of normalisation around 1."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    return network.to(memory_format=torch.channels_last)


class DCGANGenerator(NoiseStyles):
    """z -> pictures; fulfils StyleGenerator with z as its style. It has no grain: `noise` changes nothing."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__(config.z_dim, config.classes, config.resolution, config.channels)
        self.config = config
        widths = config.widths
        self.start = nn.ConvTranspose2d(self.w_dim, widths[0], 4, bias=False)
        pairs = list(zip(widths, widths[1:]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.picture = nn.ConvTranspose2d(widths[-1], config.channels, 4, stride=2, padding=1)
        _initialize(self)

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        with torch.autocast(ws.device.type, dtype, enabled=dtype != torch.float32):
            x = ws[:, 0, :, None, None]
            for layer, norm in zip([self.start, *self.up], self.norms):
                x = F.relu(norm(layer(x)))
            return self.picture(x).float().tanh()


class DCGANDiscriminator(nn.Module):
    """Pictures [N, channels, R, R] in [-1, 1], c [N, classes] one-hot -> logits [N], float32.

    norm: batch normalisation as in the paper, which judges a picture by its company.
    """

    def __init__(self, config: DCGANConfig, norm: bool = True) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels, *reversed(config.widths)]
        self.down = nn.ModuleList()
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            normed = norm and i > 0
            layers = [nn.Conv2d(a, b, 4, stride=2, padding=1, bias=not normed)]
            self.down.append(nn.Sequential(*layers, *([nn.BatchNorm2d(b)] if normed else []), nn.LeakyReLU(SLOPE)))
        self.judge = nn.Conv2d(widths[-1], 1, 4)
        self.project = nn.Linear(config.classes, widths[-1], bias=False) if config.classes else None
        _initialize(self)

    def forward(self, picture: Tensor, c: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        with torch.autocast(picture.device.type, dtype, enabled=dtype != torch.float32):
            x = picture.contiguous(memory_format=torch.channels_last)
            for layer in self.down:
                x = layer(x)
            logits = self.judge(x)[:, 0, 0, 0]
            if self.project is not None:
                logits = logits + (x.sum(dim=(2, 3)) * self.project(c)).sum(dim=1)
        return logits.float()


MODELS.register("dcgan")(
    ModelFamily(
        config=DCGANConfig, build=DCGANGenerator, task="explore", title="DCGAN",
        paper="Radford et al. 2016, arXiv:1511.06434",
    )
)
