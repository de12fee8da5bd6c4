"""What all recipes share in which a generator G plays against a discriminator D.

A recipe builds the two networks and says how G draws; the game, its penalties, augmentation, optimisers and rates are
chosen by settings, and are here.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from studio.config import setting
from studio.errors import SettingError
from train.augment import AUGMENTS, AdaptiveStrength, ada_augment, diff_augment
from train.data import Pictures
from train.fit import FITS
from train.grids import grid_count
from train.losses.adversarial import LOSSES, AdversarialLoss, losses
from train.losses.regularizers import between, clip_weights, gradient_penalty, lipschitz_penalty
from train.rates import SCHEDULES, rate
from train.recipes import Batch, LoopConfig, Phase, Recipe

SAMPLES = 64


@dataclass(frozen=True)
class AdversarialSettings(LoopConfig):
    resolution: int = setting(64, "side of the square pictures", choices=[2**i for i in range(4, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    fit: str = setting(
        "crop", "pictures that are not square: crop to the middle, pad with a border, or squeeze", choices=FITS.names()
    )
    classes: bool = setting(False, "learn each subfolder as a class of its own")
    z_dim: int = setting(512, "size of the noise vector z", low=1, high=8192, advanced=True)
    lr: float = setting(0.002, "G's learning rate", low=1e-7, high=0.1)
    d_lr: float | None = setting(None, "D's own learning rate; none: the same", low=1e-7, high=0.1, advanced=True)
    optimizer: str = setting("adam", "what follows the gradients", choices=["adam", "sgd"], advanced=True)
    beta1: float = setting(
        0.0, "share of the last steps' direction that is kept: Adam's first beta, or SGD's momentum", low=0, high=0.999,
        advanced=True,
    )
    schedule: str = setting(
        "constant", "learning rates over the training: constant, or cosine: falling to 0 at its end",
        choices=SCHEDULES.names(), advanced=True,
    )
    clip_grad: float | None = setting(
        None, "the longest gradient a network follows; a longer one is shortened; none: any", low=1e-6, high=1e6,
        advanced=True,
    )
    loss: str = setting("non-saturating", "what G and D play for", choices=losses(), advanced=True)
    r1_gamma: float | None = setting(None, "weight of R1; none: as the recipe chooses", low=0, high=1e6)
    r1_interval: int = setting(16, "steps between two R1 steps", low=1, high=1024, advanced=True)
    r2: bool = setting(False, "penalise D's gradient at generated pictures too, with the weight of R1", advanced=True)
    gp_weight: float | None = setting(
        None, "weight of the gradient penalty; none: 10 in the game wasserstein-gp, else 0", low=0, high=1e6,
        advanced=True,
    )
    augment: str = setting("ada", "what D is shown changed, against overfitting", choices=AUGMENTS)
    ada_target: float = setting(0.6, "the overfitting (r_t) that ADA steers to", low=0, high=1, advanced=True)
    ada_kimg: float = setting(500.0, "ADA may go from 0 to full strength in this", low=0.001, high=1e5, advanced=True)
    freeze_d: int = setting(
        0, "layers of D, from the picture on, that stay as --init brought them", low=0, high=64, advanced=True
    )
    g_wait_kimg: float = setting(
        0.0, "G rests this long, while a D that starts anew learns what G can do", low=0, high=1000, unit="kimg",
        advanced=True,
    )

    changeable: ClassVar[frozenset[str]] = LoopConfig.changeable | {"gp_weight", "clip_grad", "schedule", "g_wait_kimg"}

    def check(self) -> None:
        if self.freeze_d and not self.init:
            raise SettingError(
                f"freeze_d={self.freeze_d} keeps layers of a D that was trained; give its run with --init"
            )

    def gamma(self) -> float:
        """The weight of R1. A game that holds D's slope itself has none unless it is asked for."""
        held = self.game().gp_weight or self.game().weight_clip is not None
        if self.r1_gamma is None:
            return 0.0 if held else self.default_gamma()
        return self.r1_gamma

    def default_gamma(self) -> float:
        return 0.0

    def slope_weight(self) -> float:
        """The weight of the gradient penalty."""
        return self.game().gp_weight if self.gp_weight is None else self.gp_weight

    def game(self) -> AdversarialLoss:
        return LOSSES.get(self.loss)


