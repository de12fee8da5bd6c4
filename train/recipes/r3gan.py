"""R3GAN's game on the StyleGAN2 networks (Huang et al. 2024, "The GAN is dead; long live the GAN!", arXiv:2501.05441).

Each fake plays against one real picture, and D's gradient is held at both in every step: together they are known to
converge, and what StyleGAN2 needs beside them (style mixing, path lengths, lazy penalties) is left out. Rates fall
along a cosine. departs from the paper: its networks are ResNets; ours keep w, and with it the sliders.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from studio.config import setting
from train.adversarial import AdversarialSettings
from train.losses.adversarial import losses
from train.rates import SCHEDULES
from train.recipes import RECIPES, Batch
from train.recipes.stylegan2 import StyleGAN2Recipe, StyleGAN2Settings


@dataclass(frozen=True)
class R3GANSettings(StyleGAN2Settings):
    loss: str = setting("relativistic", "what G and D play for", choices=losses(clipping=False), advanced=True)
    r1_gamma: float | None = setting(
        None, "weight of R1 and R2; none: resolution^2 / 4096, which is 1 at 64 px", low=0, high=1e6
    )
    r1_interval: int = setting(
        1, "steps between two penalties of D; 1: a part of each step", low=1, high=1024, advanced=True
    )
    r2: bool = setting(True, "penalise D's gradient at generated pictures too, with the weight of R1", advanced=True)
    style_mixing: float = setting(0.0, "share of pictures made from two styles", low=0, high=1, advanced=True)
    schedule: str = setting(
        "cosine", "learning rates over the training: constant, or cosine: falling to 0 at its end",
        choices=SCHEDULES.names(), advanced=True,
    )

    def default_gamma(self) -> float:
        return self.resolution**2 / 4096


@RECIPES.register("r3gan")
class R3GANRecipe(StyleGAN2Recipe):
    settings: ClassVar[type[AdversarialSettings]] = R3GANSettings
    description: ClassVar[str] = (
        "The networks of stylegan2 in a steadier game that shows more variety; "
        "choose it when pictures begin to look alike."
    )

    def d_interval(self) -> int | None:
        return None if self.config.r1_interval == 1 else super().d_interval()

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, values = super().d_loss(batch)
        if self.config.r1_interval > 1:
            return loss, values
        penalty, parts = self.penalties(batch, 1)
        return loss + penalty, {**values, **parts}
