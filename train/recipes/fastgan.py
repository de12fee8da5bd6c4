"""FastGAN on few pictures (Liu et al. 2021, arXiv:2101.04775): D redraws real pictures,
which keeps it from learning them by heart.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models.fastgan import FastGANConfig, FastGANDiscriminator, FastGANGenerator
from train.adversarial import AdversarialRecipe, AdversarialSettings
from train.augment import AUGMENTS
from train.data import Pictures
from train.losses.adversarial import losses
from train.losses.regularizers import normalize_spectrally
from train.perception import Perception
from train.recipes import RECIPES, Batch


@dataclass(frozen=True)
class FastGANSettings(AdversarialSettings):
    resolution: int = setting(64, "side of the square pictures", choices=[2**i for i in range(5, 11)], unit="px")
    z_dim: int = setting(256, "size of the noise vector z", low=1, high=8192, advanced=True)
    width: int = setting(64, "feature maps at 128 px; twice at 64 px, 16 times at 4 px", low=1, high=1024)
    batch: int = setting(8, "pictures a step, over all processes", low=2, high=8192)
    lr: float = setting(0.0002, "G's learning rate", low=1e-7, high=0.1)
    beta1: float = setting(
        0.5, "share of the last steps' direction that is kept: Adam's first beta, or SGD's momentum", low=0, high=0.999,
        advanced=True,
    )
    loss: str = setting("hinge", "what G and D play for", choices=losses(clipping=False), advanced=True)
    augment: str = setting("diff", "what D is shown changed, against overfitting", choices=AUGMENTS)
    redraw_weight: float = setting(
        1.0, "how much it counts that D can redraw real pictures", low=0, high=1000, advanced=True
    )

    redraw_share: float = setting(
        1.0, "share of a step's real pictures that D redraws; on a processor most of a step's time goes into it",
        low=0.01, high=1, advanced=True,
    )

    changeable: ClassVar[frozenset[str]] = AdversarialSettings.changeable | {"redraw_weight", "redraw_share"}

    def network(self, classes: int) -> FastGANConfig:
        names = ("resolution", "channels", "z_dim", "width")
        return FastGANConfig(classes=classes, **{name: getattr(self, name) for name in names})


@RECIPES.register("fastgan")
class FastGANRecipe(AdversarialRecipe):
    settings: ClassVar[type[AdversarialSettings]] = FastGANSettings
    description: ClassVar[str] = (
        "For large pictures, also where there are a hundred or so, given a GPU; "
        "on a processor its discriminator is slow."
    )
    beta2: ClassVar[float] = 0.999

    def __init__(self, config: FastGANSettings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(config, pictures, device, dtype)
        self.perception = Perception(device)

    def build(self) -> tuple[nn.Module, nn.Module]:
        network = self.config.network(self.classes)
        D = FastGANDiscriminator(network)
        normalize_spectrally(D)
        return FastGANGenerator(network), D

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        c, D = self.one_hot(batch.labels), self.networks["D"]
        fake = self.discriminate(self.next_fakes(), c)
        shown = self.augment(batch.reals)
        real, *features = D.look(shown, c, self.dtype)
        self.strength.observe(real.detach().flatten())
        redrawn, weight = max(round(len(shown) * self.config.redraw_share), 1), self.config.redraw_weight
        terms = {
            "loss_D": self.loss.discriminator(real, fake).mean(),
            "loss_redraw": self.redraw_loss(shown[:redrawn], [f[:redrawn] for f in features]) * weight,
        }
        return sum(terms.values()), {**terms, "score_real": real.mean(), "score_fake": fake.mean()}

    def redraw_loss(self, shown: Tensor, features: list[Tensor]) -> Tensor:
        """How far what D redraws is from the pictures it was shown,
        which look as they do to a network (section 3.2).
        """
        D, half = self.networks["D"], shown.shape[2] // 2
        row, column = torch.randint(2, []).item(), torch.randint(2, []).item()
        made = D.redraw(*features, (row, column))
        resize = lambda pictures: F.interpolate(pictures, size=D.drawn_side, mode="bilinear", antialias=True)
        whole, part = resize(shown), resize(shown[:, :, row * half :, column * half :][:, :, :half, :half])
        found, wanted = torch.cat([made.whole, made.small, made.part]), torch.cat([whole, whole, part])
        return 3 * self.perception.distance(found, wanted).mean()

    def model(self) -> tuple[str, Config, nn.Module]:
        return "fastgan", self.ema["G"].config, self.ema["G"]
