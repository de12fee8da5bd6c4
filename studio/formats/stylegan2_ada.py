"""StyleGAN2 as NVIDIA's stylegan2-ada-pytorch and stylegan3 pickle it.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data". Our network bears the same names,
and its settings are read off the shapes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from studio.errors import CheckpointError
from studio.formats import FORMATS, Format, Imported
from studio.formats._nvidia import (
    LICENCE, NAMES, TENSORFLOW, Module, generator, module, modules, number, ours, weights,
)
from studio.formats.pickles import Contents
from studio.models.stylegan2 import StyleGAN2Config, width_settings

_TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


def matches(contents: Contents) -> bool:
    if TENSORFLOW in contents.names:
        return True
    root = generator(contents)
    synthesis = root and module(root.modules.get("synthesis"))
    return synthesis is not None and {"b4", "b8"} <= synthesis.modules.keys()


def read(contents: Contents) -> Imported:
    if TENSORFLOW in contents.names:
        name = f"{contents.path.name} is of StyleGAN's TensorFlow version, which brings a program"
        raise CheckpointError(f"{name}; turn it into one for PyTorch with legacy.py of NVlabs/stylegan3 first")
    parts = modules(generator(contents))
    found = weights(parts)
    _check(contents.path.name, parts, found)
    config = _config(found, parts)
    return Imported("stylegan2", config, _ours(parts, config), licence=LICENCE)


def _config(found: Mapping[str, Tensor], parts: Mapping[str, Module]) -> StyleGAN2Config:
    widths: dict[int, int] = {}
    while f"synthesis.b{(side := 4 << len(widths))}.conv1.weight" in found:
        widths[side] = found[f"synthesis.b{side}.conv1.weight"].shape[0]
    classes = found["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in found else 0
    w_dim = len(found["mapping.w_avg"])
    return StyleGAN2Config(
        resolution=max(widths),
        channels=found[f"synthesis.b{max(widths)}.torgb.weight"].shape[0],
        classes=classes,
        z_dim=found["mapping.fc0.weight"].shape[1] - (w_dim if classes else 0),
        w_dim=w_dim,
        mapping_layers=sum(f"mapping.fc{i}.weight" in found for i in range(64)),
        clamp=number(parts["synthesis.b4.conv1"], "conv_clamp", 0.0),
        **width_settings(widths),
    )


def _check(name: str, parts: Mapping[str, Module], found: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError for variants that our network has no setting for."""
    for part, one in parts.items():
        said = one.state
        if said.get("architecture", "skip") != "skip":
            raise CheckpointError(f"{name} is a StyleGAN2 of another architecture than skip; give another file")
        if said.get("activation", "lrelu") not in ("lrelu", "linear"):
            raise CheckpointError(f"{name} is a StyleGAN2 with other units than leaky ReLU; give another file")
        kernel = found.get(f"{part}.resample_filter")
        if kernel is not None and (kernel.shape != (4, 4) or not torch.allclose(kernel, _TAPS * _TAPS[:, None])):
            raise CheckpointError(f"{name} is a StyleGAN2 with another filter than 1-3-3-1; give another file")


def _ours(parts: Mapping[str, Module], config: StyleGAN2Config) -> dict[str, Tensor]:
    found = {name: tensor for name, tensor in ours(parts).items() if not name.endswith("resample_filter")}
    for side in config.resolutions:  # noise can be left out of a StyleGAN2
        for layer in ("conv0", "conv1")[side == 4 :]:
            name = f"synthesis_network.b{side}.{layer}"
            found.setdefault(f"{name}.noise_strength", torch.zeros([]))
            found.setdefault(f"{name}.noise_const", torch.zeros(side, side))
    return found


FORMATS.register("stylegan2_ada")(Format("NVIDIA StyleGAN2 (.pkl)", matches, read, NAMES))
