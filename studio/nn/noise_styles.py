"""A generator whose noise is its style space: what the tools for styles ask for,
of networks that have no w of their own.
"""

import math

import torch
from torch import Tensor, nn

from studio.errors import SettingError


class NoiseStyles(nn.Module):
    """z and the class side by side are the one style of every layer; a subclass draws from it in `synthesis`.

    Directions in z are then dials, and truncation pulls z towards 0 and the class towards the mean of all classes. It
    fulfils StyleGenerator.
    """

    num_ws = 1

    def __init__(self, z_dim: int, classes: int, resolution: int, channels: int) -> None:
        super().__init__()
        self.z_dim, self.classes, self.resolution, self.channels = z_dim, classes, resolution, channels
        self.w_dim = z_dim + classes
        # a class weighs as much as all of z, whose length is the root of its size
        self.class_gain = math.sqrt(z_dim)
        mean = torch.cat([torch.zeros(z_dim), torch.full([classes], self.class_gain / max(classes, 1))])
        self.register_buffer("w_avg", mean, persistent=False)

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """z [N, z_dim] normal, c [N, classes] one-hot -> ws [N, 1, w_dim]. Raises SettingError where c is missing."""
        if not self.classes:
            return z[:, None]
        if c is None:
            raise SettingError(f"this model has {self.classes} classes and none was given; choose one")
        return torch.cat([z, c.to(z) * self.class_gain], dim=1)[:, None]

    def synthesis(self, ws: Tensor, noise: str = "const", dtype: torch.dtype = torch.float32) -> Tensor:
        """ws [N, 1, w_dim] -> pictures [N, channels, resolution, resolution] in [-1, 1], float32.

        noise: const, random or none, for networks that have grain. dtype is that of the feature maps.
        """
        raise NotImplementedError

    def generate(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """z [N, z_dim] -> pictures; psi pulls w towards its mean (0 gives the mean picture)."""
        return self.synthesis(self.w_avg + psi * (self.mapping(z, c) - self.w_avg))

    forward = generate
