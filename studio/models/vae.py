"""A variational autoencoder: an encoder that says what a picture's noise could have been,
and a decoder that draws from noise.

Kingma, Welling: "Auto-Encoding Variational Bayes", ICLR 2014, arXiv:1312.6114. The decoder alone is a
generator from noise; the encoder finds the noise of a given picture. Residual blocks and group normalisation,
which is the same in training and in use.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.nn.noise_styles import NoiseStyles

GROUPS = 8
LOG_VARIANCE = 10.0  # the encoder's log variance is at most this far from 0


@dataclass(frozen=True)
class VAEConfig(Config):
    resolution: int = setting(64, "side of the square pictures", choices=[2**i for i in range(4, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    classes: int = setting(0, "class labels; 0 means none", low=0, high=100_000)
    z_dim: int = setting(128, "size of the noise vector z", low=1, high=8192)
    channel_base: int = setting(4096, "feature maps at a layer: this over its resolution ...", low=16, high=262_144)
    channel_max: int = setting(256, "... but at most this many", low=1, high=4096)

    def channels_at(self, resolution: int) -> int:
        return max(1, min(self.channel_base // resolution, self.channel_max))

    @property
    def resolutions(self) -> list[int]:
        """4, 8, ... resolution."""
        return [2**i for i in range(2, int(math.log2(self.resolution)) + 1)]


class Residual(nn.Module):
    """Two 3x3 convolutions beside a straight way. x [N, in, H, W] -> [N, out, H, W]."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.norm0, self.conv0 = nn.GroupNorm(math.gcd(inside, GROUPS), inside), nn.Conv2d(inside, out, 3, padding=1)
        self.norm1, self.conv1 = nn.GroupNorm(math.gcd(out, GROUPS), out), nn.Conv2d(out, out, 3, padding=1)
        self.straight = nn.Conv2d(inside, out, 1) if inside != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv0(F.silu(self.norm0(x)))
        return self.straight(x) + self.conv1(F.silu(self.norm1(y)))


class Encoder(nn.Module):
    """Pictures [N, channels, R, R], c [N, classes] one-hot -> mean and log variance of z, [N, z_dim] each."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        sides = config.resolutions[::-1]
        self.read = nn.Conv2d(config.channels, config.channels_at(sides[0]), 3, padding=1)
        pairs = zip(sides, sides[1:])
        self.down = nn.ModuleList(Residual(config.channels_at(a), config.channels_at(b)) for a, b in pairs)
        self.out = nn.Linear(config.channels_at(4) * 16 + config.classes, 2 * config.z_dim)

    def forward(self, pictures: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.read(pictures.contiguous(memory_format=torch.channels_last))
        for block in self.down:
            x = F.avg_pool2d(block(x), 2)
        x = F.silu(x).flatten(1)
        mean, log_variance = self.out(x if c is None else torch.cat([x, c.to(x)], dim=1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)


class VAE(NoiseStyles):
    """The whole; fulfils StyleGenerator with z as its style. It has no grain: `noise` changes nothing."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config.z_dim, config.classes, config.resolution, config.channels)
        self.config = config
        self.encoder = Encoder(config)
        sides = config.resolutions
        self.start = nn.Linear(self.w_dim, config.channels_at(4) * 16)
        pairs = zip([4, *sides], sides)
        self.up = nn.ModuleList(Residual(config.channels_at(a), config.channels_at(b)) for a, b in pairs)
        last = config.channels_at(sides[-1])
        self.norm, self.picture = (
            nn.GroupNorm(math.gcd(last, GROUPS), last), nn.Conv2d(last, config.channels, 3, padding=1)
        )
        self.to(memory_format=torch.channels_last)

    def encode(
        self, pictures: Tensor, c: Tensor | None = None, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Pictures [N, channels, R, R] in [-1, 1], c one-hot -> mean and log variance of their z,
        [N, z_dim], float32.
        """
        with torch.autocast(pictures.device.type, dtype, enabled=dtype != torch.float32):
            return self.encoder(pictures, c)

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        with torch.autocast(ws.device.type, dtype, enabled=dtype != torch.float32):
            x = self.start(ws[:, 0]).reshape(len(ws), -1, 4, 4).contiguous(memory_format=torch.channels_last)
            for i, block in enumerate(self.up):
                x = block(x if i == 0 else F.interpolate(x, scale_factor=2.0, mode="nearest"))
            return self.picture(F.silu(self.norm(x))).float().tanh()


MODELS.register("vae")(
    ModelFamily(
        config=VAEConfig, build=VAE, task="explore", title="VAE", paper="Kingma & Welling 2014, arXiv:1312.6114"
    )
)
