"""StyleGAN2 on one's own pictures (Karras et al. 2020, arXiv:1912.04958), with adaptive augmentation for small sets."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from studio.config import Config, setting
from studio.errors import SettingError
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from train.augment import AUGMENTS, AdaptiveStrength, ada_augment, diff_augment
from train.data import Pictures
from train.grids import grid_count
from train.losses.adversarial import LOSSES
from train.losses.regularizers import gradient_penalty, path_lengths
from train.recipes import RECIPES, Batch, LoopConfig, Phase, Recipe

SAMPLES = 64
W_AVG_STEP = 0.002  # the running mean of w moves by this share a batch


@dataclass(frozen=True)
class StyleGAN2Settings(LoopConfig):
    resolution: int = setting(64, "side of the square pictures", choices=[2**i for i in range(4, 11)], unit="px")
    channels: int = setting(3, "colour channels: 1 grey, 3 RGB", choices=[1, 3])
    classes: bool = setting(False, "learn each subfolder as a class of its own")
    z_dim: int = setting(512, "size of the noise vector z", low=1, high=8192, advanced=True)
    w_dim: int = setting(512, "size of a style w", low=1, high=8192, advanced=True)
    mapping_layers: int = setting(8, "fully connected layers from z to w", low=1, high=16, advanced=True)
    channel_base: int = setting(32768, "feature maps of a layer: this over its resolution ...", low=16, high=262_144)
    channel_max: int = setting(512, "... but at most this many", low=1, high=4096)
    lr: float = setting(0.002, "Adam's learning rate", low=1e-7, high=0.1)
    d_lr: float | None = setting(None, "D's own learning rate; none: the same", low=1e-7, high=0.1, advanced=True)
    loss: str = setting("non-saturating", "what G and D play for", choices=LOSSES.names(), advanced=True)
    r1_gamma: float | None = setting(
        None, "weight of R1; none: 0.0002 * resolution^2 / batch, as StyleGAN2-ADA chooses", low=0, high=1e6
    )
    r1_interval: int = setting(16, "steps between two R1 steps", low=1, high=1024, advanced=True)
    r2: bool = setting(False, "penalise D's gradient at generated pictures too, with the weight of R1", advanced=True)
    pl_weight: float = setting(0.0, "weight of path length regularisation; 2 in the paper", low=0, high=1000, advanced=True)
    pl_interval: int = setting(4, "steps between two path length steps", low=1, high=1024, advanced=True)
    mbstd_group: int = setting(4, "pictures whose sameness D sees together", low=1, high=1024, advanced=True)
    mbstd_features: int = setting(
        1, "numbers that say how alike they are; one for each channel at 4x4 stops a collapse in a short training", low=1, high=4096,
        advanced=True,
    )
    style_mixing: float = setting(0.5, "share of pictures made from two styles", low=0, high=1, advanced=True)
    augment: str = setting("ada", "what D is shown changed, against overfitting", choices=AUGMENTS)
    ada_target: float = setting(0.6, "the overfitting (r_t) that ADA steers to", low=0, high=1, advanced=True)
    ada_kimg: float = setting(500.0, "ADA may go from 0 to full strength in this", low=0.001, high=1e5, advanced=True)

    def check(self) -> None:
        width = self.network(0).channels_at(4)
        if width % self.mbstd_features:
            raise SettingError(
                f"mbstd_features={self.mbstd_features} does not divide the {width} channels at 4x4; give 1, {width} or a "
                "divisor between"
            )

    def gamma(self) -> float:
        return 0.0002 * self.resolution**2 / self.batch if self.r1_gamma is None else self.r1_gamma

    def network(self, classes: int) -> StyleGAN2Config:
        """The generator's settings."""
        names = ("resolution", "channels", "z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max")
        return StyleGAN2Config(classes=classes, **{name: getattr(self, name) for name in names})


