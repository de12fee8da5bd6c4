"""Checkpoints of the program stylegan2-pytorch: {"GAN": weights}, of which SE and GE are the moving average.

All of the hidden .config.json beside them follows from names and shapes, but for how much the mapping's weights
count, which is 0.1 unless it was asked for otherwise.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from studio.formats._carry import Carrier, generator
from studio.formats._dicts import numbers, state_dicts, under
from studio.formats._state_dict import register
from studio.formats.lightweight_gan import carry_attention
from studio.models.stylegan2_light import LightStyleGAN2Config, Mapping as MappingNetwork

SAMPLES = 10_000  # of w, for their mean
_MAX_CONFIG_BYTES = 1 << 16


def find(value: object) -> dict[str, Tensor] | None:
    """The averaged mapping's and generator's weights in what a file holds, or None."""
    for weights in state_dicts(value):
        for mapping, synthesis in (("SE.", "GE."), ("S.", "G.")):
            if f"{mapping}net.0.weight" in weights and f"{synthesis}blocks.0.to_style1.weight" in weights:
                found = {f"S.{name}": t for name, t in under(weights, mapping).items()}
                return {**found, **{f"G.{name}": t for name, t in under(weights, synthesis).items()}}
    return None


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[LightStyleGAN2Config, dict[str, Tensor]]:
    """Ours. Raises CheckpointError for what does not fit."""
    carrier = Carrier(weights, path.name)
    blocks, depth = numbers(weights, r"G\.blocks\.(\d+)\."), numbers(weights, r"S\.net\.(\d+)\.")
    widths = [carrier.look(f"G.blocks.{i}.conv1.weight").shape[0] for i in blocks]
    config = LightStyleGAN2Config(
        resolution=2 ** (len(blocks) + 1),
        transparent=carrier.look("G.blocks.0.to_rgb.conv.weight").shape[0] == 4,
        w_dim=carrier.look("S.net.0.weight").shape[0],
        mapping_layers=len(depth),
        mapping_rate=rate_beside(path),
        capacity=max(widths[-1] // 2, 1),
        most_maps=max(widths),
        attention=[2 ** (i + 2) for i in numbers(weights, r"G\.attns\.(\d+)\.")],
        constant="G.initial_block" in weights,
    )
    carrier.drop([name for name in carrier.left if name.endswith("upsample.1.f")])  # a filter, computed
    for i, theirs in enumerate(depth):
        carrier.layer(f"mapping_network.layers.{i}", f"S.net.{theirs}")
    carrier.made["mapping_network.w_avg"] = _mean_style(config, carrier.made)
    carrier.made["grain"] = torch.rand(config.resolution, config.resolution, generator=generator("grain"))
    if config.constant:
        carrier.made["const"] = carrier.take("G.initial_block")
    else:
        carrier.layer("from_style", "G.to_initial_block")
    carrier.layer("first", "G.initial_conv")
    for i in blocks:
        ours, theirs = f"blocks.{i}", f"G.blocks.{i}"
        if 2 ** (i + 2) in config.attention:
            carry_attention(carrier, f"{ours}.attention.attend", f"G.attns.{i}.0.fn", local=False)
            for part, name in (("weight", "g"), ("bias", "b")):
                norm = carrier.take(f"G.attns.{i}.1.fn.norm.{name}")
                carrier.made[f"{ours}.attention.norm.{part}"] = norm.flatten()
            carrier.layer(f"{ours}.attention.wide", f"G.attns.{i}.1.fn.fn.0")
            carrier.layer(f"{ours}.attention.narrow", f"G.attns.{i}.1.fn.fn.2")
        for n in (1, 2):
            layer = f"{ours}.layers.{n - 1}"
            carrier.layer(f"{layer}.conv.style", f"{theirs}.to_style{n}")
            carrier.made[f"{layer}.conv.weight"] = carrier.take(f"{theirs}.conv{n}.weight")
            carrier.made[f"{layer}.strength"] = carrier.take(f"{theirs}.to_noise{n}.weight").flatten()
            carrier.made[f"{layer}.bias"] = carrier.take(f"{theirs}.to_noise{n}.bias")
        carrier.layer(f"{ours}.picture.style", f"{theirs}.to_rgb.to_style")
        carrier.made[f"{ours}.picture.weight"] = carrier.take(f"{theirs}.to_rgb.conv.weight")
    return config, carrier.finish()


def rate_beside(path: Path) -> float:
    """The mapping's rate that the .config.json beside a checkpoint names; 0.1 where there is none that says so."""
    try:
        beside = path.with_name(".config.json")
        if beside.stat().st_size > _MAX_CONFIG_BYTES:
            return 0.1
        found = json.loads(beside.read_text(encoding="utf-8")).get("lr_mlp", 0.1)
    except (OSError, ValueError, AttributeError, RecursionError):
        return 0.1
    return float(found) if type(found) in (int, float) and 1e-6 <= found <= 100 else 0.1


def _mean_style(config: LightStyleGAN2Config, made: Mapping[str, Tensor]) -> Tensor:
    with torch.device("meta"):  # no memory is taken before the sizes have been compared
        mapping = MappingNetwork(config)
    prefix = "mapping_network."
    parts = {name.removeprefix(prefix): tensor for name, tensor in made.items() if name.startswith(prefix)}
    mapping.load_state_dict({**parts, "w_avg": torch.zeros(config.w_dim)}, assign=True)
    with torch.inference_mode():
        return mapping(torch.randn(SAMPLES, config.w_dim, generator=generator("w"))).mean(dim=0).clone()


register("stylegan2_pytorch", "stylegan2-pytorch", "stylegan2_light", find, convert)
