"""A simpler StyleGAN2, as the program `stylegan2-pytorch` builds and trains it.

After Karras, Laine, Aittala, Hellsten, Lehtinen, Aila: "Analyzing and Improving the Image Quality of StyleGAN", CVPR
2020, arXiv:1912.04958. Different from it: features grow by bilinear interpolation, layers have no gains, noise is
uniform in [0, 1], the same at all layers and weighed by channel, a block's layers share one style, the first features
may follow from the styles, and places may attend to one another (Shen et al. 2021, arXiv:1812.01243).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.nn.attention import ChannelNorm, LinearAttention
from studio.nn.blur import blurred
from studio.nn.grain import check_noise
from studio.nn.transparency import on_white

SLOPE = 0.2
MEAN_GRAIN = 0.5


@dataclass(frozen=True)
class LightStyleGAN2Config(Config):
    resolution: int = setting(128, "side of the square pictures", choices=[2**i for i in range(3, 11)], unit="px")
    transparent: bool = setting(False, "pictures have an alpha channel, and are shown on white")
    w_dim: int = setting(512, "size of the noise vector z and of a style w", low=1, high=8192)
    mapping_layers: int = setting(8, "fully connected layers from z to w", low=1, high=32)
    mapping_rate: float = setting(0.1, "how much the weights of those count", low=1e-6, high=100)
    capacity: int = setting(
        16, "feature maps at a side: twice this at the largest, doubled at each halving ...", low=1, high=1024
    )
    most_maps: int = setting(512, "... but at most this many", low=1, high=8192)
    attention: tuple[int, ...] = setting((), "sides whose layers begin with attention", low=4, high=1024, unit="px")
    constant: bool = setting(True, "the first features are learned; they follow from the style otherwise")

    @property
    def sides(self) -> list[int]:
        """4, 8 ... resolution."""
        return [2**i for i in range(2, int(math.log2(self.resolution)) + 1)]

    @property
    def widths(self) -> list[int]:
        """Feature maps at each of them."""
        return [min(self.capacity * 2 * self.resolution // side, self.most_maps) for side in self.sides]


class Mapping(nn.Module):
    """z [N, w_dim] -> w [N, w_dim]."""

    def __init__(self, config: LightStyleGAN2Config) -> None:
        super().__init__()
        self.rate = config.mapping_rate
        self.layers = nn.ModuleList(nn.Linear(config.w_dim, config.w_dim) for _ in range(config.mapping_layers))
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = F.normalize(z, dim=1)
        for layer in self.layers:
            x = F.leaky_relu(F.linear(x, layer.weight * self.rate, layer.bias * self.rate), SLOPE)
        return x


class Modulated(nn.Module):
    """A convolution whose inputs are scaled by the style. x [N, in, H, W], w [N, w_dim] -> [N, out, H, W]."""

    def __init__(self, inside: int, out: int, kernel: int, w_dim: int, demodulate: bool) -> None:
        super().__init__()
        self.style = nn.Linear(w_dim, inside)
        self.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(out, inside, kernel, kernel)))
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale = self.style(w) + 1  # [N, in]
        weight = self.weight.to(x.dtype)
        x = F.conv2d(x * scale.to(x.dtype)[:, :, None, None], weight, padding=weight.shape[2] // 2)
        if not self.demodulate:
            return x
        power = scale.square() @ self.weight.square().sum(dim=(2, 3)).T  # [N, out]
        return x * (power + 1e-8).rsqrt().to(x.dtype)[:, :, None, None]


class Layer(nn.Module):
    """Modulated 3x3 convolution, noise [N or 1, 1, H, W], leaky ReLU."""

    def __init__(self, inside: int, out: int, w_dim: int) -> None:
        super().__init__()
        self.conv = Modulated(inside, out, 3, w_dim, demodulate=True)
        self.strength = nn.Parameter(torch.zeros(out))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor, w: Tensor, grain: Tensor) -> Tensor:
        shift = self.strength[:, None, None] * grain + self.bias[:, None, None]
        return F.leaky_relu(self.conv(x, w) + shift.to(x.dtype), SLOPE)


class Attention(nn.Module):
    """Attention, then two convolutions of one place each, both residual. x [N, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = LinearAttention(channels)
        self.norm = ChannelNorm(channels)
        self.wide, self.narrow = nn.Conv2d(channels, 2 * channels, 1), nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attend(x)
        return x + self.narrow(F.leaky_relu(self.wide(self.norm(x)), SLOPE))


class Block(nn.Module):
    """One side: perhaps attention, twice the size (not at 4x4), two layers, and the picture with theirs added."""

    def __init__(self, inside: int, out: int, side: int, config: LightStyleGAN2Config) -> None:
        super().__init__()
        self.grows, self.last = side > 4, side == config.resolution
        # it is named by the side of what comes out, and looks at what comes in
        self.attention = Attention(inside) if side in config.attention else None
        self.layers = nn.ModuleList([Layer(inside, out, config.w_dim), Layer(out, out, config.w_dim)])
        self.picture = Modulated(out, 3 + config.transparent, 1, config.w_dim, demodulate=False)

    def forward(self, x: Tensor, picture: Tensor | None, w: Tensor, grain: Tensor) -> tuple[Tensor, Tensor]:
        if self.attention is not None:
            x = self.attention(x)
        if self.grows:
            x = doubled(x)
        grain = grain[..., : x.shape[2], : x.shape[3]]
        for layer in self.layers:
            x = layer(x, w, grain)
        added = self.picture(x, w).float()
        picture = added if picture is None else picture + added
        return x, picture if self.last else blurred(doubled(picture))


def doubled(x: Tensor) -> Tensor:
    """x [N, C, H, W] -> [N, C, 2H, 2W], bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class LightStyleGAN2Generator(nn.Module):
    """The whole generator; fulfils StyleGenerator, with a style for each side."""

    classes, channels = 0, 3

    def __init__(self, config: LightStyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.z_dim = self.w_dim = config.w_dim
        self.resolution, self.num_ws = config.resolution, len(config.sides)
        self.mapping_network = Mapping(config)
        widths = config.widths
        if config.constant:
            self.const = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        else:
            self.from_style = nn.ConvTranspose2d(config.w_dim, widths[0], 4, bias=False)
        self.first = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        pairs = zip(config.sides, [widths[0], *widths], widths)
        self.blocks = nn.ModuleList(Block(inside, out, side, config) for side, inside, out in pairs)
        self.register_buffer("grain", torch.rand(config.resolution, config.resolution))
        self.to(memory_format=torch.channels_last)

    @property
    def w_avg(self) -> Tensor:
        return self.mapping_network.w_avg

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """z [N, w_dim] normal -> ws [N, num_ws, w_dim]; there are no classes."""
        return self.mapping_network(z)[:, None].expand(-1, self.num_ws, -1)

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        """ws [N, num_ws, w_dim] -> pictures [N, 3, resolution, resolution], about [-1, 1], float32.

        noise: const, random or none, which is the mean of the others. dtype is that of the feature maps.
        """
        check_noise(noise)
        if noise == "random":
            grain = torch.rand(len(ws), 1, *self.grain.shape, device=ws.device)
        else:
            grain = (self.grain if noise == "const" else torch.full_like(self.grain, MEAN_GRAIN))[None, None]
        if self.config.constant:
            x = self.const.expand(len(ws), -1, -1, -1)
        else:
            x = self.from_style(ws.mean(dim=1)[:, :, None, None])
        x, picture = self.first(x).to(dtype), None
        for block, w in zip(self.blocks, ws.unbind(1)):
            x, picture = block(x, picture, w, grain)
        return (on_white(picture) if self.config.transparent else picture) * 2 - 1

    def generate(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """z [N, w_dim] -> pictures; psi pulls w towards its mean (0 gives the mean picture)."""
        return self.synthesis(self.w_avg + psi * (self.mapping(z) - self.w_avg))

    forward = generate


MODELS.register("stylegan2_light")(
    ModelFamily(
        config=LightStyleGAN2Config, build=LightStyleGAN2Generator, task="explore", title="StyleGAN2 (light)",
        paper="after Karras et al. 2020, arXiv:1912.04958",
    )
)
