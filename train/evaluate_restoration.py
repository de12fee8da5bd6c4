"""Measure networks that restore, on pictures held out of their training and damaged on purpose, beside plain ways.

Figures whose names begin with "biharmonic-", "bicubic-" or "noisy-" are of filling a hole as a smooth surface, of plain
enlarging, and of leaving the noise alone.
"""

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.biharmonic import biharmonic
from studio.capabilities import DamageDetector, Inpainter, Upscaler
from studio.models.damage import CLASSES
from studio.models.superres import SuperresNetwork
from studio.suggestion import SuggestSettings
from train.ageing import age
from train.damage import MAX_AREA, draw_kind
from train.degrade import MAX_SIGMA
from train.drawing import fixed_shuffle
from train.restoration_metrics import LEVELS, Tally, psnr
from train.squares import open_squares

SIDE = 256  # px; holes are filled in squares of this
LARGE_SIDE = 512  # px; squares in which damage is looked for, and which enlarging should give back
KINDS = {"cracks": "craquelure", "losses": "losses", "boxes": "boxes"}  # as figures and as train/damage.py call them
SIGMA = 20 / 255  # of the noise that is to be removed
LEVEL = round(SuggestSettings().threshold * (LEVELS - 1))  # from which the studio takes it for damage

Figures = dict[str, float]
Measure = Callable[[Tensor, int], Figures]  # of a picture [1, 3, S, S] in [-1, 1] and what decides how it is damaged


def can_evaluate(network: nn.Module) -> bool:
    return isinstance(network, (Inpainter, DamageDetector, Upscaler))


@torch.inference_mode()
def evaluate_restoration(
    network: nn.Module, settings: Mapping[str, Any], data: Path, *, pictures: int, seed: int, device: torch.device
) -> Figures:
    """Means over at most `pictures` squares: PSNR in dB within holes by their kind, F1 of each kind of damage, or PSNR
    of enlarging and of denoising.

    `settings` are those of the training: what it held out of `data` is measured on. The network is on `device`.
    Raises StudioError.
    """
    holdout = settings.get("holdout", 0.0)
    side = SIDE if isinstance(network, Inpainter) else LARGE_SIDE
    squares = open_squares(data, side, part="held-out" if holdout else "all", holdout=holdout)
    chosen = [squares.load([place]).float() / 127.5 - 1 for place in fixed_shuffle(squares, pictures)]
    if isinstance(network, DamageDetector):
        return {"pictures": len(chosen), **_found(network, chosen, seed, device)}
    if isinstance(network, Inpainter):
        measure: Measure = lambda picture, number: filled(network, picture, number, device)
    else:
        measure = lambda picture, number: enlarged(network, picture, number, device)
    each = [measure(picture, seed + number) for number, picture in enumerate(chosen)]
    return {"pictures": len(chosen), **{name: statistics.fmean(of[name] for of in each) for name in each[0]}}


def filled(network: Inpainter, picture: Tensor, number: int, device: torch.device) -> Figures:
    """PSNR within a hole of each of KINDS, and of the same holes filled as smooth surfaces."""
    figures = {}
    for i, (name, kind) in enumerate(KINDS.items()):
        mask = draw_hole(kind, np.random.default_rng([number, i]), picture.shape[2])
        found = network.fill(picture.to(device), mask.to(device)).float().cpu()
        figures[f"{name}-PSNR"] = psnr(found, picture, mask)
        figures[f"biharmonic-{name}-PSNR"] = psnr(biharmonic(picture, mask.bool()).clamp(-1, 1), picture, mask)
    return figures


def draw_hole(kind: str, random: np.random.Generator, side: int) -> Tensor:
    """[1, 1, side, side] of float32 in {0, 1}: at most MAX_AREA of it a hole, and never none."""
    while True:
        mask = draw_kind(kind, random, side, side)
        if 0 < mask.mean() <= MAX_AREA:
            return torch.from_numpy(mask)[None, None].float()


def _found(network: DamageDetector, pictures: list[Tensor], seed: int, device: torch.device) -> Figures:
    """F1 of each kind of damage over all pixels of aged pictures, within 2 px, at the studio's threshold."""
    tallies = {name: Tally(tolerance=2) for name in CLASSES if name in network.classes}
    for number, picture in enumerate(pictures):
        aged, truth = age(np.random.default_rng([seed, number]), (picture[0].numpy() + 1) / 2)
        likely = network.detect(torch.from_numpy(aged)[None].to(device) * 2 - 1)[0]
        levels = likely.clamp(0, 1).mul(255).round().byte().cpu().numpy()
        for name, tally in tallies.items():
            tally.add(levels[network.classes.index(name)], truth[CLASSES.index(name)])
    return {f"{name}-F1": tally.scores(LEVEL)["F1"] for name, tally in tallies.items()}


def enlarged(network: Upscaler, picture: Tensor, number: int, device: torch.device) -> Figures:
    """PSNR at each of the network's scales, and of removing noise if it can, beside bicubic and the noisy picture."""
    figures, whole = {}, torch.ones_like(picture[:, :1])
    scales = network.config.scales if isinstance(network, SuperresNetwork) else (network.scale,)
    for scale in scales:
        one = network.at(scale) if isinstance(network, SuperresNetwork) else network
        if scale == 1:
            noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(number))
            worn, name, strength = (picture + 2 * SIGMA * noise).clamp(-1, 1), "denoise", SIGMA / MAX_SIGMA
            plainly = {"noisy-PSNR": psnr(worn, picture, whole)}
        else:
            worn = F.interpolate(picture, scale_factor=1 / scale, mode="bicubic", antialias=True).clamp(-1, 1)
            larger = F.interpolate(worn, size=picture.shape[2:], mode="bicubic").clamp(-1, 1)
            name, strength, plainly = f"x{scale}", 0.0, {f"bicubic-x{scale}-PSNR": psnr(larger, picture, whole)}
        made = one.upscale(worn.to(device), torch.tensor([strength], device=device)).float().cpu()
        figures[f"{name}-PSNR"] = psnr(_of_size(made, picture), picture, whole)
        figures |= plainly
    return figures


def _of_size(made: Tensor, wanted: Tensor) -> Tensor:
    """A scale of 3 leaves a pixel of a square over."""
    same = made.shape == wanted.shape
    return made if same else F.interpolate(made, size=wanted.shape[2:], mode="bicubic")
