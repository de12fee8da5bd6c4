"""FastGANs as the authors' program writes them: {"g", "d"}, or all_N.pth, whose moving average is a bare list.

Pictures of 256 and 512 px end without the tanh that those of 1024 px have.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from studio.errors import CheckpointError
from studio.formats._carry import Carrier
from studio.formats._dicts import numbers, state_dicts
from studio.formats._fastgan import carry
from studio.formats._state_dict import register
from studio.models.fastgan import FastGANConfig

_START = "init.init.0"
_AVERAGE = "g_ema."
_LEARNED = ("weight", "bias", "weight_orig", "original")


def find(value: object) -> dict[str, Tensor] | None:
    """The generator's weights in what a file holds, and those of a bare list as g_ema.0, g_ema.1 ...; or None."""
    for weights in state_dicts(value):
        if all(any(name.startswith(part) for name in weights) for part in (f"{_START}.", "feat_8.")):
            average = value.get("g_ema")
            listed = average if isinstance(average, (list, tuple)) else ()
            return {**weights, **{f"{_AVERAGE}{i}": t for i, t in enumerate(listed) if isinstance(t, Tensor)}}
    return None


def averaged(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Weights replaced by their moving average, which has no names and the same order; what is measured stays.

    Raises CheckpointError where the two do not fit.
    """
    average = [tensor for name, tensor in weights.items() if name.startswith(_AVERAGE)]
    named = {name: tensor for name, tensor in weights.items() if not name.startswith(_AVERAGE)}
    learned = [name for name in named if name.rsplit(".", 1)[-1] in _LEARNED]
    if not average:
        return named
    if [named[name].shape for name in learned] != [tensor.shape for tensor in average]:
        found = f"{path.name} has a moving average of {len(average)} weights"
        misfit = f"and they do not fit the {len(learned)} of its generator"
        raise CheckpointError(f"{found}, {misfit}; give the file without all_")
    return {**named, **dict(zip(learned, average))}


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[FastGANConfig, dict[str, Tensor]]:
    """Ours. Raises CheckpointError for what does not fit."""
    carrier = Carrier(averaged(weights, path), path.name, transposed=[_START])
    side = max(numbers(carrier.left, r"feat_(\d+)\."), default=0)
    start, picture = carrier.look(f"{_START}.weight"), carrier.look("to_big.weight")
    config = FastGANConfig(
        resolution=side, channels=picture.shape[0], z_dim=start.shape[0], width=start.shape[1] // 32,
        last_excited=512, tanh=side >= 1024,
    )
    carrier.drop(["to_128.weight"])  # a small copy, for training
    carry(carrier, config, _name)
    return config, carrier.finish()


def _name(part: str, side: int) -> str:
    fixed = {"start": _START, "start_norm": "init.init.1", "picture": "to_big"}
    if part in fixed:
        return fixed[part]
    if part in ("squeeze", "excite"):
        return f"se_{side}.main.{1 if part == 'squeeze' else 3}"
    if side in (16, 64, 256, 1024):  # without noise
        return f"feat_{side}.{'1' if part == 'conv0' else '2'}"
    places = {"conv0": "1", "grain0": "2.weight", "norm0": "3", "conv1": "5", "grain1": "6.weight", "norm1": "7"}
    return f"feat_{side}.{places[part]}"


register("fastgan", "FastGAN", "fastgan", find, convert)
