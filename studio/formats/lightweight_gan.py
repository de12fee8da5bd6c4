"""Checkpoints of lightweight-gan (0.16 to 1.2) and HugGAN's version of it: {"GAN": weights}; GE is the average.

Everything that the hidden .config.json beside them says follows from names and shapes. Attention is read from 0.20
on.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from studio.errors import CheckpointError
from studio.formats._carry import Carrier
from studio.formats._dicts import numbers, state_dicts, under
from studio.formats._state_dict import register
from studio.models.lightweight_gan import EXCITES, SHUFFLED, LightweightGANConfig

_LOCAL = "to_lin_q.weight"  # in attention that looks at the neighbourhood too


def find(value: object) -> dict[str, Tensor] | None:
    """The averaged generator's weights in what a file holds, or None."""
    for weights in state_dicts(value):
        found = under(weights, "GE.") or under(weights, "G.")
        if "initial_conv.0.weight" in found and "out_conv.weight" in found:
            return found
    return None


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[LightweightGANConfig, dict[str, Tensor]]:
    """Ours. Raises CheckpointError for a version that is built in another way."""
    carrier = Carrier(weights, path.name)
    layers = numbers(weights, r"layers\.(\d+)\.")
    told = {"layers.1.1.to_k.weight", "layers.1.1.dct_weights"} & set(weights)
    if "layers.1.1.net.0.weight" in weights and not told:
        raise CheckpointError(f"{path.name} was written by lightweight-gan before 0.15; give one of a later version")
    convs = [_conv(weights, i, path.name) for i in layers]
    picture = carrier.look("out_conv.weight")
    names = [name for name in weights if ".2.fn." in name]
    config = LightweightGANConfig(
        resolution=2 ** (len(layers) + 2),
        channels=1 if picture.shape[0] == 1 else 3,
        transparent=picture.shape[0] == 4,
        z_dim=carrier.look("initial_conv.0.weight").shape[0],
        widths=[weights[f"{conv}.weight"].shape[0] // 2 for conv in convs],
        attention=[2 ** (i + 2) for i in numbers(weights, r"layers\.(\d+)\.2\.")],
        attend_near=any(name.endswith(_LOCAL) for name in names) or not names,
        excitation="frequency" if any("dct_weights" in name for name in weights) else "context",
        upsampling=_upsampling(weights, convs),
        blur="layers.0.0.1.f" in weights,
        kernel=weights[f"{convs[0]}.weight"].shape[2],
        grain="layers.0.0.3.running_mean" not in weights,
    )
    carrier.drop([name for name in carrier.left if name.endswith((".0.1.f", "dct_weights"))])  # computed, not learned
    carrier.layer("start", "initial_conv.0")
    carrier.norm("start_norm", "initial_conv.1")
    for i, conv in zip(layers, convs):
        side, theirs = 2 ** (i + 3), f"layers.{i}"
        if config.upsampling in SHUFFLED:
            carrier.layer(f"up.{side}.spread", f"{theirs}.0.0.net.0")
        carrier.layer(f"up.{side}.conv", conv)
        if config.grain:
            carrier.grain(f"up.{side}.grain", side, f"{theirs}.0.3.weight")
        carrier.norm(f"up.{side}.norm", f"{theirs}.0.{4 if config.grain else 3}")
        if side // 2 in config.attention:
            carry_attention(carrier, f"attention.{side}", f"{theirs}.2", config.attend_near)
    for large, small in EXCITES.items():
        if large <= config.resolution:
            theirs = f"layers.{small.bit_length() - 4}.1"
            if config.excitation == "context":
                carrier.layer(f"excitations.{large}.place", f"{theirs}.to_k")
            carrier.layer(f"excitations.{large}.squeeze", f"{theirs}.net.0")
            carrier.layer(f"excitations.{large}.excite", f"{theirs}.net.2")
    carrier.layer("picture", "out_conv")
    return config, carrier.finish()


def carry_attention(carrier: Carrier, ours: str, theirs: str, local: bool) -> None:
    """Attention behind a normalisation, as both of lucidrains' programs have it."""
    for part, name in (("weight", "g"), ("bias", "b")):
        carrier.made[f"{ours}.norm.{part}"] = carrier.take(f"{theirs}.norm.{name}").flatten()
    everywhere = "lin_" if local else ""
    carrier.layer(f"{ours}.everywhere.query", f"{theirs}.fn.to_{everywhere}q")
    carrier.layer(f"{ours}.everywhere.around", f"{theirs}.fn.to_{everywhere}kv.net.0")
    carrier.layer(f"{ours}.everywhere.key_value", f"{theirs}.fn.to_{everywhere}kv.net.1")
    if local:
        carrier.layer(f"{ours}.near.query", f"{theirs}.fn.to_q")
        carrier.layer(f"{ours}.near.key_value", f"{theirs}.fn.to_kv")
    carrier.layer(f"{ours}.out", f"{theirs}.fn.to_out")


def _upsampling(weights: Mapping[str, Tensor], convs: list[str]) -> str:
    spread = [weights[name] for i in range(len(convs)) if (name := f"layers.{i}.0.0.net.0.weight") in weights]
    if spread:
        return "shuffle" if all(weight.shape[0] == 4 * weight.shape[1] for weight in spread) else "narrow"
    # only 0.21.0 to 0.21.2 add noise after a convolution of 3x3, and they interpolate
    small = weights[f"{convs[0]}.weight"].shape[2] == 3
    return "bilinear" if small and "layers.0.0.4.running_mean" in weights else "repeat"


def _conv(weights: Mapping[str, Tensor], i: int, what: str) -> str:
    """What a layer's convolution is called: one with an even kernel stands behind a padding."""
    for name in (f"layers.{i}.0.2.1", f"layers.{i}.0.2"):
        if f"{name}.weight" in weights and weights[f"{name}.weight"].dim() == 4:
            return name
    raise CheckpointError(f"{what} lacks layers.{i}.0.2.weight; get it again, or another version of it")


register("lightweight_gan", "lightweight-gan", "lightweight_gan", find, convert)
