"""DCGAN on one's own pictures (Radford et al. 2016, arXiv:1511.06434):
the plain game, as a first run or a yardstick.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from studio.config import Config, setting
from studio.models.dcgan import DCGANConfig, DCGANDiscriminator, DCGANGenerator
from train.adversarial import AdversarialRecipe, AdversarialSettings
from train.losses.regularizers import normalize_spectrally
from train.recipes import RECIPES


@dataclass(frozen=True)
class DCGANSettings(AdversarialSettings):
    resolution: int = setting(64, "side of the square pictures; 64 in the paper", choices=[16, 32, 64, 128], unit="px")
    z_dim: int = setting(100, "size of the noise vector z", low=1, high=8192, advanced=True)
    width: int = setting(64, "feature maps at half the side; doubled at each halving", low=1, high=1024)
    lr: float = setting(0.0002, "G's learning rate", low=1e-7, high=0.1)
    beta1: float = setting(
        0.5, "share of the last steps' direction that is kept: Adam's first beta, or SGD's momentum", low=0, high=0.999,
        advanced=True,
    )
    batch: int = setting(64, "pictures a step, over all processes", low=2, high=8192)
    r1_interval: int = setting(1, "steps between two steps of penalties", low=1, high=1024, advanced=True)
    augment: str = setting("none", "what D is shown changed, against overfitting", choices=("ada", "diff", "none"))
    d_norm: str = setting(
        "auto",
        "D's normalisation; auto: batch, as in the paper, and none for a game that looks at pictures one by one",
        choices=["auto", "batch", "spectral", "none"], advanced=True,
    )

    def normalization(self) -> str:
        if self.d_norm != "auto":
            return self.d_norm
        return "none" if self.game().gp_weight else "batch"  # Gulrajani et al. 2017, section 4

    def network(self, classes: int) -> DCGANConfig:
        names = ("resolution", "channels", "z_dim", "width")
        return DCGANConfig(classes=classes, **{name: getattr(self, name) for name in names})


@RECIPES.register("dcgan")
class DCGANRecipe(AdversarialRecipe):
    settings: ClassVar[type[AdversarialSettings]] = DCGANSettings
    description: ClassVar[str] = (
        "A small and simple network: first pictures within minutes, to try a set of pictures out or to learn."
    )
    beta2: ClassVar[float] = 0.999

    def build(self) -> tuple[nn.Module, nn.Module]:
        network, norm = self.config.network(self.classes), self.config.normalization()
        D = DCGANDiscriminator(network, norm=norm == "batch")
        if norm == "spectral":
            normalize_spectrally(D)
        return DCGANGenerator(network), D

    def model(self) -> tuple[str, Config, nn.Module]:
        return "dcgan", self.ema["G"].config, self.ema["G"]
