"""From settings to a film's frames: a smooth way through several pictures' styles, open or closed to a loop."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from studio.capabilities import StyleGenerator, require
from studio.config import Config, setting
from studio.engine import Engine
from studio.errors import SettingError
from studio.latent.mapping import styles, truncate
from studio.latent.walk import spline, z_from_seed
from studio.seeds import MAX_SEED

TOOL = "walk"
MAX_KEYS = 1000
MIN_SIDE_PX = 256  # players blur smaller films when they enlarge them


@dataclass(frozen=True)
class WalkSettings(Config):
    """What a film of a walk is made of."""

    model: str = setting(help="name of an installed model")
    seeds: tuple[int, ...] = setting(help="the pictures to pass through", low=0, high=MAX_SEED)
    seconds: float = setting(6.0, "length of the film", low=0.1, high=600, unit="s")
    fps: float = setting(30.0, "frames a second", low=1, high=120)
    loop: bool = setting(False, "go back to the first picture, so that the film repeats without a seam")
    psi: float = setting(0.7, "truncation: 0 the mean picture, 1 the full variety", low=-1, high=2)
    noise: str = setting("const", "fine grain: const or none", choices=["const", "none"])
    label: int = setting(0, "class, for a model with classes", low=0, high=100_000)
    size: int | None = setting(
        None, "side of the film, an even number; auto: the model's, doubled, tripled ... up to 256 or more",
        low=16, high=4096, unit="px",
    )

    def check(self) -> None:
        if not 2 <= len(self.seeds) <= MAX_KEYS:
            raise SettingError(f"seeds has {len(self.seeds)} values; a walk passes through 2..{MAX_KEYS}")
        if self.size is not None and self.size % 2:
            near = f"{self.size - 1} or {self.size + 1}"
            raise SettingError(f"size={self.size} is odd, which films cannot be; choose {near}")

    @property
    def frames(self) -> int:
        """How many frames the film has."""
        return max(1, round(self.seconds * self.fps))


def walk(engine: Engine, settings: WalkSettings) -> Iterator[Tensor]:
    """The film's frames in order, each [C, size, size] in [-1, 1] on the CPU. Raises StudioError.

    The way is a spline in w through the seeds' styles. A loop leaves out the frame that would equal the first: the
    step over the seam is a step like any other. The device is taken for a few frames at a time.
    """
    keys = _keys(engine, settings)
    steps = settings.frames if settings.loop else max(settings.frames - 1, 1)
    start = 0
    while start < settings.frames:
        with engine.use(settings.model) as model:
            G = require(model.network, StyleGenerator, model.name, TOOL)
            stop = min(start + pictures_at_once(G.resolution), settings.frames)
            ws = torch.stack([spline(keys, i / steps, settings.loop) for i in range(start, stop)])
            pictures = G.synthesis(ws, settings.noise).clamp(-1, 1).cpu()
        side = settings.size or G.resolution * math.ceil(MIN_SIDE_PX / G.resolution)
        for picture in pictures:
            yield resize(picture, side)
        start = stop


def pictures_at_once(resolution: int) -> int:
    """How many pictures to draw in one pass: about a megapixel, which keeps a GPU busy and fits in any memory."""
    return max(1, min(16, 2**20 // resolution**2))


def _keys(engine: Engine, settings: WalkSettings) -> Tensor:
    """The seeds' truncated styles [K, num_ws, w_dim]."""
    with engine.use(settings.model) as model:
        G = require(model.network, StyleGenerator, model.name, TOOL)
        z = torch.cat([z_from_seed(seed, G.z_dim) for seed in settings.seeds])
        return truncate(G, styles(G, z, settings.label, model.name), settings.psi)


def resize(picture: Tensor, side: int) -> Tensor:
    """A square picture [C, R, R] in [-1, 1] as [C, side, side]; bicubic, antialiased where it shrinks."""
    if picture.shape[-1] == side:
        return picture
    with torch.inference_mode():
        return interpolate(picture[None], size=side, mode="bicubic", antialias=True)[0].clamp(-1, 1)
