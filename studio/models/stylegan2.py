"""StyleGAN2: generator and discriminator.

Karras, Laine, Aittala, Hellsten, Lehtinen, Aila: "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020;
class conditioning and the discriminator's projection as in Karras et al. 2020, "Training Generative Adversarial
Networks with Limited Data". Modules and parameters bear the names of the official PyTorch version, so that its
weights map one to one; the shapes follow its rule of min(channel_base / resolution, channel_max) channels.

Modulated convolutions scale the activations rather than the weights (the two are equal, section 2.2 of the paper):
one shared convolution serves the batch, where per-sample weights would need grouped convolutions, slow on CPUs.
"""

import math
from collections import abc
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.errors import SettingError
from studio.models import MODELS, ModelFamily
from studio.models._stylegan2_inference import FastSynthesis, lay_out
from studio.nn.grain import check_noise
from studio.nn.layers import LRELU_GAIN, EqualConv2d, EqualLinear, fir, normalize_2nd_moment, upsample
from studio.nn.mapped_styles import MappedStyles


@dataclass(frozen=True)
class StyleGAN2Config(Config):
    resolution: int = setting(64, "side of the square pictures", choices=[2**i for i in range(4, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    classes: int = setting(0, "class labels; 0 means none", low=0, high=100_000)
    z_dim: int = setting(512, "size of the noise vector z", low=1, high=8192)
    w_dim: int = setting(512, "size of a style w", low=1, high=8192)
    mapping_layers: int = setting(8, "fully connected layers from z to w", low=1, high=16)
    channel_base: int = setting(32768, "feature maps at a layer: this over its resolution ...", low=16, high=262_144)
    channel_max: int = setting(512, "... but at most this many", low=1, high=4096)
    widths: tuple[int, ...] = setting(
        (), "feature maps at 4, 8, ... px, instead of that rule", low=1, high=4096, advanced=True
    )
    clamp: float = setting(0.0, "bound on the size of feature maps; 0 means none", low=0, high=1e6, advanced=True)

    def check(self) -> None:
        if self.widths and len(self.widths) != len(self.resolutions):
            count = f"{len(self.widths)} widths are given for {len(self.resolutions)} resolutions"
            raise SettingError(f"{count} up to {self.resolution} px; give one each, or none")

    def channels_at(self, resolution: int) -> int:
        if self.widths:
            return self.widths[self.resolutions.index(resolution)]
        return max(1, min(self.channel_base // resolution, self.channel_max))

    @property
    def resolutions(self) -> list[int]:
        """4, 8, ... resolution."""
        return [2**i for i in range(2, int(math.log2(self.resolution)) + 1)]

    @property
    def num_ws(self) -> int:
        return 2 * len(self.resolutions)


def width_settings(widths: abc.Mapping[int, int]) -> dict[str, Any]:
    """Settings that give a network these numbers of feature maps by resolution: the rule's, or each by itself."""
    sides = sorted(widths)
    rule = {"channel_base": max(widths[side] * side for side in sides), "channel_max": max(widths.values())}
    if all(widths[side] == min(rule["channel_base"] // side, rule["channel_max"]) for side in sides):
        return rule
    return {"widths": tuple(widths[side] for side in sides)}


class Mapping(nn.Module):
    """z and class -> w, with the running mean of w that truncation leads to."""

    def __init__(
        self, z_dim: int, w_dim: int, classes: int, layers: int, *, lr_mult: float = 0.01, track_average: bool = True
    ) -> None:
        super().__init__()
        self.z_dim, self.w_dim, self.classes, self.layers = z_dim, w_dim, classes, layers
        if classes:
            self.embed = EqualLinear(classes, w_dim)
        sizes = [z_dim + (w_dim if classes else 0)] + [w_dim] * layers
        for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:])):
            setattr(self, f"fc{i}", EqualLinear(fan_in, fan_out, activate=True, lr_mult=lr_mult))
        if track_average:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, c: Tensor | None = None) -> Tensor:
        """z [N, z_dim] normal (None where z_dim is 0), c [N, classes] one-hot -> w [N, w_dim]."""
        parts = []
        if self.z_dim:
            parts.append(normalize_2nd_moment(z.float()))
        if self.classes:
            if c is None:
                raise SettingError(f"this model has {self.classes} classes and none was given; choose one")
            parts.append(normalize_2nd_moment(self.embed(c.float())))
        x = torch.cat(parts, dim=1)
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        return x


class SynthesisLayer(nn.Module):
    """Style-modulated 3x3 convolution, noise, bias, leaky ReLU; `up` doubles the picture first.

    x [N, in, H, W], w [N, w_dim] -> [N, out, H, W] or [N, out, 2H, 2W].
    """

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, resolution: int, *, up: bool, clamp: float = 0.0
    ) -> None:
        super().__init__()
        self.up, self.clamp = up, clamp
        self.affine = EqualLinear(w_dim, in_channels, bias=1.0)
        weight = torch.randn(out_channels, in_channels, 3, 3)
        self.weight = nn.Parameter(weight.to(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: str) -> Tensor:
        styles = self.affine(w)  # [NI]
        weight = self.weight
        # Demodulation (eq. 3): every output map has unit variance if the input has.
        power = weight.square().sum(dim=(2, 3))  # [OI]
        demodulation = (styles.square() @ power.t() + 1e-8).rsqrt()  # [NO]
        x = x * styles.to(x.dtype)[:, :, None, None]
        x = modulation_free_conv(x, weight.to(x.dtype), self.up)
        x = x * (demodulation * LRELU_GAIN).to(x.dtype)[:, :, None, None]
        shift = (self.bias * LRELU_GAIN).to(x.dtype)[None, :, None, None]
        if noise == "random":
            grain = torch.randn(x.shape[0], 1, *x.shape[2:], device=x.device, dtype=x.dtype)
            shift = shift + grain * (self.noise_strength * LRELU_GAIN).to(x.dtype)
        elif noise == "const":
            shift = shift + (self.noise_const * (self.noise_strength * LRELU_GAIN)).to(x.dtype)
        x = F.leaky_relu(x + shift, 0.2)  # the gain is inside: leaky ReLU is homogeneous
        return x.clamp(-self.clamp, self.clamp) if self.clamp else x


def modulation_free_conv(x: Tensor, weight: Tensor, up: bool) -> Tensor:
    """The shared 3x3 convolution: x [N, I, H, W], weight [O, I, 3, 3] -> [N, O, H, W], doubled if `up`."""
    if not up:
        return F.conv2d(x, weight, padding=1)
    return fir(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), padding=1, gain=4.0)


class ToRGB(nn.Module):
    """Style-modulated 1x1 convolution to a picture, without demodulation. x [N, I, H, W] -> [N, channels, H, W]."""

    def __init__(self, in_channels: int, channels: int, w_dim: int, clamp: float = 0.0) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = EqualLinear(w_dim, in_channels, bias=1.0)
        self.weight_gain = 1 / math.sqrt(in_channels)
        self.weight = nn.Parameter(torch.randn(channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        x = x * styles.to(x.dtype)[:, :, None, None]
        x = F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype)).float()
        return x.clamp(-self.clamp, self.clamp) if self.clamp else x


class SynthesisBlock(nn.Module):
    """One resolution: an up-sampling layer (not at 4x4, which starts from a learned constant), a layer, a picture."""

    def __init__(self, in_channels: int, out_channels: int, config: StyleGAN2Config, resolution: int) -> None:
        super().__init__()
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, config.w_dim, resolution, up=True, clamp=config.clamp
            )
        self.conv1 = SynthesisLayer(
            out_channels, out_channels, config.w_dim, resolution, up=False, clamp=config.clamp
        )
        self.torgb = ToRGB(out_channels, config.channels, config.w_dim, config.clamp)

    def forward(
        self, x: Tensor | None, picture: Tensor | None, ws: list[Tensor], noise: str, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """ws: one [N, w_dim] a layer, in order. Returns features and the picture so far (skips as in fig. 7b)."""
        ws = iter(ws)
        if x is None:
            first = next(ws)
            x = self.const.to(dtype).expand(first.shape[0], -1, -1, -1).to(memory_format=torch.channels_last)
            x = self.conv1(x, first, noise)
        else:
            x = self.conv0(x, next(ws), noise)
            x = self.conv1(x, next(ws), noise)
        layer = self.torgb(x, next(ws))
        return x, layer if picture is None else upsample(picture) + layer


class Synthesis(nn.Module):
    """ws [N, num_ws, w_dim] -> pictures [N, channels, resolution, resolution], about [-1, 1], float32."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.resolutions = config.resolutions
        widths = [0] + [config.channels_at(r) for r in self.resolutions]
        for resolution, fan_in, fan_out in zip(self.resolutions, widths, widths[1:]):
            setattr(self, f"b{resolution}", SynthesisBlock(fan_in, fan_out, config, resolution))

    def forward(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        """`dtype` is that of the feature maps; styles and the picture stay in float32."""
        x = picture = None
        # A block's picture shares its style with the next block's first layer, as in the official version.
        start = 0
        for resolution in self.resolutions:
            layers = 1 if x is None else 2
            block = getattr(self, f"b{resolution}")
            x, picture = block(x, picture, list(ws[:, start : start + layers + 1].unbind(1)), noise, dtype)
            start += layers
        return picture


class StyleGAN2Generator(MappedStyles):
    """The whole generator; fulfils StyleGenerator."""

    def __init__(self, config: StyleGAN2Config) -> None:
        mapping = Mapping(config.z_dim, config.w_dim, config.classes, config.mapping_layers)
        super().__init__(mapping, config.num_ws, config.resolution, config.channels)
        self.config = config
        self.synthesis_network = Synthesis(config)

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        """ws [N, num_ws, w_dim] -> pictures [N, channels, resolution, resolution], about [-1, 1], float32.

        noise: const, random or none. dtype is that of the feature maps, in the training form.
        """
        check_noise(noise)
        if isinstance(self.synthesis_network, FastSynthesis):
            return self.synthesis_network(ws, noise)
        return self.synthesis_network(ws, noise, dtype)


class DiscriminatorBlock(nn.Module):
    """Residual block at one resolution: x [N, I, H, W] -> [N, O, H/2, W/2]; the first one reads the picture."""

    def __init__(self, in_channels: int, out_channels: int, picture_channels: int) -> None:
        super().__init__()
        if picture_channels:
            self.fromrgb = EqualConv2d(picture_channels, in_channels, 1)
        self.conv0 = EqualConv2d(in_channels, in_channels, 3)
        self.conv1 = EqualConv2d(in_channels, out_channels, 3, down=True)
        self.skip = EqualConv2d(in_channels, out_channels, 1, down=True, bias=False, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "fromrgb"):
            x = self.fromrgb(x)
        gain = math.sqrt(0.5)  # two branches of equal variance are added
        return self.skip(x, gain) + self.conv1(self.conv0(x), gain)


class DiscriminatorEpilogue(nn.Module):
    """4x4 features -> one logit, or one feature vector where there are classes."""

    def __init__(self, channels: int, outputs: int, group: int, features: int) -> None:
        super().__init__()
        self.group, self.features = group, features
        self.conv = EqualConv2d(channels + features, channels, 3)
        self.fc = EqualLinear(channels * 16, channels, activate=True)
        self.out = EqualLinear(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = minibatch_stddev(x, self.group, self.features).contiguous(memory_format=torch.channels_last)
        x = self.conv(x).float()
        return self.out(self.fc(x.flatten(1)))  # logical NCHW order, whatever the memory format


def minibatch_stddev(x: Tensor, group: int, features: int = 1) -> Tensor:
    """Append the standard deviation over a group of the batch: D sees sameness (Karras et al. 2018, section 3).

    x [N, C, H, W] -> [N, C + features, H, W]; each feature is the mean over C / features channels and all pixels. The
    group is the largest divisor of N that is at most `group`.
    """
    n, channels, height, width = x.shape
    size = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    y = x.float().reshape(size, n // size, features, channels // features, height, width)
    deviation = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(2, 3, 4))  # [N/G, F]
    added = deviation.to(x.dtype)[None, :, :, None, None].expand(size, -1, -1, height, width)
    return torch.cat([x, added.reshape(n, features, height, width)], dim=1)


class StyleGAN2Discriminator(nn.Module):
    """Residual discriminator; with classes, the logit is a projection on the class embedding.

    group, features: of the minibatch standard deviation; features divides the channels at 4x4.

    picture [N, channels, R, R] in [-1, 1], c [N, classes] one-hot -> logits [N], float32.
    """

    def __init__(self, config: StyleGAN2Config, group: int = 4, features: int = 1) -> None:
        super().__init__()
        self.config = config
        self.resolutions = config.resolutions[:0:-1]  # from the picture's down to 8
        for i, resolution in enumerate(self.resolutions):
            fan_in, fan_out = config.channels_at(resolution), config.channels_at(resolution // 2)
            block = DiscriminatorBlock(fan_in, fan_out, config.channels if i == 0 else 0)
            setattr(self, f"b{resolution}", block)
        width = config.channels_at(4)
        self.embedding_dim = width if config.classes else 0
        self.b4 = DiscriminatorEpilogue(width, self.embedding_dim or 1, group, features)
        if config.classes:
            self.mapping = Mapping(0, width, config.classes, config.mapping_layers, track_average=False)

    def forward(self, picture: Tensor, c: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        x = picture.to(dtype).contiguous(memory_format=torch.channels_last)
        for resolution in self.resolutions:
            x = getattr(self, f"b{resolution}")(x)
        x = self.b4(x)
        if self.embedding_dim:
            return (x * self.mapping(None, c)).sum(dim=1) / math.sqrt(self.embedding_dim)
        return x.squeeze(1)


MODELS.register("stylegan2")(
    ModelFamily(
        config=StyleGAN2Config,
        build=StyleGAN2Generator,
        task="explore",
        title="StyleGAN2",
        paper="Karras et al. 2020, arXiv:1912.04958",
        layout=lay_out,
    )
)
