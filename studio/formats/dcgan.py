"""DCGANs as PyTorch's example writes them, and all that learned from it: a generator's weights, main.0, main.1 ...

HugGAN's are named model.0, model.1 ...; programs that write both networks put them under names of their own.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from studio.errors import CheckpointError
from studio.formats._carry import Carrier
from studio.formats._dicts import numbers, state_dicts
from studio.formats._state_dict import register
from studio.models.dcgan import DCGANConfig


def find(value: object) -> dict[str, Tensor] | None:
    """The generator's weights in what a file holds, or None."""
    for weights in state_dicts(value):
        for prefix in ("main", "model"):
            convs = _convs(weights, prefix)
            chained = len(convs) > 2 and all(a.shape[1] == b.shape[0] for a, b in zip(convs, convs[1:]))
            if chained and convs[-1].shape[1] in (1, 3) and all(conv.shape[2:] == (4, 4) for conv in convs):
                return {name.removeprefix(f"{prefix}."): tensor for name, tensor in weights.items()}
    return None


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[DCGANConfig, dict[str, Tensor]]:
    """Ours. Raises CheckpointError for a generator that is built in another way."""
    layers = numbers(weights, r"(\d+)\.")
    convs = [i for i in layers if f"{i}.running_mean" not in weights]
    norms = [i for i in layers if f"{i}.running_mean" in weights]
    shapes = [tuple(weights[f"{i}.weight"].shape) for i in convs]
    config = DCGANConfig(
        resolution=2 ** (len(convs) + 1), channels=shapes[-1][1], z_dim=shapes[0][0], width=shapes[-1][0]
    )
    widths = [shape[1] for shape in shapes[:-1]]
    if widths != config.widths or len(norms) != len(convs) - 1:
        found = f"{path.name} has {', '.join(map(str, widths))} feature maps and {len(norms)} normalisations"
        expected = f"{', '.join(map(str, config.widths))} and {len(convs) - 1}"
        raise CheckpointError(f"{found}; a DCGAN has {expected}; give another file")
    carrier = Carrier(weights, path.name)
    for i, (conv, norm) in enumerate(zip(convs, norms)):
        carrier.made["start.weight" if i == 0 else f"up.{i - 1}.weight"] = carrier.take(f"{conv}.weight")
        carrier.norm(f"norms.{i}", str(norm))
        if f"{conv}.bias" in carrier.left:  # normalisation takes it away again: it goes into what is taken away
            mean = f"norms.{i}.running_mean"
            carrier.made[mean] = carrier.made[mean] - carrier.take(f"{conv}.bias")
    carrier.layer("picture", str(convs[-1]), bias=config.channels)
    return config, carrier.finish()


def _convs(weights: Mapping[str, Tensor], prefix: str) -> list[Tensor]:
    found = (weights.get(f"{prefix}.{i}.weight") for i in numbers(weights, rf"{prefix}\.(\d+)\."))
    return [weight for weight in found if weight is not None and weight.dim() == 4]


register("dcgan", "DCGAN state dict", "dcgan", find, convert)