@RECIPES.register("stylegan2")
class StyleGAN2Recipe(Recipe):
    settings: ClassVar[type[LoopConfig]] = StyleGAN2Settings
    description: ClassVar[str] = (
        "The best pictures and the best sliders, given a thousand pictures or more and some hours; choose it first."
    )

    def __init__(self, config: StyleGAN2Settings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.classes = len(pictures.class_names)
        network = config.network(self.classes)
        torch.manual_seed(config.seed)
        G = StyleGAN2Generator(network).to(device)
        D = StyleGAN2Discriminator(network, config.mbstd_group, config.mbstd_features).to(device)
        self.networks = {"G": G, "D": D}
        self.ema = {"G": copy.deepcopy(G).eval().requires_grad_(False)}
        self.loss = LOSSES.get(config.loss)
        self.strength = AdaptiveStrength(config.ada_target, config.ada_kimg)
        fixed_z = torch.randn(SAMPLES, config.z_dim, generator=torch.Generator().manual_seed(config.seed))
        self.fixed_z = fixed_z[: grid_count(config.resolution)].to(device)
        self.fixed_labels = torch.arange(len(self.fixed_z), device=device) % max(self.classes, 1)
        self.pl_mean = torch.zeros([], device=device)
        self.fakes: list[Tensor] = []  # of this step's G phase, one a round; D learns from the same ones

        # A lazily regularised network takes (n + 1) / n steps for each of the others': Adam is slowed to match.
        def adam(network: torch.nn.Module, lr: float, interval: int | None) -> torch.optim.Optimizer:
            share = 1.0 if interval is None else interval / (interval + 1)
            return torch.optim.Adam(network.parameters(), lr * share, (0.0, 0.99**share), 1e-8, fused=True)

        pl_interval = config.pl_interval if config.pl_weight else None
        r1_interval = config.r1_interval if config.gamma() else None
        self.optimizers = {"G": adam(G, config.lr, pl_interval), "D": adam(D, config.d_lr or config.lr, r1_interval)}
        self.phases = [Phase("G", "G", self.g_loss)]
        if pl_interval:
            self.phases.append(Phase("G path length", "G", self.path_length_loss, pl_interval))
        self.phases.append(Phase("D", "D", self.d_loss))
        if r1_interval:
            self.phases.append(Phase("D R1", "D", self.r1_loss, r1_interval))

    def g_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        c = self.one_hot(batch.labels)
        fakes = self.networks["G"].synthesis(self.draw_ws(len(batch.reals), c), "random", self.dtype)
        with torch.no_grad():
            real = self.discriminate(batch.reals, c) if self.loss.relative else None
        loss = self.loss.generator(self.discriminate(fakes, c), real).mean()
        self.fakes.append(fakes.detach())
        return loss, {"loss_G": loss}

    def path_length_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        count = max(len(batch.reals) // 2, 1)  # half a batch: the second derivative is dear
        ws = self.draw_ws(count, self.one_hot(batch.labels[:count]))
        lengths = path_lengths(self.networks["G"].synthesis(ws, "random", self.dtype), ws)
        self.pl_mean = self.pl_mean.lerp(lengths.mean().detach(), 0.01)
        penalty = (lengths - self.pl_mean).square().mean()
        return penalty * (self.config.pl_weight * self.config.pl_interval), {"path_length": lengths.mean()}

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        # departs from the paper: D sees the fakes that G just learned from, which spares one of two passes through G
        c = self.one_hot(batch.labels)
        self.fakes.append(self.fakes.pop(0))  # taken in turn, and kept for R2
        fake = self.discriminate(self.fakes[-1], c)
        real = self.discriminate(batch.reals, c)
        loss = self.loss.discriminator(real, fake).mean()
        self.strength.observe(real.detach())
        return loss, {"loss_D": loss, "score_real": real.mean(), "score_fake": fake.mean()}

    def r1_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        penalty = self.penalty(batch.reals, batch.labels)
        values = {"r1": penalty}
        if self.config.r2:
            self.fakes.append(self.fakes.pop(0))
            values["r2"] = self.penalty(self.fakes[-1], batch.labels)
        return sum(values.values()) * (self.config.gamma() / 2 * self.config.r1_interval), values

    def penalty(self, pictures: Tensor, labels: Tensor) -> Tensor:
        # departs from StyleGAN2-ADA: the gradient is taken at the augmented pictures, which is what D sees
        pictures = self.augment(pictures).detach().requires_grad_(True)
        return gradient_penalty(self.networks["D"](pictures, self.one_hot(labels)), pictures).mean()

    def draw_ws(self, count: int, c: Tensor | None) -> Tensor:
        """Styles of random pictures [count, num_ws, w_dim], some mixed of two; moves the running mean of w."""
        G = self.networks["G"]
        ws = G.mapping(torch.randn(count, G.z_dim, device=self.device), c)
        with torch.no_grad():
            G.w_avg.lerp_(ws[:, 0].detach().mean(dim=0), W_AVG_STEP)
        if self.config.style_mixing:
            other = G.mapping(torch.randn(count, G.z_dim, device=self.device), c)
            cut = torch.randint(1, G.num_ws, [count, 1], device=self.device)
            cut = torch.where(torch.rand(count, 1, device=self.device) < self.config.style_mixing, cut, G.num_ws)
            late = torch.arange(G.num_ws, device=self.device) >= cut
            ws = torch.where(late[:, :, None], other, ws)
        return ws

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
        self.networks["G"].w_avg.copy_(reduce(self.networks["G"].w_avg))
        if self.config.pl_weight:
            self.pl_mean = reduce(self.pl_mean)
        if self.config.augment == "ada":
            self.strength.adjust(step, self.config.batch, reduce)

    @torch.no_grad()
    def sample(self) -> Tensor:
        G, c = self.ema["G"], self.one_hot(self.fixed_labels)
        parts = zip(self.fixed_z.split(16), c.split(16) if c is not None else [None] * len(self.fixed_z))
        return torch.cat([G.generate(z, labels) for z, labels in parts]).cpu()

    def model(self) -> tuple[str, Config, torch.nn.Module]:
        return "stylegan2", self.ema["G"].config, self.ema["G"]

    def scalars(self) -> dict[str, float]:
        values = {"pl_mean": self.pl_mean.item()} if self.config.pl_weight else {}
        return {**values, **self.strength.scalars()} if self.config.augment == "ada" else values

    def load_scalars(self, values: dict[str, float]) -> None:
        if "pl_mean" in values:
            self.pl_mean.fill_(values["pl_mean"])
        self.strength.load_scalars(values)
