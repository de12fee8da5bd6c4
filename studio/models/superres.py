"""Larger and cleaner pictures by a stack of residual blocks (EDSR; Lim et al. 2017, arXiv:1707.02921).

All convolutions run at the size of what comes in; pixels are shuffled out at the very end (Shi et al. 2016,
arXiv:1609.05158). One body serves several scales, each with a first and a last layer of its own. What is its own:

* A dial says how much noise there is to remove, as a plane beside the colours, as in FFDNet (Zhang et al. 2018,
  arXiv:1710.04026).
* To clean without enlarging, the network works at half the side, as FFDNet does: a quarter of the time.
* It draws on top of a bicubic enlargement, or of the picture itself.
* As small as it is, the way around each two convolutions decides how soon it learns: a plain stack as deep (SRVGG; Wang
  et al. 2021, arXiv:2107.10833) is far behind it after as many steps.
* The slope of what is below 0 is fixed: one learned for each channel takes a quarter of a training's time on a CPU.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.errors import SettingError
from studio.models import MODELS, ModelFamily

SLOPE = 0.1  # of what is below 0
BLOCK_GAIN = 0.1  # of what a block adds, as training begins


@dataclass(frozen=True)
class SuperresConfig(Config):
    scales: tuple[int, ...] = setting((1, 2, 4), "how many times larger; 1 cleans", choices=(1, 2, 3, 4))
    width: int = setting(48, "channels", low=4, high=512)
    blocks: int = setting(6, "residual blocks of two convolutions, which all scales share", low=1, high=64)

    def check(self) -> None:
        if not self.scales or len(set(self.scales)) < len(self.scales):
            found = f"scales={list(self.scales)} has none or one twice"
            raise SettingError(f"{found}; give each of 1, 2, 3 and 4 at most once")


def shrink(scale: int) -> int:
    """How many times smaller than what comes in the body works, a side."""
    return 2 if scale == 1 else 1


def conv(inside: int, out: int, gain: float = 1.0) -> nn.Conv2d:
    layer = nn.Conv2d(inside, out, 3, padding=1)
    nn.init.normal_(layer.weight, std=gain * (2 / (9 * inside)) ** 0.5)
    nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """Two convolutions and what went in: x [N, C, H, W] -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width), conv(width, width, gain=BLOCK_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(x), SLOPE))


class SuperresNetwork(nn.Module):
    """It is an Upscaler (studio/capabilities.py) by its largest scale, and `at` gives one for each of the others."""

    def __init__(self, config: SuperresConfig = SuperresConfig()) -> None:
        super().__init__()
        self.config = config
        self.scale = max(config.scales)
        width = config.width
        self.first = nn.ModuleDict({str(s): conv(3 * shrink(s) ** 2 + 1, width) for s in config.scales})
        self.body = nn.Sequential(*(Block(width) for _ in range(config.blocks)))
        # it begins with little more than the bicubic enlargement
        self.last = nn.ModuleDict({str(s): conv(width, 3 * (s * shrink(s)) ** 2, gain=0.01) for s in config.scales})
        self.to(memory_format=torch.channels_last)

    @property
    def reach(self) -> int:
        """px; what is made of a pixel depends on nothing that is farther away, at any scale."""
        return (2 * self.config.blocks + 2) * max(map(shrink, self.config.scales))

    def forward(self, pictures: Tensor, strength: Tensor, scale: int) -> Tensor:
        """Pictures [N, 3, h, w] in [-1, 1], strength [N] -> [N, 3, h * scale, w * scale], not clamped."""
        height, width = pictures.shape[2:]
        down = shrink(scale)
        x = F.pad(pictures, (0, -width % down, 0, -height % down), mode="replicate")
        base = x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bicubic")
        x = F.pixel_unshuffle(x, down)
        dial = strength.to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])
        x = torch.cat([x, dial], dim=1).contiguous(memory_format=torch.channels_last)
        drawn = F.pixel_shuffle(self.last[str(scale)](self.body(self.first[str(scale)](x))), scale * down)
        return (base + drawn)[:, :, : height * scale, : width * scale]

    def upscale(self, pictures: Tensor, strength: Tensor) -> Tensor:
        """Pictures [N, 3, h, w] in [-1, 1] -> [N, 3, h * scale, w * scale] in [-1, 1]; strength [N] from 0 to 1."""
        return self.at(self.scale).upscale(pictures, strength)

    def at(self, scale: int) -> "AtScale":
        """An Upscaler by one of the network's scales. Raises SettingError, naming them, for another."""
        if scale not in self.config.scales:
            known = ", ".join(map(str, self.config.scales))
            raise SettingError(f"scale={scale} was not learned by this network; choose one of {known}")
        return AtScale(self, scale)


@dataclass(frozen=True)
class AtScale:
    """A network of several scales as an Upscaler by one of them."""

    network: SuperresNetwork
    scale: int

    def upscale(self, pictures: Tensor, strength: Tensor) -> Tensor:
        return self.network(pictures, strength, self.scale).clamp(-1, 1)


MODELS.register("superres")(
    ModelFamily(
        SuperresConfig, SuperresNetwork, "upscale", "Atelier's upscaler",
        "after EDSR, Lim et al. 2017, arXiv:1707.02921",
    )
)
