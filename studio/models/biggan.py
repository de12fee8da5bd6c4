"""BigGAN-deep: a large generator told its class, whose truncation can be chosen.

Brock, Donahue, Simonyan: "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019,
arXiv:1809.11096, appendix B (table 7 to 9); spectral normalisation is in the weights. Batch normalisation was
measured at a number of truncations from 0 to 1, and takes what was measured there.
departs from the published program: between two of them it interpolates towards the nearer one, where that
interpolates towards the farther.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.errors import SettingError
from studio.models import MODELS, ModelFamily
from studio.nn.grain import check_noise

LIMIT = 2.0  # z is normal within it
EPS = 1e-4  # of batch normalisation
SQUEEZE = 4  # times fewer features within a block


@dataclass(frozen=True)
class BigGANConfig(Config):
    resolution: int = setting(128, "side of the square pictures", choices=[2**i for i in range(3, 11)], unit="px")
    classes: int = setting(1000, "class labels", low=1, high=100_000)
    z_dim: int = setting(128, "size of the noise vector z, and of a class's", low=1, high=4096)
    width: int = setting(128, "feature maps at the largest side", low=4, high=1024)
    widths: tuple[int, ...] = setting(
        (16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1), "feature maps, in units of that: at the start, and after each block",
        low=1, high=64,
    )
    attention: int = setting(8, "which block attention stands before", low=0, high=64)
    measured: int = setting(51, "truncations that batch normalisation was measured at", low=2, high=1024)

    def check(self) -> None:
        """Raises SettingError where the blocks do not lead from 4 px to the resolution."""
        blocks = len(self.widths) - 1
        if 4 * 2 ** (blocks // 2) != self.resolution or blocks % 2:
            needed = 2 * int(math.log2(self.resolution / 4)) + 1
            raise SettingError(f"widths has {blocks + 1} values, and {self.resolution} px need {needed}; give so many")
        if any(after > before for before, after in zip(self.widths, self.widths[1:])):
            raise SettingError(f"widths={','.join(map(str, self.widths))} grow; give ones that do not")


@dataclass(frozen=True)
class Condition:
    """What every block is told. c [N, 2 z_dim]; truncation [N], 0 to 1."""

    c: Tensor
    truncation: Tensor


class MeasuredNorm(nn.Module):
    """Batch normalisation by what was measured at a truncation. x [N, C, H, W] -> the same shape."""

    def __init__(self, channels: int, measured: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(measured, channels))
        self.register_buffer("variance", torch.ones(measured, channels))

    def normalized(self, x: Tensor, truncation: Tensor) -> tuple[Tensor, Tensor]:
        """What x is to be multiplied by, and what is then added: [N, C] each."""
        place = truncation.clamp(0, 1) * (len(self.mean) - 1)
        low = place.floor().long().clamp(max=len(self.mean) - 2)
        share = (place - low)[:, None]
        mean, variance = (torch.lerp(t[low], t[low + 1], share) for t in (self.mean, self.variance))
        scale = (variance + EPS).rsqrt()
        return scale, -mean * scale


class ConditionalNorm(MeasuredNorm):
    """... scaled and shifted as the class and z want it."""

    def __init__(self, channels: int, told: int, measured: int) -> None:
        super().__init__(channels, measured)
        self.scale, self.shift = nn.Linear(told, channels, bias=False), nn.Linear(told, channels, bias=False)

    def forward(self, x: Tensor, told: Condition) -> Tensor:
        scale, shift = self.normalized(x, told.truncation)
        gain = 1 + self.scale(told.c)
        return torch.addcmul(_planes(shift * gain + self.shift(told.c), x), x, _planes(scale * gain, x))


class FixedNorm(MeasuredNorm):
    """... scaled and shifted as was learned."""

    def __init__(self, channels: int, measured: int) -> None:
        super().__init__(channels, measured)
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, told: Condition) -> Tensor:
        scale, shift = self.normalized(x, told.truncation)
        return torch.addcmul(_planes(shift * self.weight + self.bias, x), x, _planes(scale * self.weight, x))


def _planes(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, :, None, None]


class Block(nn.Module):
    """Residual block with a bottleneck (figure 16): x [N, in, H, W] -> [N, out, H, W], or twice the side if `up`."""

    def __init__(self, inside: int, out: int, told: int, measured: int, up: bool) -> None:
        super().__init__()
        self.out, self.up = out, up
        middle = inside // SQUEEZE
        self.norms = nn.ModuleList(ConditionalNorm(c, told, measured) for c in (inside, middle, middle, middle))
        self.convs = nn.ModuleList([
            nn.Conv2d(inside, middle, 1), nn.Conv2d(middle, middle, 3, padding=1),
            nn.Conv2d(middle, middle, 3, padding=1), nn.Conv2d(middle, out, 1),
        ])

    def forward(self, x: Tensor, told: Condition) -> Tensor:
        y = x
        for i, (norm, conv) in enumerate(zip(self.norms, self.convs)):
            y = F.relu(norm(y, told))
            if self.up and i == 1:
                y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = conv(y)
        x = x[:, : self.out]  # what is too many is dropped, so that the way past the block has no weights
        return y + (F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x)


class Attention(nn.Module):
    """Every place looks at all, halved (Zhang et al. 2019, arXiv:1805.08318). x [N, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.key = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.out = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)
        key, value = (F.max_pool2d(conv(x), 2).flatten(2) for conv in (self.key, self.value))
        found = F.scaled_dot_product_attention(query.mT, key.mT, value.mT, scale=1.0).mT
        return x + self.gain * self.out(found.unflatten(2, x.shape[2:]))


