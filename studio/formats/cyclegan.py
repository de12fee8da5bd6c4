"""CycleGAN's and CUT's generators, as their authors' programs and HugGAN's write them: weights named model.1 ...

latest_net_G_A.pth, 200_net_G.pth ... hold one generator each. How the side is halved and doubled follows from which
numbers have weights, as a filter takes a number of its own.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from studio.errors import CheckpointError
from studio.formats._carry import Carrier
from studio.formats._dicts import numbers, state_dicts
from studio.formats._state_dict import register
from studio.models.cyclegan import CycleGANConfig, CycleGANGenerator

_BLOCK = ("conv_block", "block")
_DROPPED = 6  # a block's second convolution, where dropout stands before it


def find(value: object) -> dict[str, Tensor] | None:
    """A generator's weights in what a file holds, or None."""
    for weights in state_dicts(value):
        first = weights.get("model.1.weight")
        inner = [name for name in weights if name.count(".") > 2 and name.split(".")[2] in _BLOCK]
        if first is not None and first.dim() == 4 and first.shape[2:] == (7, 7) and inner:
            return weights
    return None


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[CycleGANConfig, dict[str, Tensor]]:
    """Ours, whose layers stand in the same order. Raises CheckpointError for what does not fit."""
    carrier = Carrier(weights, path.name)
    plain = [i for i in numbers(weights, r"model\.(\d+)\.weight") if weights[f"model.{i}.weight"].dim() == 4]
    if len(plain) != 6:
        found = f"{path.name} has {len(plain)} convolutions besides its blocks"
        raise CheckpointError(f"{found}, a CycleGAN 6; give another file")
    shapes = [tuple(weights[f"model.{i}.weight"].shape) for i in plain]
    grown = [i for i in numbers(weights, r"model\.(\d+)\.filt") if i > plain[2] + 3]
    config = CycleGANConfig(
        in_channels=shapes[0][1],
        out_channels=shapes[5][0],
        width=shapes[0][0],
        blocks=len(numbers(weights, r"model\.(\d+)\.(?:conv_)?block\.")),
        down="filtered" if plain[2] - plain[1] == 4 else "strided",
        up="strided" if shapes[3][0] == shapes[2][0] else "filtered" if grown else "repeated",
        affine="model.2.weight" in weights,
    )
    # Filters are computed. What was measured over training is not used: pictures are normalised by their own figures.
    carrier.drop([name for name in carrier.left if name.endswith((".filt", "running_mean", "running_var"))])
    for name in list(carrier.left):
        if match := re.fullmatch(r"model\.(\d+)\.(?:conv_)?block\.(\d+)(\..*)", name):
            place = int(match[2]) - (int(match[2]) in (_DROPPED, _DROPPED + 1) and _has_dropout(weights))
            carrier.made[f"layers.{match[1]}.layers.{place}{match[3]}"] = carrier.take(name)
        elif match := re.fullmatch(r"model\.(\d+\..*)", name):
            carrier.made[f"layers.{match[1]}"] = carrier.take(name)
    if config.affine:  # then convolutions have no bias of their own
        with torch.device("meta"):
            expected = CycleGANGenerator(config).state_dict()
        biases = {name: torch.zeros(like.shape) for name, like in expected.items() if name.endswith(".bias")}
        carrier.made = {**biases, **carrier.made}
    return config, carrier.finish()


def _has_dropout(weights: Mapping[str, Tensor]) -> bool:
    second = re.compile(rf"model\.\d+\.conv_block\.{_DROPPED}\.weight")
    return any(second.fullmatch(name) and weight.dim() == 4 for name, weight in weights.items())


register("cyclegan", "CycleGAN or CUT", "cyclegan", find, convert)
