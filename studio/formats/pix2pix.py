"""pix2pix's generators: U-Nets as the authors' program nests them (model.model.1 ...), and HugGAN's (down1 ... up7).

latest_net_G.pth holds one generator. HugGAN's activates features before they are passed over, and concatenates them
the other way round.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from studio.errors import CheckpointError
from studio.formats._carry import Carrier
from studio.formats._dicts import numbers, state_dicts
from studio.formats._state_dict import register
from studio.models.pix2pix import Pix2PixConfig

MAX_LEVELS = 13  # one more than ours has


def find(value: object) -> dict[str, Tensor] | None:
    """A generator's weights in what a file holds, or None."""
    for weights in state_dicts(value):
        nested = "model.model.0.weight" in weights and "model.model.3.weight" in weights
        flat = "down1.model.0.weight" in weights and "up1.model.0.weight" in weights and "final.2.weight" in weights
        if nested or flat:
            return weights
    return None


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[Pix2PixConfig, dict[str, Tensor]]:
    """Ours. Raises CheckpointError for what does not fit."""
    return _convert_flat(weights, path) if "final.2.weight" in weights else _convert_nested(weights, path)


def _convert_nested(weights: Mapping[str, Tensor], path: Path) -> tuple[Pix2PixConfig, dict[str, Tensor]]:
    carrier = Carrier(weights, path.name)
    # What was measured over training is not used: pictures are normalised by their own figures.
    carrier.drop([name for name in carrier.left if name.endswith(("running_mean", "running_var"))])
    levels = _levels(weights)
    if len(levels) < 2:
        raise CheckpointError(f"{path.name} halves its pictures once, a pix2pix twice or more; get it again")
    first = carrier.look(f"{levels[0]}0.weight")
    config = Pix2PixConfig(
        in_channels=first.shape[1],
        out_channels=carrier.look(f"{levels[0]}3.weight").shape[1],
        width=first.shape[0],
        halvings=len(levels),
        affine=f"{levels[1]}2.weight" in weights,
        bias=f"{levels[0]}0.bias" in weights,
    )
    last = len(levels) - 1
    for i, level in enumerate(levels):
        carrier.layer(f"down.{i}", f"{level}{0 if i == 0 else 1}")
        if i == 0:
            carrier.layer("picture", f"{level}3")
            continue
        up, norm = (3, 4) if i == last else (5, 6)
        carrier.layer(f"up.{last - i}", f"{level}{up}")
        if config.affine:
            carrier.layer(f"up_norms.{last - i}", f"{level}{norm}")
            if i < last:
                carrier.layer(f"down_norms.{i - 1}", f"{level}2")
    return config, carrier.finish()


def _levels(weights: Mapping[str, Tensor]) -> list[str]:
    """What the names of each level begin with, the outermost first."""
    levels, level = [], "model.model."
    while len(levels) < MAX_LEVELS and any(name.startswith(level) for name in weights):
        levels.append(level)
        level += "1.model." if len(levels) == 1 else "3.model."
    return levels


def _convert_flat(weights: Mapping[str, Tensor], path: Path) -> tuple[Pix2PixConfig, dict[str, Tensor]]:
    carrier = Carrier(weights, path.name)
    downs, ups = numbers(weights, r"down(\d+)\."), numbers(weights, r"up(\d+)\.")
    first, last = carrier.look("down1.model.0.weight"), carrier.look("final.2.weight")
    config = Pix2PixConfig(
        in_channels=first.shape[1], out_channels=last.shape[0], width=first.shape[0], halvings=len(downs),
        affine=False, early=True, last="repeated",
    )
    if len(ups) != len(downs) - 1:
        raise CheckpointError(f"{path.name} goes down {len(downs)} times and up {len(ups)}; get it again")
    for i, name in enumerate(downs):
        carrier.layer(f"down.{i}", f"down{name}.model.0")
    for i, name in enumerate(ups):
        carrier.layer(f"up.{i}", f"up{name}.model.0")
        if i:
            carrier.made[f"up.{i}.weight"] = _swapped(carrier.made[f"up.{i}.weight"], dim=0)
    carrier.layer("picture", "final.2")
    carrier.made["picture.weight"] = _swapped(carrier.made["picture.weight"], dim=1)
    return config, carrier.finish()


def _swapped(weight: Tensor, dim: int) -> Tensor:
    """The two halves of what a layer is given, the other way round."""
    return torch.cat(weight.chunk(2, dim=dim)[::-1], dim=dim)


register("pix2pix", "pix2pix", "pix2pix", find, convert)