class AdversarialRecipe(Recipe):
    """G against D.

    A subclass gives `build` and `model`; it may draw in its own way, and add losses to `g_loss` and `d_loss`.
    """

    settings: ClassVar[type[AdversarialSettings]]
    per_picture: ClassVar[bool] = True
    beta2: ClassVar[float] = 0.99  # Adam's second beta

    def __init__(
        self, config: AdversarialSettings, pictures: Pictures, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.classes = len(pictures.class_names)
        torch.manual_seed(config.seed)
        G, D = (network.to(device) for network in self.build())
        self.networks = {"G": G, "D": D}
        self.ema = {"G": copy.deepcopy(G).eval().requires_grad_(False)}
        self.loss = config.game()
        self.strength = AdaptiveStrength(config.ada_target, config.ada_kimg)
        fixed_z = torch.randn(SAMPLES, config.z_dim, generator=torch.Generator().manual_seed(config.seed))
        self.fixed_z = fixed_z[: grid_count(config.resolution)].to(device)
        self.fixed_labels = torch.arange(len(self.fixed_z), device=device) % max(self.classes, 1)
        self.fakes: list[Tensor] = []  # of this step's G phase, one a round; D learns from the same ones
        self.optimizers = {
            "G": self.optimizer(G.parameters(), config.lr, self.g_interval()),
            "D": self.optimizer(self.learning_layers(D), config.d_lr or config.lr, self.d_interval()),
        }
        self.full_rates = {name: o.param_groups[0]["lr"] for name, o in self.optimizers.items()}
        self.phases = [
            Phase("G", "G", self.g_loss, clip=config.clip_grad), Phase("D", "D", self.d_loss, clip=config.clip_grad),
        ]
        if self.d_interval():
            self.phases.append(Phase("D R1", "D", self.r1_loss, self.d_interval(), config.clip_grad))

    @abstractmethod
    def build(self) -> tuple[nn.Module, nn.Module]:
        """G and D on the CPU.

        G fulfils NoiseGenerator; D takes (pictures, c, dtype) and returns logits [N] or [N, P].
        """

    def draw(self, count: int, c: Tensor | None) -> Tensor:
        """Pictures [count, C, R, R] by G, about [-1, 1], of classes c [count, classes] one-hot, to be learned from."""
        G = self.networks["G"]
        return G.synthesis(G.mapping(torch.randn(count, G.z_dim, device=self.device), c), "random", self.dtype)

    def g_interval(self) -> int | None:
        """Steps between two lazy penalties of G; none without."""
        return None

    def d_interval(self) -> int | None:
        """Steps between two lazy penalties of D; none without."""
        return self.config.r1_interval if self.config.gamma() or self.config.slope_weight() else None

    def optimizer(self, parameters: Iterable[nn.Parameter], lr: float, interval: int | None) -> torch.optim.Optimizer:
        # A lazily regularised network takes (n + 1) / n steps for each of the others': Adam is slowed to match.
        share = 1.0 if interval is None else interval / (interval + 1)
        if self.config.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr * share, self.config.beta1**share)
        betas = (self.config.beta1**share, self.beta2**share)
        return torch.optim.Adam(parameters, lr * share, betas, 1e-8, fused=True)

    def learning_layers(self, D: nn.Module) -> list[nn.Parameter]:
        """D's parameters without those of the first `freeze_d` layers (Mo et al. 2020, FreezeD, arXiv:2002.10964).

        Raises SettingError if nothing is left to learn.
        """
        layers = list(layers_of(D))
        if self.config.freeze_d >= len(layers):
            what = f"freeze_d={self.config.freeze_d} leaves none of D's {len(layers)} layers to learn"
            raise SettingError(f"{what}; give {len(layers) - 1} or fewer")
        frozen = {p for layer in layers[: self.config.freeze_d] for p in layer.parameters()}
        return [p for p in D.parameters() if p not in frozen]

    def start_step(self, images: int) -> None:
        c = self.config
        if c.schedule == "constant" and not c.g_wait_kimg:
            return
        for name, optimizer in self.optimizers.items():
            share = rate(c.schedule, images / 1000, c.kimg, c.g_wait_kimg if name == "G" else 0.0)
            for group in optimizer.param_groups:
                group["lr"] = self.full_rates[name] * share

    def g_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        c = self.one_hot(batch.labels)
        fakes = self.draw(len(batch.reals), c)
        with torch.no_grad():
            real = self.discriminate(batch.reals, c) if self.loss.relative else None
        loss = self.loss.generator(self.discriminate(fakes, c), real).mean()
        self.fakes.append(fakes.detach())
        return loss, {"loss_G": loss}

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        # departs from the papers: D sees the fakes that G just learned from, which spares one of two passes through G
        c = self.one_hot(batch.labels)
        fake = self.discriminate(self.next_fakes(), c)
        real = self.discriminate(batch.reals, c)
        loss = self.loss.discriminator(real, fake).mean()
        self.strength.observe(real.detach().flatten())
        return loss, {"loss_D": loss, "score_real": real.mean(), "score_fake": fake.mean()}

    def r1_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return self.penalties(batch, self.config.r1_interval)

    def penalties(self, batch: Batch, times: int) -> tuple[Tensor, dict[str, Tensor]]:
        """D's penalties, `times` as heavy as the settings say; and each by itself."""
        fakes = self.next_fakes() if self.config.r2 or self.config.slope_weight() else None
        total, values = torch.zeros([], device=self.device), {}
        if self.config.gamma():
            values["r1"] = self.gradient_at(batch.reals, batch.labels, gradient_penalty)
            if self.config.r2:
                values["r2"] = self.gradient_at(fakes, batch.labels, gradient_penalty)
            total = total + sum(values.values()) * (self.config.gamma() / 2 * times)
        if self.config.slope_weight():
            values["gp"] = self.gradient_at(between(batch.reals, fakes), batch.labels, lipschitz_penalty)
            total = total + values["gp"] * (self.config.slope_weight() * times)
        return total, values

    def gradient_at(self, pictures: Tensor, labels: Tensor, penalty: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        # departs from StyleGAN2-ADA: the gradient is taken at the augmented pictures, which is what D sees
        pictures = self.augment(pictures).detach().requires_grad_(True)
        logits = self.networks["D"](pictures, self.one_hot(labels))
        return penalty(logits.reshape(len(pictures), -1).mean(dim=1), pictures).mean()

    def next_fakes(self) -> Tensor:
        """The fakes of the G phase's rounds in turn, kept for the phases to come."""
        self.fakes.append(self.fakes.pop(0))
        return self.fakes[-1]

    def discriminate(self, pictures: Tensor, c: Tensor | None) -> Tensor:
        return self.networks["D"](self.augment(pictures), c, self.dtype)

    def augment(self, pictures: Tensor) -> Tensor:
        if self.config.augment == "diff":
            return diff_augment(pictures)
        if self.config.augment == "ada" and self.strength.p > 0:
            return ada_augment(pictures, self.strength.p)
        return pictures

    def one_hot(self, labels: Tensor) -> Tensor | None:
        return one_hot(labels, self.classes).float() if self.classes else None

    def end_step(self, step: int, reduce: Callable[[Tensor], Tensor]) -> None:
        self.fakes.clear()
        if self.loss.weight_clip is not None:
            clip_weights(self.networks["D"], self.loss.weight_clip)
        if self.config.augment == "ada":
            self.strength.adjust(step, self.config.batch, reduce)

    @torch.no_grad()
    def sample(self) -> Tensor:
        G, c = self.ema["G"], self.one_hot(self.fixed_labels)
        parts = zip(self.fixed_z.split(16), c.split(16) if c is not None else [None] * len(self.fixed_z))
        return torch.cat([G.generate(z, labels) for z, labels in parts]).cpu()

    def scalars(self) -> dict[str, float]:
        return self.strength.scalars() if self.config.augment == "ada" else {}

    def load_scalars(self, values: dict[str, float]) -> None:
        self.strength.load_scalars(values)


def layers_of(network: nn.Module) -> Iterator[nn.Module]:
    """A network's layers in order; a list of layers counts as many."""
    for child in network.children():
        yield from child.children() if isinstance(child, (nn.ModuleList, nn.ModuleDict)) else [child]
