"""What the programs that write FastGANs have in common: the table of the paper, with and without noise."""

from collections.abc import Callable

import torch

from studio.formats._carry import Carrier
from studio.models.fastgan import FastGANConfig


def carry(carrier: Carrier, config: FastGANConfig, theirs: Callable[[str, int], str]) -> None:
    """Carries a whole generator over. theirs(part, side) says what a part is called there.

    Parts: start, start_norm, picture; conv0, conv1, norm0, norm1, grain0, grain1; squeeze, excite.
    """
    carrier.layer("start", theirs("start", 4))
    carrier.norm("start_norm", theirs("start_norm", 4))
    sides = [2**i for i in range(3, config.resolution.bit_length())]
    for i, side in enumerate(sides):
        layers = 2 - i % 2
        for n in range(layers):
            ours = f"up.{side}.layers.{n}"
            carrier.layer(f"{ours}.conv", theirs(f"conv{n}", side))
            carrier.grain(f"{ours}.grain", side, theirs(f"grain{n}", side) if layers == 2 else None)
            carrier.norm(f"{ours}.norm", theirs(f"norm{n}", side))
        if 64 <= side <= config.last_excited:
            for part in ("squeeze", "excite"):
                made = f"excitations.{side}.{part}"
                carrier.layer(made, theirs(part, side))
                carrier.made[f"{made}.bias"] = torch.zeros(len(carrier.made[f"{made}.weight"]))
    carrier.layer("picture", theirs("picture", config.resolution), bias=config.channels)
