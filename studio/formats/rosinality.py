"""StyleGAN2 as rosinality's stylegan2-pytorch saves it: {"g_ema": weights, "latent_avg": mean of w, ...}, or "g".

The same network under other names, with the weights of its convolutions divided by what equalised learning multiplies
them with: ours carry that factor, so that demodulation's epsilon weighs what it weighs there.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from studio.errors import CheckpointError
from studio.formats import FORMATS, Format, Imported
from studio.formats.pickles import Contents
from studio.models.stylegan2 import Mapping as MappingNetwork
from studio.models.stylegan2 import StyleGAN2Config, width_settings

SAMPLES = 10_000  # of w, for its mean where the file has none
_TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
_MARKS = {"style.1.weight", "input.input", "conv1.conv.modulation.weight", "to_rgb1.conv.weight"}


def matches(contents: Contents) -> bool:
    return _weights(contents.value) is not None


def read(contents: Contents) -> Imported:
    found, name = _weights(contents.value), contents.path.name
    _check(name, found)
    config = _config(found)
    weights = _ours(name, found, config)
    mean = contents.value.get("latent_avg")
    known = isinstance(mean, Tensor) and mean.numel() == config.w_dim
    weights["mapping_network.w_avg"] = mean.reshape(-1) if known else _mean_style(weights, config)
    return Imported("stylegan2", config, weights)


def _weights(value: object) -> dict[str, Tensor] | None:
    """The generator's weights: its running mean, or itself where a file has no other."""
    if not isinstance(value, dict):
        return None
    for found in (value.get("g_ema"), value.get("g"), value):
        if isinstance(found, dict) and _MARKS <= found.keys():
            return {str(k).removeprefix("module."): v for k, v in found.items() if isinstance(v, Tensor)}
    return None


def _config(found: Mapping[str, Tensor]) -> StyleGAN2Config:
    widths = {4: found["conv1.conv.weight"].shape[1]}
    while (name := f"convs.{2 * len(widths) - 1}.conv.weight") in found:
        widths[4 << len(widths)] = found[name].shape[1]
    return StyleGAN2Config(
        resolution=max(widths),
        z_dim=found["style.1.weight"].shape[1],
        w_dim=found["style.1.weight"].shape[0],
        mapping_layers=sum(name.startswith("style.") and name.endswith(".weight") for name in found),
        **width_settings(widths),
    )


def _check(name: str, found: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError for another filter than 1-3-3-1."""
    for key, kernel in found.items():
        if not key.endswith(".kernel"):
            continue
        if kernel.shape != (4, 4) or not torch.allclose(kernel, 4 * _TAPS * _TAPS[:, None]):
            raise CheckpointError(f"{name} is a StyleGAN2 with another filter than 1-3-3-1; give another file")


def _ours(name: str, found: Mapping[str, Tensor], config: StyleGAN2Config) -> dict[str, Tensor]:
    weights = {"synthesis_network.b4.const": found["input.input"][0]}
    used = {"input.input", "latent_avg"} | {name for name in found if name.endswith(".kernel")}

    def take(key: str) -> Tensor:
        used.add(key)
        return found[key]

    def affine(ours: str, theirs: str) -> None:
        for kind in ("weight", "bias"):
            weights[f"{ours}.affine.{kind}"] = take(f"{theirs}.conv.modulation.{kind}")

    def layer(ours: str, theirs: str, noise: int) -> None:
        affine(ours, theirs)
        weight = take(f"{theirs}.conv.weight")[0]
        weights[f"{ours}.weight"] = weight / math.sqrt(weight[0].numel())
        weights[f"{ours}.bias"] = take(f"{theirs}.activate.bias")
        weights[f"{ours}.noise_strength"] = take(f"{theirs}.noise.weight").reshape(())
        side = int(ours.split(".")[1][1:])
        fixed = found.get(f"noises.noise_{noise}")  # versions from before 2020 keep none
        used.add(f"noises.noise_{noise}")
        weights[f"{ours}.noise_const"] = _grain(side, noise) if fixed is None else fixed[0, 0]

    for i in range(config.mapping_layers):
        for kind in ("weight", "bias"):
            weights[f"mapping_network.fc{i}.{kind}"] = take(f"style.{i + 1}.{kind}")
    for i, side in enumerate(config.resolutions):
        block = f"synthesis_network.b{side}"
        if side == 4:
            layer(f"{block}.conv1", "conv1", 0)
        else:
            layer(f"{block}.conv0", f"convs.{2 * i - 2}", 2 * i - 1)
            layer(f"{block}.conv1", f"convs.{2 * i - 1}", 2 * i)
        theirs = "to_rgb1" if side == 4 else f"to_rgbs.{i - 1}"
        affine(f"{block}.torgb", theirs)
        weights[f"{block}.torgb.weight"] = take(f"{theirs}.conv.weight")[0]
        weights[f"{block}.torgb.bias"] = take(f"{theirs}.bias").reshape(-1)
    if left := sorted(set(found) - used):
        raise CheckpointError(f"{name} has {left[0]}, which no such StyleGAN2 has; get it again")
    return weights


def _grain(side: int, layer: int) -> Tensor:
    return torch.randn(side, side, generator=torch.Generator().manual_seed(layer))


def _mean_style(weights: Mapping[str, Tensor], config: StyleGAN2Config) -> Tensor:
    mapping = MappingNetwork(config.z_dim, config.w_dim, 0, config.mapping_layers, track_average=False)
    prefix = "mapping_network."
    mapping.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    z = torch.randn(SAMPLES, config.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return torch.cat([mapping(part) for part in z.split(1000)]).mean(dim=0).clone()


FORMATS.register("rosinality")(Format("rosinality StyleGAN2 (.pt)", matches, read))
