"""An autoencoder whose decoder also plays against a discriminator (Larsen et al. 2016, arXiv:1512.09300).

departs from the paper: copies are compared by a fixed network, where the paper takes D's features, which move while
they are learned; and D is StyleGAN2's, which R1 keeps gentle. As in the paper D judges copies as well as pictures
from random noise, and the encoder does not learn from D.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator
from studio.models.vae import VAE, VAEConfig
from train.adversarial import AdversarialRecipe, AdversarialSettings
from train.autoencoder import BoundSettings, bound
from train.data import Pictures
from train.losses.adversarial import losses
from train.losses.variational import draw_code
from train.perception import Perception
from train.recipes import RECIPES, Batch


@dataclass(frozen=True)
class VAEGANSettings(BoundSettings, AdversarialSettings):
    z_dim: int = setting(128, "size of the noise vector z", low=1, high=8192, advanced=True)
    channel_base: int = setting(4096, "feature maps of a layer: this over its resolution ...", low=16, high=262_144)
    channel_max: int = setting(256, "... but at most this many", low=1, high=4096)
    lr: float = setting(0.0005, "G's learning rate", low=1e-7, high=0.1)
    d_lr: float | None = setting(0.002, "D's own learning rate; none: the same", low=1e-7, high=0.1, advanced=True)
    loss: str = setting("non-saturating", "what G and D play for", choices=losses(clipping=False), advanced=True)
    r1_gamma: float | None = setting(
        None, "weight of R1; none: resolution^2 / 4096, which is 1 at 64 px", low=0, high=1e6
    )
    adversarial_weight: float = setting(0.1, "how much D counts beside the copies", low=0, high=1000)

    changeable: ClassVar[frozenset[str]] = AdversarialSettings.changeable | {
        "kl_weight", "perceptual_weight", "adversarial_weight",
    }

    def default_gamma(self) -> float:
        return self.resolution**2 / 4096

    def network(self, classes: int) -> VAEConfig:
        names = ("resolution", "channels", "z_dim", "channel_base", "channel_max")
        return VAEConfig(classes=classes, **{name: getattr(self, name) for name in names})


@RECIPES.register("vaegan")
class VAEGANRecipe(AdversarialRecipe):
    settings: ClassVar[type[AdversarialSettings]] = VAEGANSettings
    description: ClassVar[str] = (
        "The variety of vae with more of a GAN's detail; choose it when a GAN leaves pictures out."
    )

    def __init__(self, config: VAEGANSettings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(config, pictures, device, dtype)
        self.perception = Perception(device)

    def build(self) -> tuple[nn.Module, nn.Module]:
        network, c = self.config.network(self.classes), self.config
        judge = StyleGAN2Config(
            resolution=c.resolution, channels=c.channels, classes=self.classes, channel_base=c.channel_base,
            channel_max=c.channel_max, mapping_layers=2,
        )
        return VAE(network), StyleGAN2Discriminator(judge)

    def g_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        G, c = self.networks["G"], self.one_hot(batch.labels)
        mean, log_variance = G.encode(batch.reals, c, self.dtype)
        z = draw_code(mean, log_variance)
        copies = G.synthesis(G.mapping(z, c), dtype=self.dtype)
        terms = bound(self.config, self.perception, copies, batch.reals, mean, log_variance)

        # half of what D judges are copies, half are of random noise
        random = torch.arange(len(z), device=self.device)[:, None] >= len(z) // 2
        codes = torch.where(random, torch.randn_like(z), z.detach())
        fakes = G.synthesis(G.mapping(codes, c), dtype=self.dtype)
        with torch.no_grad():
            real = self.discriminate(batch.reals, c) if self.loss.relative else None
        played = self.loss.generator(self.discriminate(fakes, c), real).mean()
        terms["loss_game"] = self.config.adversarial_weight * played
        self.fakes.append(fakes.detach())
        return sum(terms.values()), {"loss_G": sum(terms.values()), **terms}

    def model(self) -> tuple[str, Config, nn.Module]:
        return "vae", self.ema["G"].config, self.ema["G"]