class BigGANGenerator(nn.Module):
    """The whole generator; fulfils StyleGenerator.

    Its style is z, the class's vector, and a one. Truncation scales all three; the one then tells by how much, so that
    the class stays what it was (scaled back) and batch normalisation takes what was measured there.
    """

    channels, num_ws = 3, 1

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.classes, self.resolution = config.z_dim, config.classes, config.resolution
        self.w_dim = 2 * config.z_dim + 1
        self.register_buffer("w_avg", torch.zeros(self.w_dim), persistent=False)
        told, widths = 2 * config.z_dim, [config.width * times for times in config.widths]
        self.embed = nn.Linear(config.classes, config.z_dim, bias=False)
        self.start = nn.Linear(told, 16 * widths[0])
        pairs = enumerate(zip(widths, widths[1:]))
        self.blocks = nn.ModuleList(Block(a, b, told, config.measured, up=i % 2 == 1) for i, (a, b) in pairs)
        self.attention = Attention(widths[config.attention]) if config.attention < len(self.blocks) else None
        self.norm = FixedNorm(widths[-1], config.measured)
        self.picture = nn.Conv2d(widths[-1], self.channels, 3, padding=1)
        self.to(memory_format=torch.channels_last)

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """z [N, z_dim] normal, c [N, classes] one-hot -> ws [N, 1, w_dim]. Raises SettingError where c is missing.

        z is squeezed between -2 and 2, so that it is distributed as a normal variable is that is drawn
        again when outside.
        """
        if c is None:
            raise SettingError(f"this model has {self.classes} classes and none was given; choose one")
        inside = math.erf(LIMIT / math.sqrt(2))
        z = math.sqrt(2) * torch.erfinv(torch.erf(z / math.sqrt(2)) * inside)
        return torch.cat([z, self.embed(c.to(z)), torch.ones_like(z[:, :1])], dim=1)[:, None]

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        """ws [N, 1, w_dim] -> pictures [N, 3, resolution, resolution] in [-1, 1], float32.

        It has no grain: `noise` changes nothing. dtype is that of the feature maps.
        """
        check_noise(noise)
        z, label, truncation = ws[:, 0].split([self.z_dim, self.z_dim, 1], dim=1)
        sign = torch.where(truncation < 0, -1.0, 1.0)
        label = label * sign / truncation.abs().clamp(min=1e-6)  # at 0 no class is left, and none is as good
        told = Condition(torch.cat([z, label], dim=1), truncation[:, 0].abs())
        with torch.autocast(ws.device.type, dtype, enabled=dtype != torch.float32):
            x = self.start(told.c).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
            for i, block in enumerate(self.blocks):
                if self.attention is not None and i == self.config.attention:
                    x = self.attention(x)
                x = block(x, told)
            return self.picture(F.relu(self.norm(x, told))).float().tanh()

    def generate(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """z [N, z_dim], c [N, classes] one-hot -> pictures; psi truncates z."""
        return self.synthesis(psi * self.mapping(z, c))

    forward = generate


MODELS.register("biggan")(
    ModelFamily(
        config=BigGANConfig, build=BigGANGenerator, task="explore", title="BigGAN-deep",
        paper="Brock et al. 2019, arXiv:1809.11096",
    )
)
