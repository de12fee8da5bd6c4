"""Lightweight GAN: FastGAN's idea, small features exciting large ones, with attention and a gentler way of growing.

After Liu et al. 2021 ("Towards Faster and Stabilized GAN Training", ICLR 2021, arXiv:2101.04775), as trained by the
programs `lightweight-gan` and HugGAN's: the excitation is a global context (Cao et al. 2020, arXiv:2012.13375) or looks
at frequencies (Qin et al. 2021, arXiv:2012.11879); features grow by shuffling channels into pixels (Shi et al. 2016,
arXiv:1609.05158), perhaps fewer of them, or by interpolation. The settings tell those programs' versions apart.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.errors import SettingError
from studio.models import MODELS, ModelFamily
from studio.nn.attention import LinearAttention
from studio.nn.blur import blurred
from studio.nn.grain import Grain, check_noise
from studio.nn.noise_styles import NoiseStyles
from studio.nn.transparency import on_white

FREQUENCIES = 8  # in each direction
SHUFFLED = ("shuffle", "narrow")
EXCITES = {128: 16, 256: 32, 512: 64, 1024: 128}  # px: a side, and the side of the features that excite it


@dataclass(frozen=True)
class LightweightGANConfig(Config):
    resolution: int = setting(128, "side of the square pictures", choices=[2**i for i in range(4, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    transparent: bool = setting(False, "pictures have an alpha channel, and are shown on white")
    z_dim: int = setting(256, "size of the noise vector z", low=1, high=8192)
    widths: tuple[int, ...] = setting(
        (512, 512, 256, 128, 64), "feature maps at 8 px, 16 px ... the side", low=1, high=8192
    )
    attention: tuple[int, ...] = setting((), "sides at which features attend to each other", low=4, high=512, unit="px")
    attend_near: bool = setting(True, "attention looks at the neighbourhood as well as everywhere")
    excitation: str = setting("context", "how small features excite large ones", choices=["context", "frequency"])
    upsampling: str = setting("shuffle", "how features grow", choices=["shuffle", "narrow", "repeat", "bilinear"])
    blur: bool = setting(False, "features are blurred when they have grown")
    kernel: int = setting(4, "side of the convolution after that", choices=[3, 4], unit="px")
    grain: bool = setting(True, "noise is added to the features")

    def check(self) -> None:
        """Raises SettingError where there is not one width for each side."""
        if len(self.widths) != len(self.sides):
            given = f"widths={','.join(map(str, self.widths))} are {len(self.widths)}"
            needed = f"{self.resolution} px need {len(self.sides)}"
            raise SettingError(f"{given}, and {needed}; give one for each doubling from 4 px")
        if self.transparent and self.channels != 3:
            raise SettingError(f"transparent pictures have 3 colour channels, not {self.channels}; give 3")

    @property
    def sides(self) -> list[int]:
        """8, 16 ... resolution."""
        return [2**i for i in range(3, int(math.log2(self.resolution)) + 1)]


class Grow(nn.Module):
    """x [N, in, H, W] -> [N, out, 2H, 2W]."""

    def __init__(self, inside: int, out: int, side: int, config: LightweightGANConfig) -> None:
        super().__init__()
        self.kernel, self.blur, self.upsampling = config.kernel, config.blur, config.upsampling
        between = out if config.upsampling == "narrow" else inside
        self.spread = nn.Conv2d(inside, 4 * between, 1) if config.upsampling in SHUFFLED else None
        self.conv = nn.Conv2d(between, 2 * out, config.kernel)
        self.grain = Grain(side) if config.grain else None
        self.norm = nn.BatchNorm2d(2 * out)

    def forward(self, x: Tensor, noise: str) -> Tensor:
        if self.spread is not None:
            x = F.pixel_shuffle(F.silu(self.spread(x)), 2)
        else:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear" if self.upsampling == "bilinear" else "nearest")
        if self.blur:
            x = blurred(x)
        before, after = self.kernel // 2, (self.kernel - 1) // 2  # an even kernel looks one pixel farther back
        x = self.conv(F.pad(x, (before, after, before, after)))
        if self.grain is not None:
            x = self.grain(x, noise)
        return F.glu(self.norm(x), dim=1)


class Excitation(nn.Module):
    """What small features [N, in, h, w] say of how much each channel of the large ones counts: [N, out, 1, 1], 0 to 1.

    They are summed up with learned weights over places ("context"), or along a few cosines ("frequency").
    """

    def __init__(self, inside: int, out: int, side: int, kind: str) -> None:
        super().__init__()
        self.place = nn.Conv2d(inside, 1, 1) if kind == "context" else None
        if kind == "frequency":
            self.register_buffer("cosines", cosines(inside, side), persistent=False)
        hidden = max(3, out // (2 if kind == "context" else 4))
        self.squeeze = nn.Conv2d(inside, hidden, 1)
        self.excite = nn.Conv2d(hidden, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.place is None:
            summed = (x * self.cosines).sum(dim=(2, 3))
        else:
            summed = (x.flatten(2) @ self.place(x).flatten(2).softmax(dim=2).mT)[:, :, 0]
        return self.excite(F.leaky_relu(self.squeeze(summed[:, :, None, None]), 0.1)).sigmoid()


def cosines(channels: int, side: int) -> Tensor:
    """Waves [channels, side, side] of unit length: FREQUENCIES across, then as many down, shared out among channels.

    Channels left over when they are shared out have none.
    """
    places, frequency = torch.arange(side) + 0.5, torch.arange(FREQUENCIES)[:, None]
    waves = (math.pi * frequency * places / side).cos() * math.sqrt(2 / side)
    waves[0] = math.sqrt(1 / side)
    flat = waves[:1].expand(FREQUENCIES, side)
    first, second = torch.cat([flat, waves]), torch.cat([waves, flat])
    share = channels // (2 * FREQUENCIES)
    planes = (first[:, :, None] * second[:, None, :]).repeat_interleave(share, dim=0)
    return F.pad(planes, (0, 0, 0, 0, 0, channels - len(planes)))


class LightweightGANGenerator(NoiseStyles):
    """z -> pictures; fulfils StyleGenerator with z as its style."""

    def __init__(self, config: LightweightGANConfig) -> None:
        super().__init__(config.z_dim, 0, config.resolution, config.channels)
        self.config = config
        self.start = nn.ConvTranspose2d(config.z_dim, 2 * config.z_dim, 4)
        self.start_norm = nn.BatchNorm2d(2 * config.z_dim)
        widths = {4: config.z_dim, **dict(zip(config.sides, config.widths))}
        self.attention, self.up, self.excitations = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for side in config.sides:
            inside, out = widths[side // 2], widths[side]
            if side // 2 in config.attention:
                self.attention[str(side)] = LinearAttention(inside, config.attend_near)
            self.up[str(side)] = Grow(inside, out, side, config)
            if side in EXCITES:
                small = EXCITES[side]
                self.excitations[str(side)] = Excitation(widths[small], out, small, config.excitation)
        self.picture = nn.Conv2d(config.widths[-1], config.channels + config.transparent, 3, padding=1)
        self.to(memory_format=torch.channels_last)

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        check_noise(noise)
        with torch.autocast(ws.device.type, dtype, enabled=dtype != torch.float32):
            x = F.normalize(F.glu(self.start_norm(self.start(ws[:, 0, :, None, None])), dim=1), dim=1)
            seen = {}
            for name, grow in self.up.items():
                if name in self.attention:
                    x = self.attention[name](x)
                x = seen[int(name)] = grow(x, noise)
                if name in self.excitations:
                    x = x * self.excitations[name](seen[EXCITES[int(name)]])
            picture = self.picture(x).float()
        return (on_white(picture) if self.config.transparent else picture) * 2 - 1


MODELS.register("lightweight_gan")(
    ModelFamily(
        config=LightweightGANConfig, build=LightweightGANGenerator, task="explore", title="Lightweight GAN",
        paper="after Liu et al. 2021, arXiv:2101.04775",
    )
)
