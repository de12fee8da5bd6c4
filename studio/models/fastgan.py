"""FastGAN: a light generator with skip-layer excitation, and a discriminator that also learns to redraw what it sees.

Liu, Zhu, Song, Elgammal: "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis",
ICLR 2021, arXiv:2101.04775, section 3. Widths follow the paper's table for sides of 4 to 1024.
departs from the paper: G's convolutions have no spectral normalisation, as the batch normalisation after each
undoes what it does; D's has none inside and is normed by the recipe. With classes, D has a projection added
(Miyato & Koyama 2018, arXiv:1802.05637).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.nn.grain import Grain, check_noise
from studio.nn.noise_styles import NoiseStyles

SLOPE = 0.2
# feature maps at each side, in units of `width`
G_WIDTHS = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}
D_WIDTHS = {8: 16, 16: 8, 32: 4, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}
FIRST_EXCITED = 64  # px; this and larger sides are excited from those of a sixteenth
SMALL_SIDE = 128  # px; of the copy on which D looks at the whole, at most
DRAWN_SIDE = 128  # px; of what D redraws, at most


@dataclass(frozen=True)
class FastGANConfig(Config):
    resolution: int = setting(64, "side of the square pictures", choices=[2**i for i in range(5, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    classes: int = setting(0, "class labels; 0 means none", low=0, high=100_000)
    z_dim: int = setting(256, "size of the noise vector z", low=1, high=8192)
    width: int = setting(64, "feature maps at 128 px; twice at 64 px, 16 times at 4 px", low=1, high=1024)
    last_excited: int = setting(
        1024, "largest side that is excited; 512 in the authors' program", choices=[2**i for i in range(6, 11)],
        unit="px",
    )
    tanh: bool = setting(True, "G ends in a tanh; the authors' program has one at 1024 px alone")

    def maps(self, table: dict[int, float], side: int) -> int:
        return max(int(table[side] * self.width), 1)


class Layer(nn.Module):
    """3x3 convolution, grain, batch normalisation, gated linear unit: x [N, in, H, W] -> [N, out, H, W]."""

    def __init__(self, inside: int, out: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, 2 * out, 3, padding=1, bias=False)
        self.grain = Grain(side)
        self.norm = nn.BatchNorm2d(2 * out)

    def forward(self, x: Tensor, noise: str) -> Tensor:
        return F.glu(self.norm(self.grain(self.conv(x), noise)), dim=1)


class UpBlock(nn.Module):
    """Twice the side; every other block has a second layer (figure 3 of the paper)."""

    def __init__(self, inside: int, out: int, side: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(inside if i == 0 else out, out, side) for i in range(layers))

    def forward(self, x: Tensor, noise: str) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        for layer in self.layers:
            x = layer(x, noise)
        return x


class Excitation(nn.Module):
    """Skip-layer excitation (eq. 1): small features say how much each channel of the large ones counts."""

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(small, large, 4)
        self.excite = nn.Conv2d(large, large, 1)

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """small [N, C, h, w], large [N, D, H, W] -> the shape of large."""
        gate = self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(small, 4))))
        return large * gate.sigmoid()


class FastGANGenerator(NoiseStyles):
    """z -> pictures; fulfils StyleGenerator with z as its style."""

    def __init__(self, config: FastGANConfig) -> None:
        super().__init__(config.z_dim, config.classes, config.resolution, config.channels)
        self.config = config
        sides = [2**i for i in range(2, int(math.log2(config.resolution)) + 1)]
        maps = {side: config.maps(G_WIDTHS, side) for side in sides}
        self.start = nn.ConvTranspose2d(self.w_dim, 2 * maps[4], 4, bias=False)
        self.start_norm = nn.BatchNorm2d(2 * maps[4])
        self.up = nn.ModuleDict()
        self.excitations = nn.ModuleDict()
        for i, side in enumerate(sides[1:]):
            self.up[str(side)] = UpBlock(maps[side // 2], maps[side], side, layers=2 - i % 2)
            if FIRST_EXCITED <= side <= config.last_excited:
                self.excitations[str(side)] = Excitation(maps[side // 16], maps[side])
        self.picture = nn.Conv2d(maps[config.resolution], config.channels, 3, padding=1)
        _initialize(self)

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        check_noise(noise)
        with torch.autocast(ws.device.type, dtype, enabled=dtype != torch.float32):
            x = F.glu(self.start_norm(self.start(ws[:, 0, :, None, None])), dim=1)
            seen = {4: x}
            for name, block in self.up.items():
                side = int(name)
                x = block(x, noise)
                if name in self.excitations:
                    x = self.excitations[name](seen[side // 16], x)
                seen[side] = x
            picture = self.picture(x).float()
            return picture.tanh() if self.config.tanh else picture


class DownBlock(nn.Module):
    """Half the side, by convolutions and by a mean, averaged."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        act = nn.LeakyReLU(SLOPE)
        self.main = nn.Sequential(
            nn.Conv2d(inside, out, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), act,
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), act,
        )
        self.direct = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inside, out, 1, bias=False), nn.BatchNorm2d(out), act)

    def forward(self, x: Tensor) -> Tensor:
        return (self.main(x) + self.direct(x)) / 2


