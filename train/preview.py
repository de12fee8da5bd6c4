"""What a network will see of one's pictures: made square, and changed as D is shown them."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import DataError, ImageError
from studio.images import to_pil
from studio.sources import Source, open_source
from studio.training import Preview
from train.augment import ada_augment, diff_augment
from train.data import decode
from train.recipes import LoopConfig
from train.squares import random_crops, squares_of

MAX_COUNT = 32
SQUARE_SIDE = 512  # px; recipes that learn from crops take them out of squares of this, or of the crops' own side
_SPARE = 4  # times as many files are tried, so that a few damaged ones leave no gaps


def preview(data: Path, config: LoopConfig, count: int = 8, strength: float = 0.5, seed: int = 0) -> Preview:
    """As `studio.training.Trainer.preview`. Pictures are taken evenly from the source; at most 32 are shown."""
    source = open_source(data)
    count = min(max(count, 1), MAX_COUNT)
    names, squares, skipped = [], [], {}
    for name in _evenly(source.names, count):
        try:
            squares.append(_square(source, name, config))
            names.append(name)
        except ImageError as error:
            skipped[name] = str(error)
        if len(names) == count:
            break
    if not squares:
        name, reason = next(iter(skipped.items()))
        raise DataError(f"none of {len(skipped)} pictures of {data} can be read; the first is {name}: {reason}")
    stack = torch.stack(squares).float() / 127.5 - 1
    order = sorted(range(len(names)), key=lambda i: source.names.index(names[i]))
    changed = _augmented(stack[order], config, strength, seed)
    whole = F.interpolate(stack[order], config.resolution, mode="bilinear", antialias=True).clamp(-1, 1)
    return Preview([names[i] for i in order], [to_pil(x) for x in whole], [to_pil(x) for x in changed], skipped)


def _evenly(names: list[str], count: int) -> list[str]:
    """`count` names at equal distances first, then those between them."""
    wanted = min(count * _SPARE, len(names))
    places = [i * len(names) // wanted for i in range(wanted)]
    first = places[:: max(wanted // count, 1)]
    return [names[i] for i in [*first, *(p for p in places if p not in first)]]


def _square(source: Source, name: str, config: LoopConfig) -> Tensor:
    """uint8 [C, R, R]: what recipes for generators decode, or the square that others take their crops from."""
    if hasattr(config, "channels"):
        return decode(source.read(name), config.resolution, config.channels, config.fit)
    return squares_of(source, name, max(SQUARE_SIDE, config.resolution), 1)[0]


def _augmented(pictures: Tensor, config: LoopConfig, strength: float, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if not hasattr(config, "channels"):
            return random_crops(pictures, config.resolution, config.resolution).clamp(-1, 1)
        if config.mirror:
            flipped = torch.rand(len(pictures)) < 0.5
            pictures = torch.where(flipped[:, None, None, None], pictures.flip(3), pictures)
        kind = getattr(config, "augment", "none")
        if kind == "ada":
            pictures = ada_augment(pictures, min(max(strength, 0.0), 1.0))
        elif kind == "diff":
            pictures = diff_augment(pictures)
    return pictures.clamp(-1, 1)
