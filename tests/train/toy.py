"""A GAN whose pictures are two pixels: points in the plane, from eight Gaussians on a ring. It trains in seconds."""

import copy
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from studio.config import Config, setting
from train.data import Pictures
from train.losses.adversarial import LOSSES
from train.losses.regularizers import gradient_penalty
from train.recipes import Batch, LoopConfig, Phase, Recipe

MODES = 8


def ring(count: int, seed: int = 0) -> Tensor:
    """Points [count, 2] in [-1, 1]: eight Gaussians of deviation 0.03 at distance 0.7 from the middle."""
    generator = torch.Generator().manual_seed(seed)
    angles = torch.arange(count) % MODES * (2 * math.pi / MODES)
    return 0.7 * torch.stack([angles.cos(), angles.sin()], dim=1) + 0.03 * torch.randn(count, 2, generator=generator)


def ring_pictures(count: int = 2048) -> Pictures:
    levels = ((ring(count) + 1) * 127.5).round().clamp(0, 255).byte().view(count, 1, 1, 2)
    names = [f"{i}.png" for i in range(count)]
    return Pictures(None, names, 2, 1, torch.zeros(count, dtype=torch.long), [], [], levels)


class Points:
    """A feature network that sees a point as it is."""

    name, dim = "Points", 2

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1).float()

    def probabilities(self, features: Tensor) -> Tensor:
        raise NotImplementedError


class ToyGenerator(nn.Sequential):
    z_dim, classes, resolution, channels = 4, 0, 2, 1

    def generate(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        return self(z)


@dataclass(frozen=True)
class ToySettings(LoopConfig):
    lr: float = setting(0.001, "G's rate", low=1e-7, high=1)
    d_lr: float = setting(0.001, "D's rate", low=1e-7, high=1)
    loss: str = setting("relativistic", "the game", choices=LOSSES.names())
    r1_gamma: float = setting(0.1, "weight of R1 and R2", low=0, high=100)


class ToyRecipe(Recipe):
    settings: ClassVar[type[LoopConfig]] = ToySettings
    description: ClassVar[str] = "Eight Gaussians."

    def __init__(self, config: ToySettings) -> None:
        torch.manual_seed(config.seed)
        layers = lambda i, o: [
            nn.Linear(i, 64),
            nn.LeakyReLU(0.2),
            nn.Linear(64, 64),
            nn.LeakyReLU(0.2),
            nn.Linear(64, o),
        ]
        G = ToyGenerator(*layers(4, 2), nn.Unflatten(1, (1, 1, 2)))
        D = nn.Sequential(nn.Flatten(), *layers(2, 1))
        self.config, self.networks, self.ema = config, {"G": G, "D": D}, {"G": copy.deepcopy(G)}
        adam = lambda net, lr: torch.optim.Adam(net.parameters(), lr, (0.0, 0.99))
        self.optimizers = {"G": adam(G, config.lr), "D": adam(D, config.d_lr)}
        self.phases = [Phase("G", "G", self.g_loss), Phase("D", "D", self.d_loss)]
        self.loss = LOSSES.get(config.loss)

    def fakes(self, batch: Batch) -> Tensor:
        return self.networks["G"](torch.randn(len(batch.reals), 4))

    def g_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        D = self.networks["D"]
        real = D(batch.reals) if self.loss.relative else None
        loss = self.loss.generator(D(self.fakes(batch)), real).mean()
        return loss, {"loss_G": loss}

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        D = self.networks["D"]
        reals, fakes = (x.detach().requires_grad_(True) for x in (batch.reals, self.fakes(batch)))
        real, fake = D(reals), D(fakes)
        penalty = gradient_penalty(real, reals).mean() + gradient_penalty(fake, fakes).mean()
        loss = self.loss.discriminator(real, fake).mean() + self.config.r1_gamma / 2 * penalty
        return loss, {"loss_D": loss, "score_real": real.mean(), "score_fake": fake.mean()}

    def sample(self) -> Tensor:
        return torch.zeros(4, 1, 2, 2)

    def model(self) -> tuple[str, Config, nn.Module]:
        return "toy", self.config, self.ema["G"]