class Decoder(nn.Module):
    """Features [N, C, h, w], brought to 8x8 -> a picture [N, channels, side, side] in [-1, 1] (section 3.2)."""

    def __init__(self, inside: int, config: FastGANConfig, side: int) -> None:
        super().__init__()
        sides = [2**i for i in range(4, int(math.log2(side)) + 1)]
        widths = [inside, *(config.maps(G_WIDTHS, s) for s in sides)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, 2 * b, 3, padding=1, bias=False), nn.BatchNorm2d(2 * b), nn.GLU(dim=1))
            for a, b in zip(widths, widths[1:])
        )
        self.picture = nn.Conv2d(widths[-1], config.channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(x, 8)
        for layer in self.layers:
            x = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.picture(x).float().tanh()


@dataclass(frozen=True)
class Redrawn:
    """What D redraws, [N, channels, side, side] each: the whole, the whole from its small copy, and a quarter."""

    whole: Tensor
    small: Tensor
    part: Tensor


class FastGANDiscriminator(nn.Module):
    """Judges pictures in patches, on all the detail and on a small copy; redraws real ones from what it saw."""

    def __init__(self, config: FastGANConfig) -> None:
        super().__init__()
        self.config = config
        self.small_side = min(SMALL_SIDE, config.resolution // 2)
        self.drawn_side = min(DRAWN_SIDE, config.resolution)
        # pictures of 512 px and more are halved at once
        first = config.resolution // 2 if config.resolution >= 512 else config.resolution
        maps = lambda side: config.maps(D_WIDTHS, side)
        stride = config.resolution // first
        kernel, padding = (4, 1) if stride == 2 else (3, 1)
        self.read = nn.Sequential(
            nn.Conv2d(config.channels, maps(first), kernel, stride=stride, padding=padding, bias=False),
            nn.LeakyReLU(SLOPE),
        )
        sides = [2**i for i in range(int(math.log2(first)) - 1, 2, -1)]  # down to 8
        self.down = nn.ModuleDict({str(side): DownBlock(maps(2 * side), maps(side)) for side in sides})
        self.excitations = nn.ModuleDict(
            {str(side): Excitation(maps(8 * side), maps(side)) for side in sides if 8 * side <= first and side < 64}
        )
        self.judge = _judge(maps(8), maps(16))
        small = [2**i for i in range(int(math.log2(self.small_side)) - 1, 2, -1)]
        self.read_small = nn.Sequential(
            nn.Conv2d(config.channels, maps(self.small_side), 3, padding=1, bias=False), nn.LeakyReLU(SLOPE)
        )
        self.down_small = nn.Sequential(*(DownBlock(maps(2 * side), maps(side)) for side in small))
        self.judge_small = _judge(maps(8), maps(16))
        self.project = nn.Linear(config.classes, maps(8), bias=False) if config.classes else None
        self.redraw_whole = Decoder(maps(8), config, self.drawn_side)
        self.redraw_part = Decoder(maps(16), config, self.drawn_side)
        self.redraw_small = Decoder(maps(8), config, self.drawn_side)
        _initialize(self)

    def forward(self, picture: Tensor, c: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """picture [N, channels, R, R] in [-1, 1], c [N, classes] one-hot -> logits of patches [N, 50], float32."""
        return self.look(picture, c, dtype)[0]

    def look(self, picture: Tensor, c: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits [N, 50], and what can be redrawn from: the features at 16x16 and 8x8, and the small copy's at 8x8."""
        with torch.autocast(picture.device.type, dtype, enabled=dtype != torch.float32):
            x = self.read(picture.contiguous(memory_format=torch.channels_last))
            seen = {x.shape[2]: x}
            for name, block in self.down.items():
                x = block(x)
                if name in self.excitations:
                    x = self.excitations[name](seen[int(name) * 8], x)
                seen[int(name)] = x
            small = F.interpolate(picture, size=self.small_side, mode="bilinear", antialias=True)
            small = self.down_small(self.read_small(small.contiguous(memory_format=torch.channels_last)))
            logits = torch.cat([self.judge(x).flatten(1), self.judge_small(small).flatten(1)], dim=1)
            if self.project is not None:
                fits = (x.mean(dim=(2, 3)) * self.project(c)).sum(dim=1, keepdim=True)
                logits = logits + fits
        return logits.float(), seen[16], x, small

    def redraw(self, middle: Tensor, last: Tensor, small: Tensor, quarter: tuple[int, int]) -> Redrawn:
        """Pictures from the features that `look` returns; `quarter` (row and column, 0 or 1)
        from its share of those at 16x16.
        """
        row, column = (8 * i for i in quarter)
        part = middle[:, :, row : row + 8, column : column + 8]
        with torch.autocast(last.device.type, last.dtype, enabled=last.dtype != torch.float32):
            return Redrawn(self.redraw_whole(last), self.redraw_small(small), self.redraw_part(part))


def _judge(inside: int, width: int) -> nn.Module:
    """Features [N, inside, 8, 8] -> logits [N, 1, 5, 5]."""
    return nn.Sequential(
        nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(SLOPE),
        nn.Conv2d(width, 1, 4, bias=False),
    )


def _initialize(network: nn.Module) -> None:
    """As the authors' program does: normal with a deviation of 0.02; those of normalisation around 1."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    network.to(memory_format=torch.channels_last)


MODELS.register("fastgan")(
    ModelFamily(
        config=FastGANConfig, build=FastGANGenerator, task="explore", title="FastGAN",
        paper="Liu et al. 2021, arXiv:2101.04775",
    )
)
