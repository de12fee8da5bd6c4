"""StyleGAN3, configurations T and R, as NVIDIA's stylegan3 pickles it.

Our network bears the same names. Widths and sizes stand in the names of its layers; what does not show in any shape
(cutoffs, filters' widths) is what the generator was made with, and is checked against the filters that the file
holds.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from studio.errors import CheckpointError
from studio.formats import FORMATS, Format, Imported
from studio.formats._nvidia import LICENCE, NAMES, Module, generator, is_number, module, modules, ours, weights
from studio.formats.pickles import Contents
from studio.models.stylegan3 import StyleGAN3Config, filters, plan

_LAYER = re.compile(r"synthesis\.L(\d+)_(\d+)_(\d+)\.weight")
# what they call our settings, where a file may say something else than usual
_SETTINGS = {
    "channel_base": "channel_base", "channel_max": "channel_max", "num_critical": "critical",
    "first_cutoff": "first_cutoff", "first_stopband": "first_stopband", "last_stopband_rel": "last_stopband_rel",
    "margin_size": "margin", "output_scale": "output_scale", "filter_size": "filter_size",
    "lrelu_upsampling": "oversampling", "use_radial_filters": "radial", "conv_clamp": "clamp",
}


def matches(contents: Contents) -> bool:
    root = generator(contents)
    synthesis = root and module(root.modules.get("synthesis"))
    return synthesis is not None and "input" in synthesis.modules


def read(contents: Contents) -> Imported:
    root = generator(contents)
    parts = modules(root)
    found = weights(parts)
    config = _config(found, parts, root)
    _check_filters(contents.path.name, config, found)
    return Imported("stylegan3", config, ours(parts), licence=LICENCE)


def _config(found: Mapping[str, Tensor], parts: Mapping[str, Module], root: Module) -> StyleGAN3Config:
    layers = {int(m[1]): (m[0], int(m[2])) for m in map(_LAYER.fullmatch, found) if m}
    last, (name, resolution) = max(layers.items())
    classes = found["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in found else 0
    w_dim = len(found["mapping.w_avg"])
    return StyleGAN3Config(
        resolution=resolution,
        channels=found[name].shape[0],
        classes=classes,
        z_dim=found["mapping.fc0.weight"].shape[1] - (w_dim if classes else 0),
        w_dim=w_dim,
        mapping_layers=sum(f"mapping.fc{i}.weight" in found for i in range(64)),
        layers=last,
        kernel=found[layers[0][0]].shape[2],
        **_said(root),
    )


def _said(root: Module) -> dict[str, Any]:
    """Settings that the generator was made with, of those that differ from the usual ones."""
    given = root.state.get("_init_kwargs")
    given = given if isinstance(given, dict) else {}
    inner = given.get("synthesis_kwargs")
    given = {**given, **inner} if isinstance(inner, dict) else given
    found = {ours: given[theirs] for theirs, ours in _SETTINGS.items() if is_number(given.get(theirs))}
    if "conv_clamp" in given and not found.get("clamp"):  # None
        found["clamp"] = 0.0
    return found


def _check_filters(name: str, config: StyleGAN3Config, found: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError if the file's filters are not those of the settings: then another was missed."""
    for layer, row in plan(config).items():
        for kind, kernel in zip(("up_filter", "down_filter"), filters(config, *row)):
            held = found.get(f"synthesis.{layer}.{kind}")
            if held is kernel is None:
                continue
            if held is None or kernel is None or held.shape != kernel.shape or (held - kernel).abs().max() > 1e-6:
                says = f"{name} is a StyleGAN3 whose filters are of other settings than it says"
                raise CheckpointError(f"{says}; get it again")


FORMATS.register("stylegan3")(Format("NVIDIA StyleGAN3 (.pkl)", matches, read, NAMES))
