"""BigGAN-deep as pytorch-pretrained-biggan writes it: weights named embeddings, generator.layers.0 ...

All of the config.json beside it follows from names and shapes: blocks keep the side and double it in turn.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from studio.errors import CheckpointError
from studio.formats._carry import Carrier
from studio.formats._dicts import numbers, state_dicts
from studio.formats._state_dict import register
from studio.models.biggan import BigGANConfig

_ATTENTION = {"query": "theta", "key": "phi", "value": "g", "out": "o_conv"}


def find(value: object) -> dict[str, Tensor] | None:
    """The generator's weights in what a file holds, or None."""
    for weights in state_dicts(value):
        if "embeddings.weight" in weights and "generator.bn.running_means" in weights:
            return weights
    return None


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[BigGANConfig, dict[str, Tensor]]:
    """Ours. Raises CheckpointError for what does not fit."""
    carrier = Carrier(weights, path.name)
    layers = numbers(carrier.left, r"generator\.layers\.(\d+)\.")
    attention = [i for i in layers if f"generator.layers.{i}.gamma" in carrier.left]
    blocks = [i for i in layers if i not in attention]
    if len(attention) > 1 or len(blocks) % 2:
        found = f"{path.name} has {len(blocks)} blocks and {len(attention)} attentions"
        raise CheckpointError(f"{found}; give BigGAN-deep's weights")
    maps = [carrier.look(f"generator.layers.{i}.conv_3.weight").shape[0] for i in blocks]
    width = carrier.look("generator.conv_to_rgb.weight").shape[1]
    embed, start = carrier.take("embeddings.weight"), carrier.take("generator.gen_z.weight")
    config = BigGANConfig(
        resolution=2 ** (2 + len(blocks) // 2),
        classes=embed.shape[1],
        z_dim=embed.shape[0],
        width=width,
        widths=[count // width for count in (start.shape[0] // 16, *maps)],
        attention=attention[0] if attention else len(blocks),
        measured=carrier.look("generator.bn.running_means").shape[0],
    )
    carrier.made["embed.weight"] = embed
    # there the 4x4 places come before the feature maps
    carrier.made["start.weight"] = start.unflatten(0, (4, 4, -1)).permute(2, 0, 1, 3).flatten(0, 2)
    bias = carrier.take("generator.gen_z.bias").unflatten(0, (4, 4, -1))
    carrier.made["start.bias"] = bias.permute(2, 0, 1).flatten()
    for ours, i in enumerate(blocks):
        theirs = f"generator.layers.{i}"
        for n in range(4):
            _measured(carrier, f"blocks.{ours}.norms.{n}", f"{theirs}.bn_{n}")
            for mine, name in (("scale", "scale"), ("shift", "offset")):
                carrier.layer(f"blocks.{ours}.norms.{n}.{mine}", f"{theirs}.bn_{n}.{name}")
            carrier.layer(f"blocks.{ours}.convs.{n}", f"{theirs}.conv_{n}")
    for i in attention:
        for mine, name in _ATTENTION.items():
            carrier.layer(f"attention.{mine}", f"generator.layers.{i}.snconv1x1_{name}")
        carrier.made["attention.gain"] = carrier.take(f"generator.layers.{i}.gamma").reshape([])
    _measured(carrier, "norm", "generator.bn")
    carrier.layer("norm", "generator.bn")
    # it makes as many channels as it is given, of which three are shown
    for part in ("weight", "bias"):
        carrier.made[f"picture.{part}"] = carrier.take(f"generator.conv_to_rgb.{part}")[:3].clone()
    return config, carrier.finish()


def _measured(carrier: Carrier, ours: str, theirs: str) -> None:
    carrier.made[f"{ours}.mean"] = carrier.take(f"{theirs}.running_means")
    carrier.made[f"{ours}.variance"] = carrier.take(f"{theirs}.running_vars")


register("biggan", "BigGAN-deep", "biggan", find, convert)
