"""An inpainting network (studio/models/inpaint.py), from photos and paintings in which holes are drawn.

Losses follow LaMa (Suvorov et al. 2022, arXiv:2109.07161, section 2.3): a discriminator of patches with R1, its
responses matched, a perceptual distance. What departs from it: the pixels of the hole count, and not the known ones:
the network has no other task, and a pixel loss where the answer is unknown is what keeps the tone. Every picture
counts alike, however small its hole: a mean over the batch would forget cracks.
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
from studio.models.inpaint import MULTIPLE, InpaintConfig, InpaintNetwork, wide
from studio.nn.patch_discriminator import PatchDiscriminator
from train.damage import SHARES, draw_masks
from train.data import Pictures
from train.losses.adversarial import LOSSES
from train.losses.inpainting import at_size, hole_distance, hole_mean, hole_psnr_loss, perceptual_distance
from train.losses.regularizers import gradient_penalty
from train.muon import Muon
from train.recipes import RECIPES, Batch, LoopConfig, Phase, Recipe
from train.showpieces import showpieces
from train.squares import open_squares, random_crops

SQUARE_SIDE = 512  # px; crops are taken out of squares of this
FINE = {"reduction": 2, "kernel": "bicubic"}  # of crops for cracks, which are a few pixels of what people look at
NEAR_LAYER = "relu2_1"  # of the VGG at full size; the deeper layers see enough at half size
HOLES = {
    "all": SHARES, "cracks": {"craquelure": 1.0}, "wide": {"losses": 0.5, "strokes": 0.3, "boxes": 0.2},
}
SHOWN = 12
SAMPLE_SIDE = 192


@dataclass(frozen=True)
class InpaintSettings(LoopConfig):
    resolution: int = setting(128, "side of the crops", low=32, high=1024, unit="px")
    batch: int = setting(8, "pictures a step, over all processes", low=2, high=1024)
    widths: tuple[int, ...] = setting(
        (16, 32, 64, 128), "channels at 1, 1/2, 1/4, 1/8 of the side", low=4, high=1024, length=4, advanced=True
    )
    blocks: int = setting(10, "residual blocks", low=1, high=64, advanced=True)
    detail: int = setting(48, "channels of the details at 1/2 of the side", low=4, high=512, advanced=True)
    detail_blocks: int = setting(6, "residual blocks of the details", low=1, high=64, advanced=True)
    d_widths: tuple[int, ...] = setting(
        (32, 64, 128), "D's channels at 1/2, 1/4, 1/8 of the side", low=4, high=1024, length=3, advanced=True
    )
    crops: int = setting(1, "crops of each picture in a step", low=1, high=64, advanced=True)
    holes: str = setting(
        "all", "cracks teaches the details alone, several times as fast, and wide what draws wide holes alone",
        choices=list(HOLES),
    )
    lr: float = setting(0.0005, "learning rate of G", low=1e-7, high=0.1)
    optimizer: str = setting(
        "adam", "what follows the gradients of G; muon gets further in as many steps on cracks",
        choices=["adam", "muon"], advanced=True,
    )
    d_lr: float = setting(0.0002, "D's own learning rate", low=1e-7, high=0.1, advanced=True)
    hole_weight: float = setting(10.0, "how much the pixels of the hole count", low=0, high=1000)
    hole_squares: bool = setting(
        False, "their squares count, picture by picture as PSNR: a little softer, for cracks", advanced=True
    )
    perceptual_weight: float = setting(
        2.0, "how much its look counts, as a network sees it; 0 leaves that out", low=0, high=1000
    )
    perceptual_full: bool = setting(
        False, "that network looks at full size, too; on a CPU that doubles the time", advanced=True
    )
    adversarial_weight: float = setting(
        0.5, "how much the discriminator of patches counts; 0 leaves it out and saves its time", low=0, high=1000
    )
    matching_weight: float = setting(10.0, "how much its responses count", low=0, high=1000, advanced=True)
    r1_gamma: float = setting(0.1, "weight of R1", low=0, high=1e6, advanced=True)
    r1_interval: int = setting(16, "steps between two R1 steps", low=1, high=1024, advanced=True)

    changeable: ClassVar[frozenset[str]] = LoopConfig.changeable | {
        "hole_weight", "hole_squares", "perceptual_weight", "perceptual_full", "adversarial_weight", "matching_weight",
    }

    def check(self) -> None:
        if self.resolution % MULTIPLE:
            near = self.resolution // MULTIPLE * MULTIPLE
            raise SettingError(f"resolution={self.resolution} is no multiple of {MULTIPLE}; give {near}")

    def network(self) -> InpaintConfig:
        return InpaintConfig(
            widths=self.widths, blocks=self.blocks, detail=self.detail, detail_blocks=self.detail_blocks
        )


@RECIPES.register("inpaint")
class InpaintRecipe(Recipe):
    settings: ClassVar[type[LoopConfig]] = InpaintSettings
    description: ClassVar[str] = (
        "Fills in cracks, losses and holes of any shape; learns from undamaged photos and paintings."
    )

    def __init__(self, config: InpaintSettings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        torch.manual_seed(config.seed)
        G = InpaintNetwork(config.network()).to(device)
        learning = list(G.parameters())
        if config.holes == "cracks":
            learning = list(G.details.parameters())
        elif config.holes == "wide":
            learning = [*G.body.parameters(), *G.draw.parameters()]
        D = PatchDiscriminator(widths=config.d_widths).to(device)
        self.vgg = load_network(BUNDLED / "vgg").to(device)
        self.networks = {"G": G, "D": D}
        self.ema = {"G": copy.deepcopy(G).eval().requires_grad_(False)}
        self.optimizers = {
            "G": self.optimizer(learning),
            "D": torch.optim.Adam(D.parameters(), config.d_lr, (0.5, 0.99), fused=True),
        }
        self.game = LOSSES.get("non-saturating")
        self.shown: list[tuple[Tensor, Tensor, Tensor]] = []  # reals, fills and masks of the G phase, one a round
        self.kept: list[Tensor] = []  # the reals of those, for R1
        self.phases = [Phase("G", "G", self.g_loss)]
        if config.adversarial_weight:
            self.phases.append(Phase("D", "D", self.d_loss))
            if config.r1_gamma:
                self.phases.append(Phase("D R1", "D", self.r1_loss, config.r1_interval))

    def optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        rate, betas = self.config.lr, (0.9, 0.99)
        if self.config.optimizer == "muon":
            return Muon(parameters, rate, betas)
        return torch.optim.Adam(parameters, rate, betas, fused=True)

    @classmethod
    def open_data(cls, config: InpaintSettings, path: Path) -> Pictures:
        return open_squares(path, max(SQUARE_SIDE, config.resolution), part="train", holdout=config.holdout)

    def g_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        c, side = self.config, self.config.resolution
        reals = random_crops(batch.reals, side, side, c.crops, **(FINE if c.holes == "cracks" else {}))
        masks = self.draw_masks(len(reals), side).to(self.device)
        with self.precision():
            fills = self.networks["G"](reals, masks, c.holes == "cracks").float()
            distance = hole_psnr_loss if c.hole_squares else hole_distance
            terms = {"hole": c.hole_weight * distance(fills, reals, masks).mean()}
            # what is beyond white or black is cut off, and would teach nothing by itself
            terms["range"] = hole_mean((fills.abs() - 1).clamp(min=0), masks).mean()
            if c.perceptual_weight:
                terms["perceptual"] = c.perceptual_weight * self.look_distance(fills, reals, masks).mean()
            if c.adversarial_weight:
                D = self.networks["D"]
                judged, found = D(fills)
                terms["adversarial"] = c.adversarial_weight * hole_mean(
                    self.game.generator(judged, None)[:, None], at_size(masks, judged)
                ).mean()
                if c.matching_weight:
                    with torch.no_grad():
                        wanted = D(reals)[1]
                    apart = [hole_distance(a, b, at_size(masks, a)).mean() for a, b in zip(found, wanted)]
                    terms["matching"] = c.matching_weight * torch.stack(apart).mean()
                self.shown.append((reals, fills.detach(), masks))
        loss = sum(terms.values())
        return loss, {"loss_G": loss, **{f"loss_{name}": term for name, term in terms.items()}}

    def draw_masks(self, count: int, side: int) -> Tensor:
        masks = draw_masks(count, side, side, HOLES[self.config.holes])
        return masks - wide(masks) if self.config.holes == "cracks" else masks  # cracks are wide where they meet

    def look_distance(self, fills: Tensor, reals: Tensor, masks: Tensor) -> Tensor:
        """Distance in the VGG's responses at half size, or the mean of that and of the one at full size: [N]."""
        found, wanted = self.look(fills), self.look(reals)
        return sum(perceptual_distance(a, b, masks) for a, b in zip(found, wanted)) / len(found)

    def look(self, pictures: Tensor) -> list[dict[str, Tensor]]:
        half = self.vgg(F.avg_pool2d(pictures, 2), smooth=True)
        return [half, self.vgg(pictures, last=NEAR_LAYER, smooth=True)] if self.config.perceptual_full else [half]

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        D = self.networks["D"]
        reals, fills, masks = self.shown.pop(0)
        with self.precision():
            real, fake = D(reals)[0], D(fills)[0]
        # departs from LaMa, which has D call all other patches real: most are, and it would call everything real
        mean = lambda values: hole_mean(values[:, None], at_size(masks, values)).mean()
        loss = mean(self.game.discriminator(real, fake))
        self.kept.append(reals)
        scores = {"score_real": mean(real), "score_fake": mean(fake)}
        return loss, {"loss_D": loss, **scores}

    def r1_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        reals = self.kept.pop(0).detach().requires_grad_(True)
        logits = self.networks["D"](reals)[0]
        # departs from the paper, which sums: a mean over patches does not depend on the crops' size
        penalty = gradient_penalty(logits.mean(dim=(1, 2)), reals).mean()
        return penalty * (self.config.r1_gamma / 2 * self.config.r1_interval), {"r1": penalty}

    def end_step(self, step: int, reduce: Callable[[Tensor], Tensor]) -> None:
        self.shown.clear()
        self.kept.clear()

    def precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16)

    @torch.no_grad()
    def sample(self) -> Tensor:
        """Damaged, filled and whole, side by side: pictures that come with the studio, with holes of every kind."""
        wholes = showpieces(SHOWN, SAMPLE_SIDE)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            masks = draw_masks(SHOWN, SAMPLE_SIDE, SAMPLE_SIDE)
        G, parts = self.ema["G"], zip(wholes.to(self.device).split(4), masks.to(self.device).split(4))
        fills = torch.cat([G.fill(*part) for part in parts]).cpu()
        damaged = torch.where(masks > 0, 1.0, wholes)
        return torch.stack([damaged, fills, wholes], dim=1).flatten(0, 1)

    def model(self) -> tuple[str, Config, nn.Module]:
        return "inpaint", self.ema["G"].config, self.ema["G"]
