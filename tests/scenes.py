"""Films whose motion is known, to the sub-pixel: a pan and a zoom over a texture, and a disc that crosses it."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def texture(side: int = 320, seed: int = 0) -> Tensor:
    """[1, 3, side, side] in [-1, 1]: detail of all sizes down to some px, as photos have it."""
    noise = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 3, side, side)
    for cell in (5, 10, 20, 40, 80):
        coarse = torch.randn(1, 3, side // cell + 3, side // cell + 3, generator=noise)
        picture += F.interpolate(coarse, scale_factor=cell, mode="bicubic")[:, :, :side, :side] * (cell / 80) ** 0.5
    return (picture / 2.5).clamp(-1, 1)


@dataclass(frozen=True)
class Scene:
    """`frame(t)` shows the texture, moved by `pan` px and enlarged by `zoom` a frame;
    `disc`: px a frame of one that crosses.
    """

    size: tuple[int, int] = (96, 128)
    pan: tuple[float, float] = (1.3, 0.6)
    zoom: float = 1.0
    disc: tuple[float, float] | None = None
    radius: float = 18.0
    noise: float = 0.0  # deviation of the grain, in [-1, 1]

    def _places(self) -> tuple[Tensor, Tensor]:
        y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in self.size), indexing="ij")
        return x - (self.size[1] - 1) / 2, y - (self.size[0] - 1) / 2

    def _on_texture(self, t: int) -> tuple[Tensor, Tensor]:
        x, y = self._places()
        return x / self.zoom**t + self.pan[0] * t, y / self.zoom**t + self.pan[1] * t

    def on_disc(self, t: int) -> Tensor:
        """[1, 1, H, W], 1 where the disc is."""
        x, y = self._places()
        if self.disc is None:
            return torch.zeros(1, 1, *self.size)
        return (torch.hypot(x - self._disc_x(t), y - self.disc[1] * t) < self.radius).float()[None, None]

    def _disc_x(self, t: int) -> float:
        return -self.size[1] / 4 + self.disc[0] * t

    def clean(self, t: int) -> Tensor:
        """[1, 3, H, W] in [-1, 1]."""
        ground = _look(texture(), *self._on_texture(t))
        if self.disc is None:
            return ground
        x, y = self._places()
        disc = _look(texture(seed=1), x - self._disc_x(t), y - self.disc[1] * t)
        return torch.where(self.on_disc(t) > 0, 0.6 - disc * 0.4, ground * 0.7 - 0.3)

    def frame(self, t: int) -> np.ndarray:
        """[H, W, 3] uint8, with grain."""
        grain = torch.randn(1, 3, *self.size, generator=torch.Generator().manual_seed(1000 + t))
        levels = ((self.clean(t) + self.noise * grain + 1) * 127.5).round().clamp(0, 255)
        return levels[0].permute(1, 2, 0).byte().numpy()

    def flow(self, t: int) -> Tensor:
        """[1, 2, H, W]: from frame t to where it was in frame t - 1."""
        x, y = self._places()
        u, v = self._on_texture(t)
        before = self.zoom ** (t - 1)
        dx, dy = (u - self.pan[0] * (t - 1)) * before - x, (v - self.pan[1] * (t - 1)) * before - y
        flow = torch.stack([dx, dy])[None]
        if self.disc is not None:
            there = torch.tensor([-self.disc[0], -self.disc[1]]).view(1, 2, 1, 1).double()
            flow = torch.where(self.on_disc(t) > 0, there, flow)
        return flow.float()

    def uncovered(self, t: int) -> Tensor:
        """[1, 1, H, W]: 1 where the disc was before and is no more, with a px to spare."""
        x, y = self._places()
        dx, dy = self.flow(t)[0].double()
        was = torch.hypot(x + dx - self._disc_x(t - 1), y + dy - self.disc[1] * (t - 1)) < self.radius - 1
        near = torch.hypot(x - self._disc_x(t), y - self.disc[1] * t) < self.radius + 1
        return (was & ~near).float()[None, None]


def _look(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A picture [1, 3, S, S] at places [H, W] from its middle, in px."""
    grid = torch.stack([x, y], dim=-1)[None].float() * (2 / picture.shape[-1])
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(-1, 1)
