"""An upscaler and denoiser (studio/models/superres.py), from good pictures that are worn on purpose.

Larger pictures are learned by a pixel loss, a perceptual one and a discriminator of patches, as Real-ESRGAN is (Wang
et al. 2021, arXiv:2107.10833). At a scale of 1 the pixel loss is alone: cleaning must not make up what is not there.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.checkpoint import load_network
from studio.config import Config, setting
from studio.errors import SettingError
from studio.library import BUNDLED
from studio.models.superres import SuperresConfig, SuperresNetwork
from studio.nn.patch_discriminator import PatchDiscriminator
from train.data import Pictures
from train.degrade import degrade
from train.losses.adversarial import LOSSES
from train.losses.inpainting import perceptual_distance
from train.losses.regularizers import gradient_penalty
from train.recipes import RECIPES, Batch, LoopConfig, Phase, Recipe
from train.showpieces import showpieces
from train.squares import open_squares, random_crops

SQUARE_SIDE = 512  # px; crops are taken out of squares of this
CLEAN = 0.15  # share of pictures without noise
SOFT = 1e-3  # of the pixel loss: smaller differences count by their squares
SHOWN = 12
SAMPLE_SIDE = 192
SAMPLE_STRENGTHS = 0.4, 0.15  # where a picture is cleaned alone, and where it is enlarged


@dataclass(frozen=True)
class UpscaleSettings(LoopConfig):
    resolution: int = setting(128, "side of the crops before they are made smaller", low=32, high=1024, unit="px")
    batch: int = setting(12, "pictures a step, over all processes, dealt out to the scales", low=2, high=1024)
    scales: tuple[int, ...] = setting((1, 2, 4), "how many times larger; 1 cleans", choices=(1, 2, 3, 4))
    width: int = setting(48, "channels", low=4, high=512, advanced=True)
    blocks: int = setting(
        6, "residual blocks of two convolutions, which all scales share", low=1, high=64, advanced=True
    )
    d_widths: tuple[int, ...] = setting(
        (32, 64, 128), "D's channels at 1/2, 1/4, 1/8 of the side", low=4, high=1024, length=3, advanced=True
    )
    lr: float = setting(0.0005, "Adam's learning rate", low=1e-7, high=0.1)
    d_lr: float = setting(0.0002, "D's own learning rate", low=1e-7, high=0.1, advanced=True)
    pixel_weight: float = setting(10.0, "how much pixels count", low=0, high=1000)
    perceptual_weight: float = setting(
        1.0, "how much the look counts, as a network sees it; 0 leaves that out", low=0, high=1000
    )
    adversarial_weight: float = setting(
        0.1, "how much the discriminator of patches counts; 0 leaves it out and saves its time", low=0, high=1000
    )
    r1_gamma: float = setting(0.1, "weight of R1", low=0, high=1e6, advanced=True)
    r1_interval: int = setting(16, "steps between two R1 steps", low=1, high=1024, advanced=True)

    changeable: ClassVar[frozenset[str]] = LoopConfig.changeable | {
        "pixel_weight", "perceptual_weight", "adversarial_weight",
    }

    def check(self) -> None:
        self.network()
        if self.batch // self.accumulate < len(self.scales):
            raise SettingError(
                f"batch={self.batch} in {self.accumulate} rounds is too few for {len(self.scales)} scales; "
                f"give {len(self.scales) * self.accumulate} or more"
            )
        for scale in self.scales:
            if self.resolution % scale:
                near = self.resolution // 12 * 12  # a multiple of every scale
                what = f"resolution={self.resolution} is no multiple of {scale}, as x{scale} needs"
                raise SettingError(f"{what}; give {near}")

    def network(self) -> SuperresConfig:
        return SuperresConfig(scales=self.scales, width=self.width, blocks=self.blocks)


@RECIPES.register("upscale")
class UpscaleRecipe(Recipe):
    settings: ClassVar[type[LoopConfig]] = UpscaleSettings
    description: ClassVar[str] = (
        "Enlarges and cleans pictures; learns from sharp photos and paintings, which it wears itself."
    )

    def __init__(self, config: UpscaleSettings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        torch.manual_seed(config.seed)
        G = SuperresNetwork(config.network()).to(device)
        D = PatchDiscriminator(widths=config.d_widths).to(device)
        self.vgg = load_network(BUNDLED / "vgg").to(device)
        self.networks = {"G": G, "D": D}
        self.ema = {"G": copy.deepcopy(G).eval().requires_grad_(False)}
        self.optimizers = {
            "G": torch.optim.Adam(G.parameters(), config.lr, (0.9, 0.99), fused=True),
            "D": torch.optim.Adam(D.parameters(), config.d_lr, (0.5, 0.99), fused=True),
        }
        self.game = LOSSES.get("non-saturating")
        self.shown: list[tuple[Tensor, Tensor]] = []  # reals and fakes of the G phase, one a round
        self.kept: list[Tensor] = []  # the reals of those, for R1
        self.phases = [Phase("G", "G", self.g_loss)]
        if config.adversarial_weight and max(config.scales) > 1:
            self.phases.append(Phase("D", "D", self.d_loss))
            if config.r1_gamma:
                self.phases.append(Phase("D R1", "D", self.r1_loss, config.r1_interval))

    @classmethod
    def open_data(cls, config: UpscaleSettings, path: Path) -> Pictures:
        return open_squares(path, max(SQUARE_SIDE, config.resolution), part="train", holdout=config.holdout)

    def g_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        c, side = self.config, self.config.resolution
        reals = random_crops(batch.reals, side, side)
        # every scale in every step: processes then agree on which weights have gradients
        parts = {scale: reals[i :: len(c.scales)] for i, scale in enumerate(c.scales)}
        worn = {scale: self.wear(part, scale) for scale, part in parts.items()}
        made, wanted = [], []  # of larger pictures
        pixels: dict[str, Tensor] = {}
        with self.precision():
            for scale, part in parts.items():
                fakes = self.networks["G"](*worn[scale], scale).float()
                pixels[f"loss_x{scale}"] = pixel_loss(fakes, part).mean()
                if scale > 1:
                    made.append(fakes)
                    wanted.append(part)
            terms = {"pixel": c.pixel_weight * torch.stack(list(pixels.values())).mean()}
            if made:
                fakes, large = torch.cat(made), torch.cat(wanted)
                if c.perceptual_weight:
                    terms["perceptual"] = c.perceptual_weight * self.look_distance(fakes, large).mean()
                if c.adversarial_weight:
                    judged = self.networks["D"](fakes)[0]
                    terms["adversarial"] = c.adversarial_weight * self.game.generator(judged, None).mean()
                    self.shown.append((large, fakes.detach()))
        loss = sum(terms.values())
        return loss, {"loss_G": loss, **{f"loss_{name}": term for name, term in terms.items()}, **pixels}

    def wear(self, pictures: Tensor, scale: int) -> tuple[Tensor, Tensor]:
        """The pictures made worse and smaller, and how much noise each has [N]."""
        strength = torch.rand(len(pictures)) * (torch.rand(len(pictures)) >= CLEAN)
        if scale > 1:
            strength = strength.square()  # what one wants larger is seldom noise alone
        return degrade(pictures.cpu(), strength, scale).to(self.device), strength.to(self.device)

    def look_distance(self, fakes: Tensor, reals: Tensor) -> Tensor:
        """Distance in the VGG's responses at half size: [N]."""
        look = lambda pictures: self.vgg(F.avg_pool2d(pictures, 2), smooth=True)
        with torch.no_grad():
            wanted = look(reals)
        return perceptual_distance(look(fakes), wanted, torch.ones_like(reals[:, :1]))

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        D = self.networks["D"]
        reals, fakes = self.shown.pop(0)
        with self.precision():
            real, fake = D(reals)[0], D(fakes)[0]
        loss = self.game.discriminator(real, fake).mean()
        self.kept.append(reals)
        return loss, {"loss_D": loss, "score_real": real.mean(), "score_fake": fake.mean()}

    def r1_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        reals = self.kept.pop(0).detach().requires_grad_(True)
        penalty = gradient_penalty(self.networks["D"](reals)[0].mean(dim=(1, 2)), reals).mean()
        return penalty * (self.config.r1_gamma / 2 * self.config.r1_interval), {"r1": penalty}

    def end_step(self, step: int, reduce: Callable[[Tensor], Tensor]) -> None:
        self.shown.clear()
        self.kept.clear()

    def precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16)

    @torch.no_grad()
    def sample(self) -> Tensor:
        """Worn, made and whole, side by side: pictures that come with the studio, the scales in turn."""
        wholes = showpieces(SHOWN, SAMPLE_SIDE)
        rows = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for i, whole in enumerate(wholes.split(1)):
                scale = self.config.scales[i % len(self.config.scales)]
                strength = torch.tensor([SAMPLE_STRENGTHS[scale > 1]])
                worn = degrade(whole, strength, scale)
                made = self.ema["G"].at(scale).upscale(worn.to(self.device), strength.to(self.device)).cpu()
                rows += [F.interpolate(worn, scale_factor=scale, mode="nearest"), made, whole]
        return torch.cat(rows)

    def model(self) -> tuple[str, Config, nn.Module]:
        return "superres", self.ema["G"].config, self.ema["G"]


def pixel_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference, softened around 0 (Charbonnier; Lai et al. 2017, arXiv:1704.03915, eq. 2): [N]."""
    return ((made - wanted).square() + SOFT**2).sqrt().mean(dim=(1, 2, 3))
