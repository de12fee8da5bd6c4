"""A damage detector (studio/models/damage.py), from pictures without damage, on which damage is drawn."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models.damage import CLASSES, DamageConfig, DamageNetwork
from train.ageing import age_all
from train.data import Pictures
from train.losses.segmentation import cross_entropy, dice_loss, f1_score
from train.recipes import RECIPES, Batch, LoopConfig, Phase, Recipe
from train.showpieces import showpieces
from train.squares import open_squares, random_crops

SQUARE_SIDE = 512  # px; crops are taken out of squares of this
SHOWN = 12
SAMPLE_SIDE = 192
COLOURS = ((1, -1, -1), (-1, 1, -1), (-1, -0.4, 1), (1, 1, -1))  # of the classes in samples, in [-1, 1]


@dataclass(frozen=True)
class DamageSettings(LoopConfig):
    resolution: int = setting(256, "side of the crops", low=32, high=1024, unit="px")
    batch: int = setting(6, "pictures a step, over all processes", low=2, high=1024)
    widths: tuple[int, ...] = setting(
        (16, 24, 32, 48, 64, 96), "channels at 1, 1/2, 1/4 ... of the side", low=4, high=1024, advanced=True
    )
    lr: float = setting(0.002, "Adam's learning rate", low=1e-7, high=0.1)
    rarity: float = setting(
        3.0, "how many pixels without damage one with damage counts as", low=0.1, high=100, advanced=True
    )
    dice_weight: float = setting(0.5, "how much the areas' overlap counts", low=0, high=1000, advanced=True)

    changeable: ClassVar[frozenset[str]] = LoopConfig.changeable | {"rarity", "dice_weight"}

    def network(self) -> DamageConfig:
        return DamageConfig(widths=self.widths)


@RECIPES.register("damage")
class DamageRecipe(Recipe):
    settings: ClassVar[type[LoopConfig]] = DamageSettings
    description: ClassVar[str] = "Finds cracks, losses, stains and folds; learns from undamaged photos and paintings."

    def __init__(self, config: DamageSettings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        torch.manual_seed(config.seed)
        network = DamageNetwork(config.network()).to(device)
        self.networks = {"detector": network}
        self.ema = {"detector": copy.deepcopy(network).eval().requires_grad_(False)}
        adam = torch.optim.AdamW(network.parameters(), config.lr, (0.9, 0.99), weight_decay=1e-4, fused=True)
        self.optimizers = {"detector": adam}
        self.phases = [Phase("detector", "detector", self.loss)]

    @classmethod
    def open_data(cls, config: DamageSettings, path: Path) -> Pictures:
        return open_squares(path, max(SQUARE_SIDE, config.resolution), part="train", holdout=config.holdout)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        c, side = self.config, self.config.resolution
        aged, labels = (t.to(self.device) for t in age_all(random_crops(batch.reals, side, side)))
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16):
            logits = self.networks["detector"](aged).float()
        entropy, dice = cross_entropy(logits, labels, c.rarity).mean(), dice_loss(logits, labels).mean()
        loss = entropy + c.dice_weight * dice
        scores = f1_score(logits.detach().sigmoid(), labels)
        values = {f"f1_{name}": score for name, score in zip(CLASSES, scores)}
        return loss, {"loss": loss, "loss_entropy": entropy, "loss_dice": dice, **values}

    def sample(self) -> Tensor:
        return findings(self.ema["detector"], self.device)

    def model(self) -> tuple[str, Config, nn.Module]:
        return "damage", self.ema["detector"].config, self.ema["detector"]


@torch.no_grad()
def findings(network: DamageNetwork, device: torch.device = torch.device("cpu")) -> Tensor:
    """Damaged, what was damaged, and what the network says, side by side: pictures that come with the studio."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        aged, labels = age_all(showpieces(SHOWN, SAMPLE_SIDE))
    found = torch.cat([network.detect(part.to(device)) for part in aged.split(4)]).cpu()
    return torch.stack([aged, paint_classes(aged, labels), paint_classes(aged, found)], dim=1).flatten(0, 1)


def paint_classes(pictures: Tensor, shares: Tensor) -> Tensor:
    """Each of COLOURS over dimmed greys of pictures [N, 3, H, W], as far as shares [N, 4, H, W] say."""
    painted = pictures.mean(dim=1, keepdim=True).expand_as(pictures) * 0.3 - 0.5
    for colour, share in zip(COLOURS, shares.split(1, dim=1)):
        painted = painted + (pictures.new_tensor(colour)[:, None, None] - painted) * share
    return painted
