"""StyleGAN3: a generator whose details move with what they belong to, and whose pictures can be shifted and turned.

Karras, Aittala, Laine, Harkonen, Hellsten, Lehtinen, Aila: "Alias-Free Generative Adversarial Networks", NeurIPS
2021, arXiv:2106.12423. Configurations T (translation: 3x3 kernels) and R (rotation: 1x1 kernels, radial filters,
twice the feature maps). Modules and parameters bear the names of the official version, so that its weights map one to
one.

Every feature map is a continuous signal of bounded frequency, given by its samples. It starts as sines in the plane,
which can be moved by any amount; a nonlinearity is applied at a higher rate, between low-pass filters, so that it
adds no frequency that the samples cannot carry.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.errors import SettingError
from studio.models import MODELS, ModelFamily
from studio.models.stylegan2 import Mapping
from studio.nn.grain import check_noise
from studio.nn.layers import LRELU_GAIN, EqualLinear
from studio.nn.mapped_styles import MappedStyles


@dataclass(frozen=True)
class StyleGAN3Config(Config):
    resolution: int = setting(256, "side of the square pictures", choices=[2**i for i in range(4, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    classes: int = setting(0, "class labels; 0 means none", low=0, high=100_000)
    z_dim: int = setting(512, "size of the noise vector z", low=1, high=8192)
    w_dim: int = setting(512, "size of a style w", low=1, high=8192)
    mapping_layers: int = setting(2, "fully connected layers from z to w", low=1, high=16)
    channel_base: int = setting(
        32768, "feature maps at a layer: half of this over its cutoff ...", low=16, high=262_144
    )
    channel_max: int = setting(512, "... but at most this many", low=1, high=4096)
    layers: int = setting(14, "convolutions, without the last to a picture", low=3, high=64)
    critical: int = setting(2, "of them at the end, sampled as coarsely as can be", low=1, high=32)
    first_cutoff: float = setting(2.0, "highest frequency of the first layer", low=0.5, high=64)
    first_stopband: float = setting(2**2.1, "where its filters stop", low=0.5, high=256)
    last_stopband_rel: float = setting(2**0.3, "where the last layer's filters stop, over its cutoff", low=1, high=4)
    margin: int = setting(10, "samples beyond the picture's edge", low=0, high=64)
    output_scale: float = setting(0.25, "what the picture is multiplied with", low=1e-3, high=1e3)
    kernel: int = setting(3, "side of the convolutions: 3 in configuration T, 1 in R", choices=[1, 3])
    filter_size: int = setting(6, "taps of a filter, over the rate's change", low=2, high=32)
    oversampling: int = setting(2, "the nonlinearity's sampling rate over the layer's", choices=[1, 2, 4])
    radial: bool = setting(False, "filters that are the same in all directions (configuration R)")
    clamp: float = setting(256.0, "bound on the size of feature maps; 0 means none", low=0, high=1e6, advanced=True)

    def check(self) -> None:
        if self.critical >= self.layers:
            raise SettingError(f"critical={self.critical} is not below layers={self.layers}; give fewer")

    @property
    def num_ws(self) -> int:
        return self.layers + 2


@dataclass(frozen=True)
class Signal:
    """Between two layers: how many feature maps, of how many samples a side, and of which frequencies.

    Rates and frequencies are per picture width. `cutoff` is where a filter's pass band ends; its transition reaches
    `half_width` to either side.
    """

    channels: int
    size: int
    rate: int
    cutoff: float
    half_width: float


def signals(config: StyleGAN3Config) -> list[Signal]:
    """What each layer puts out, the picture last (section 3.2 and appendix C.1 of the paper): layers + 1 of them."""
    last = config.resolution / 2
    progress = np.minimum(np.arange(config.layers + 1) / (config.layers - config.critical), 1)
    cutoffs = config.first_cutoff * (last / config.first_cutoff) ** progress
    stops = config.first_stopband * (last * config.last_stopband_rel / config.first_stopband) ** progress
    rates = np.exp2(np.ceil(np.log2(np.minimum(stops * 2, config.resolution))))
    half_widths = np.maximum(stops, rates / 2) - cutoffs
    sizes = rates + 2 * config.margin
    sizes[-2:] = config.resolution  # the margin is needed no more
    channels = np.rint(np.minimum(config.channel_base / 2 / cutoffs, config.channel_max)).clip(1)
    channels[-1] = config.channels
    rows = zip(channels, sizes, rates, cutoffs, half_widths)
    return [Signal(int(c), int(n), int(rate), float(cut), float(half)) for c, n, rate, cut, half in rows]


def plan(config: StyleGAN3Config) -> dict[str, tuple[Signal, Signal, bool, bool]]:
    """The layers by name: what goes in and comes out, whether it makes the picture, and is critically sampled."""
    out = signals(config)
    found = {}
    for i, (source, target) in enumerate(zip([out[0], *out], out)):
        row = source, target, i == config.layers, i >= config.layers - config.critical
        found[f"L{i}_{target.size}_{target.channels}"] = row
    return found


def low_pass(taps: int, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor | None:
    """A Kaiser-windowed low-pass filter with a sum of 1: [taps], or [taps, taps] if radial; None for a single tap.

    cutoff, width of the transition, and the sampling rate are in one unit. Attenuation and the window's shape by
    Kaiser's formulas (1974).
    """
    if taps == 1:
        return None
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        over = max(attenuation - 21, 0)
        beta = 0.5842 * over**0.4 + 0.07886 * over
    window = np.kaiser(taps, beta)
    at = (np.arange(taps) - (taps - 1) / 2) / rate
    if not radial:
        found = np.sinc(2 * cutoff * at) * window
    else:  # the disc's transform takes the place of the interval's; an even number of taps has none at the centre
        r = np.hypot(at[:, None], at[None, :]) * math.pi
        found = torch.special.bessel_j1(torch.from_numpy(2 * cutoff * r)).numpy() / r * np.outer(window, window)
    return torch.tensor((found / found.sum()).astype(np.float32))


def factors(config: StyleGAN3Config, source: Signal, target: Signal, rgb: bool) -> tuple[int, int]:
    """By how much a layer raises the sampling rate for its nonlinearity, and lowers it afterwards."""
    rate = max(source.rate, target.rate) * (1 if rgb else config.oversampling)
    return rate // source.rate, rate // target.rate


def filters(
    config: StyleGAN3Config, source: Signal, target: Signal, rgb: bool, critical: bool
) -> tuple[Tensor | None, Tensor | None]:
    """A layer's filters for going up to its nonlinearity's sampling rate, and down from it."""
    if rgb:
        return None, None
    up, down = factors(config, source, target, rgb)
    rate = source.rate * up
    radial = config.radial and not critical
    return (
        low_pass(config.filter_size * up if up > 1 else 1, source.cutoff, 2 * source.half_width, rate),
        low_pass(config.filter_size * down if down > 1 else 1, target.cutoff, 2 * target.half_width, rate, radial),
    )


class SynthesisInput(nn.Module):
    """w -> sines in the plane: [N, channels, size, size], moved and turned as w says, and as the caller does."""

    def __init__(self, config: StyleGAN3Config, first: Signal) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = first.size, first.rate, first.cutoff
        freqs = torch.randn(first.channels, 2)  # uniform in a disc
        radii = freqs.square().sum(dim=1, keepdim=True).sqrt()
        self.weight = nn.Parameter(torch.randn(first.channels, first.channels))
        self.affine = EqualLinear(config.w_dim, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs / (radii * radii.square().exp().pow(0.25)) * self.bandwidth)
        self.register_buffer("phases", torch.rand(first.channels) - 0.5)

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """w [N, w_dim]; transform [3, 3]: from places in the picture to places in the plane."""
        t = self.affine(w)
        t = t / t[:, :2].norm(dim=1, keepdim=True)  # cosine, sine, x, y
        cos, sin, x, y = t.unbind(1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).view(-1, 3, 3)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1).view(-1, 3, 3)
        place = turn @ shift @ self.transform  # [N33]
        if transform is not None:
            place = place @ transform
        phases = self.phases + (self.freqs @ place[:, :2, 2:]).squeeze(2)  # [NC]
        freqs = self.freqs @ place[:, :2, :2]  # [NC2]
        # what a caller's transform makes finer than the samples can carry fades out
        over = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        amplitudes = (1 - over).clamp(0, 1)
        # sample centres, in picture widths from its centre
        at = ((torch.arange(self.size, device=w.device) + 0.5) / self.size - 0.5) * (self.size / self.rate)
        phase_x = freqs[:, :, :1] * at + phases[:, :, None]  # [NCW]
        phase_y = freqs[:, :, 1:] * at  # [NCH]
        waves = torch.sin((phase_y[:, :, :, None] + phase_x[:, :, None, :]) * (2 * math.pi))
        weight = (self.weight / math.sqrt(len(self.weight)))[None] * amplitudes[:, None, :]  # [NOI]
        return (weight @ waves.flatten(2)).view_as(waves)


class SynthesisLayer(nn.Module):
    """Style-modulated convolution, bias, then a leaky ReLU between low-pass filters, to another sampling rate.

    x [N, I, in, in], w [N, w_dim] -> [N, O, out, out]. The last layer, `rgb`, is a 1x1 convolution alone.
    """

    def __init__(self, config: StyleGAN3Config, source: Signal, target: Signal, *, rgb: bool, critical: bool) -> None:
        super().__init__()
        self.rgb, self.clamp, self.size = rgb, config.clamp, target.size
        self.kernel = 1 if rgb else config.kernel
        self.affine = EqualLinear(config.w_dim, source.channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(target.channels, source.channels, self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.zeros(target.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        self.up, self.down = factors(config, source, target, rgb)
        up, down = filters(config, source, target, rgb, critical)
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)
        taps = sum(1 if kernel is None else len(kernel) for kernel in (up, down))
        total = (target.size - 1) * self.down + 1 - (source.size + self.kernel - 1) * self.up + taps - 2
        before = (total + self.up) // 2  # samples lie symmetrically about the centre (appendix C.3)
        self.padding = before, total - before

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self._convolve(x, self.affine(w)) + self.bias[:, None, None]
        x = upsample(x, self.up_filter, self.up, self.padding)
        if not self.rgb:
            x = F.leaky_relu(x, 0.2) * LRELU_GAIN
        if self.clamp:
            x = x.clamp(-self.clamp, self.clamp)
        return downsample(x, self.down_filter, self.down)

    def _convolve(self, x: Tensor, styles: Tensor) -> Tensor:
        """Styles and demodulation scale the activations, not the weights: one convolution serves the batch."""
        gain = self.magnitude_ema.rsqrt()  # the input's mean square is about 1, so that the noise floor is too
        if self.rgb:
            x = x * (styles * (gain / math.sqrt(self.weight[0].numel())))[:, :, None, None]
            return F.conv2d(x, self.weight)
        weight = self.weight * self.weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        # departs from the official version, which takes the batch's mean: a picture does not depend on its neighbours
        styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
        power = weight.square().sum(dim=(2, 3))  # [OI]
        scale = (styles.square() @ power.t() + 1e-8).rsqrt()  # [NO]
        x = F.conv2d(x * (styles * gain)[:, :, None, None], weight, padding=self.kernel - 1)
        return x * scale[:, :, None, None]


def upsample(x: Tensor, kernel: Tensor | None, factor: int, padding: tuple[int, int]) -> Tensor:
    """Zeros between the samples, `padding` before and after on both axes (negative crops), then the filter.

    x [N, C, H, W]; kernel [taps], symmetric and of sum 1, or None for none. What the filter covers wholly is kept.
    """
    before, after = padding
    if kernel is None:
        return F.pad(x, (before, after, before, after))
    channels, taps = x.shape[1], len(kernel)
    kernel = kernel * factor
    column = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    row = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    x = F.conv_transpose2d(x, row, stride=(1, factor), groups=channels)
    # a transposed convolution keeps what its filter covers in part, and ends with the last sample
    left, right = before - (taps - 1), after - (taps - 1) + factor - 1
    x = F.pad(x, (left, right))
    x = F.conv_transpose2d(x, column, stride=(factor, 1), groups=channels)
    return F.pad(x, (0, 0, left, right))


def downsample(x: Tensor, kernel: Tensor | None, factor: int) -> Tensor:
    """The filter, where it covers x [N, C, H, W] wholly, at every `factor`-th sample.

    kernel [taps] or [taps, taps], symmetric, or None for none.
    """
    if kernel is None:
        return x
    channels = x.shape[1]
    if kernel.dim() == 2:
        return F.conv2d(x, kernel.expand(channels, 1, -1, -1), stride=factor, groups=channels)
    x = F.conv2d(x, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), stride=(1, factor), groups=channels)
    return F.conv2d(x, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), stride=(factor, 1), groups=channels)


class Synthesis(nn.Module):
    """ws [N, layers + 2, w_dim] -> pictures [N, channels, resolution, resolution], about [-1, 1]."""

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.output_scale = config.output_scale
        self.input = SynthesisInput(config, signals(config)[0])
        self.names: list[str] = []
        for name, (source, target, rgb, critical) in plan(config).items():
            self.names.append(name)
            setattr(self, name, SynthesisLayer(config, source, target, rgb=rgb, critical=critical))

    def forward(self, ws: Tensor, transform: Tensor | None = None) -> Tensor:
        x = self.input(ws[:, 0], transform)
        for name, w in zip(self.names, ws[:, 1:].unbind(1)):
            x = getattr(self, name)(x, w)
        return x * self.output_scale


class StyleGAN3Generator(MappedStyles):
    """The whole generator; fulfils StyleGenerator and Movable."""

    def __init__(self, config: StyleGAN3Config) -> None:
        mapping = Mapping(config.z_dim, config.w_dim, config.classes, config.mapping_layers)
        super().__init__(mapping, config.num_ws, config.resolution, config.channels)
        self.config = config
        self.synthesis_network = Synthesis(config)

    def synthesis(self, ws: Tensor, noise: str = "const") -> Tensor:
        """ws [N, num_ws, w_dim] -> pictures [N, channels, resolution, resolution]; noise of any kind is none."""
        check_noise(noise)
        return self.synthesis_network(ws)

    def moved(self, ws: Tensor, right: float, down: float, turn: float) -> Tensor:
        """As synthesis, turned to the left by degrees about the centre, then shifted in picture widths."""
        return self.synthesis_network(ws, placement(right, down, turn).to(ws.device))


def placement(right: float, down: float, turn: float) -> Tensor:
    """[3, 3] from places in the moved picture to places in the picture as it was; see `StyleGAN3Generator.moved`."""
    angle = math.radians(turn)
    cos, sin = math.cos(angle), math.sin(angle)
    forth = torch.tensor([[cos, sin, right], [-sin, cos, down], [0, 0, 1]], dtype=torch.float64)
    return torch.linalg.inv(forth).float()


MODELS.register("stylegan3")(
    ModelFamily(
        config=StyleGAN3Config,
        build=StyleGAN3Generator,
        task="explore",
        title="StyleGAN3",
        paper="Karras et al. 2021, arXiv:2106.12423",
    )
)
