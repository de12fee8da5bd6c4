"""StyleGAN2 on one's own pictures (Karras et al. 2020, arXiv:1912.04958), with adaptive augmentation for small sets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from studio.config import Config, setting
from studio.errors import SettingError
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from train.adversarial import AdversarialRecipe, AdversarialSettings
from train.data import Pictures
from train.losses.adversarial import losses
from train.losses.regularizers import path_lengths
from train.recipes import RECIPES, Batch, Phase
from train.together import average

W_AVG_STEP = 0.002  # the running mean of w moves by this share a batch


@dataclass(frozen=True)
class StyleGAN2Settings(AdversarialSettings):
    w_dim: int = setting(512, "size of a style w", low=1, high=8192, advanced=True)
    mapping_layers: int = setting(8, "fully connected layers from z to w", low=1, high=16, advanced=True)
    channel_base: int = setting(32768, "feature maps of a layer: this over its resolution ...", low=16, high=262_144)
    channel_max: int = setting(512, "... but at most this many", low=1, high=4096)
    loss: str = setting("non-saturating", "what G and D play for", choices=losses(clipping=False), advanced=True)
    r1_gamma: float | None = setting(
        None, "weight of R1; none: 0.0002 * resolution^2 / batch, as StyleGAN2-ADA chooses", low=0, high=1e6
    )
    pl_weight: float = setting(
        0.0, "weight of path length regularisation; 2 in the paper", low=0, high=1000, advanced=True
    )
    pl_interval: int = setting(4, "steps between two path length steps", low=1, high=1024, advanced=True)
    mbstd_group: int = setting(4, "pictures whose sameness D sees together", low=1, high=1024, advanced=True)
    mbstd_features: int = setting(
        1, "numbers that say how alike they are; one for each channel at 4x4 stops a collapse in a short training",
        low=1, high=4096, advanced=True,
    )
    style_mixing: float = setting(0.5, "share of pictures made from two styles", low=0, high=1, advanced=True)

    def check(self) -> None:
        super().check()
        width = self.network(0).channels_at(4)
        if width % self.mbstd_features:
            raise SettingError(
                f"mbstd_features={self.mbstd_features} does not divide the {width} channels at 4x4; give 1, {width} "
                "or a divisor between"
            )

    def default_gamma(self) -> float:
        return 0.0002 * self.resolution**2 / self.batch

    def network(self, classes: int) -> StyleGAN2Config:
        """The generator's settings."""
        names = ("resolution", "channels", "z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max")
        return StyleGAN2Config(classes=classes, **{name: getattr(self, name) for name in names})


@RECIPES.register("stylegan2")
class StyleGAN2Recipe(AdversarialRecipe):
    settings: ClassVar[type[AdversarialSettings]] = StyleGAN2Settings
    description: ClassVar[str] = (
        "The best pictures and the best sliders, from some hundred pictures on; choose it first."
    )

    def __init__(self, config: StyleGAN2Settings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(config, pictures, device, dtype)
        self.pl_mean = torch.zeros([], device=device)
        if interval := self.g_interval():
            self.phases.insert(1, Phase("G path length", "G", self.path_length_loss, interval, config.clip_grad))

    def build(self) -> tuple[nn.Module, nn.Module]:
        network = self.config.network(self.classes)
        return StyleGAN2Generator(network), self.discriminator(network)

    def discriminator(self, network: StyleGAN2Config) -> nn.Module:
        return StyleGAN2Discriminator(network, self.config.mbstd_group, self.config.mbstd_features)

    def g_interval(self) -> int | None:
        return self.config.pl_interval if self.config.pl_weight else None

    def draw(self, count: int, c: Tensor | None) -> Tensor:
        return self.networks["G"].synthesis(self.draw_ws(count, c), "random", self.dtype)

    def path_length_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        count = max(len(batch.reals) // 2, 1)  # half a batch: the second derivative is dear
        ws = self.draw_ws(count, self.one_hot(batch.labels[:count]))
        lengths = path_lengths(self.networks["G"].synthesis(ws, "random", self.dtype), ws)
        self.pl_mean = self.pl_mean.lerp(average(lengths.mean().detach()), 0.01)
        penalty = (lengths - self.pl_mean).square().mean()
        return penalty * (self.config.pl_weight * self.config.pl_interval), {"path_length": lengths.mean()}

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

    @torch.no_grad()
    def grow(self, anew: Mapping[str, list[str]]) -> None:
        # A larger model begins with the smaller one's picture, enlarged, rather than with noise painted over it.
        for key, G in (("G", self.networks["G"]), ("ema.G", self.ema["G"])):
            for name in anew[key]:
                if name.endswith("torgb.weight"):
                    G.get_parameter(name).zero_()

    def end_step(self, step: int, reduce: Callable[[Tensor], Tensor]) -> None:
        super().end_step(step, reduce)
        self.networks["G"].w_avg.copy_(reduce(self.networks["G"].w_avg))
        if self.config.pl_weight:
            self.pl_mean = reduce(self.pl_mean)

    def model(self) -> tuple[str, Config, nn.Module]:
        return "stylegan2", self.ema["G"].config, self.ema["G"]

    def scalars(self) -> dict[str, float]:
        values = {"pl_mean": self.pl_mean.item()} if self.config.pl_weight else {}
        return {**values, **super().scalars()}

    def load_scalars(self, values: dict[str, float]) -> None:
        super().load_scalars(values)
        if "pl_mean" in values:
            self.pl_mean.fill_(values["pl_mean"])
