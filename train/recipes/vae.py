"""A variational autoencoder on one's own pictures (Kingma & Welling 2014, arXiv:1312.6114):
no game, nothing left out.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from studio.config import Config, setting
from studio.models.vae import VAE, VAEConfig
from train.autoencoder import BoundSettings, bound
from train.data import Pictures
from train.fit import FITS
from train.grids import grid_count
from train.losses.variational import draw_code
from train.perception import Perception
from train.rates import SCHEDULES, rate
from train.recipes import RECIPES, Batch, LoopConfig, Phase, Recipe


@dataclass(frozen=True)
class VAESettings(BoundSettings, LoopConfig):
    resolution: int = setting(64, "side of the square pictures", choices=[2**i for i in range(4, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    fit: str = setting(
        "crop", "pictures that are not square: crop to the middle, pad with a border, or squeeze", choices=FITS.names()
    )
    classes: bool = setting(False, "learn each subfolder as a class of its own")
    z_dim: int = setting(128, "size of the noise vector z", low=1, high=8192, advanced=True)
    channel_base: int = setting(4096, "feature maps of a layer: this over its resolution ...", low=16, high=262_144)
    channel_max: int = setting(256, "... but at most this many", low=1, high=4096)
    lr: float = setting(0.0005, "Adam's learning rate", low=1e-7, high=0.1)
    clip_grad: float | None = setting(
        1.0, "the longest gradient that is followed; a longer one is shortened; none: any", low=1e-6, high=1e6,
        advanced=True,
    )
    schedule: str = setting(
        "constant", "learning rate over the training: constant, or cosine: falling to 0 at its end",
        choices=SCHEDULES.names(), advanced=True,
    )

    changeable: ClassVar[frozenset[str]] = LoopConfig.changeable | {
        "kl_weight", "perceptual_weight", "clip_grad", "schedule",
    }

    def network(self, classes: int) -> VAEConfig:
        names = ("resolution", "channels", "z_dim", "channel_base", "channel_max")
        return VAEConfig(classes=classes, **{name: getattr(self, name) for name in names})


@RECIPES.register("vae")
class VAERecipe(Recipe):
    settings: ClassVar[type[LoopConfig]] = VAESettings
    description: ClassVar[str] = (
        "Soft pictures that leave nothing of the data out; "
        "choose it for variety, for few minutes, or to see any picture's code."
    )

    per_picture: ClassVar[bool] = True

    def __init__(self, config: VAESettings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.classes = len(pictures.class_names)
        torch.manual_seed(config.seed)
        G = VAE(config.network(self.classes)).to(device)
        self.networks = {"G": G}
        self.ema = {"G": copy.deepcopy(G).eval().requires_grad_(False)}
        self.optimizers = {"G": torch.optim.Adam(G.parameters(), config.lr, (0.9, 0.999), fused=True)}
        self.perception = Perception(device)
        self.phases = [Phase("G", "G", self.loss, clip=config.clip_grad)]
        count = grid_count(config.resolution)
        self.fixed_z = torch.randn(count, config.z_dim, generator=torch.Generator().manual_seed(config.seed)).to(device)
        self.fixed_labels = torch.arange(count, device=device) % max(self.classes, 1)

    def start_step(self, images: int) -> None:
        if self.config.schedule != "constant":
            share = rate(self.config.schedule, images / 1000, self.config.kimg)
            self.optimizers["G"].param_groups[0]["lr"] = self.config.lr * share

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        G, c = self.networks["G"], self.one_hot(batch.labels)
        mean, log_variance = G.encode(batch.reals, c, self.dtype)
        made = G.synthesis(G.mapping(draw_code(mean, log_variance), c), dtype=self.dtype)
        terms = bound(self.config, self.perception, made, batch.reals, mean, log_variance)
        return sum(terms.values()), {"loss_G": sum(terms.values()), **terms}

    def one_hot(self, labels: Tensor) -> Tensor | None:
        return one_hot(labels, self.classes).float() if self.classes else None

    @torch.no_grad()
    def sample(self) -> Tensor:
        G, c = self.ema["G"], self.one_hot(self.fixed_labels)
        parts = zip(self.fixed_z.split(16), c.split(16) if c is not None else [None] * len(self.fixed_z))
        return torch.cat([G.generate(z, labels) for z, labels in parts]).cpu()

    def model(self) -> tuple[str, Config, nn.Module]:
        return "vae", self.ema["G"].config, self.ema["G"]
