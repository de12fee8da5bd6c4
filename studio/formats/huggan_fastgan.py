"""HugGAN's FastGANs (huggan/fastgan-few-shot-...): pytorch_model.bin with weights _init, _upsample_8, _sle_64 ...

The program is silentz's (MIT); its pictures of 1024 px end in a tanh.
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

_START = "_init._layers.0._conv"
_ENDS = {0: ("1._conv", "2", "3"), 1: ("5._conv", "6", "7")}  # of a block's layers: convolution, noise, normalisation
_PARTS = {"start": _START, "start_norm": "_init._layers.1"}


def find(value: object) -> dict[str, Tensor] | None:
    """The generator's weights in what a file holds, or None."""
    for weights in state_dicts(value):
        for prefix in ("", "generator."):
            inner = {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}
            if all(any(name.startswith(part) for name in inner) for part in (_START, "_upsample_8.")):
                return inner
    return None


def convert(weights: Mapping[str, Tensor], path: Path) -> tuple[FastGANConfig, dict[str, Tensor]]:
    """Ours. Raises CheckpointError for what does not fit."""
    carrier = Carrier(weights, path.name, transposed=[_START])
    side = max(numbers(carrier.left, r"_upsample_(\d+)\."), default=0)
    if side != 1024:
        makes = f"{path.name} makes pictures of {side} px"
        raise CheckpointError(f"{makes}; this kind of FastGAN makes 1024; get it again")
    start, picture = carrier.look(f"{_START}.weight"), carrier.look(f"_out_{side}.0._conv.weight")
    config = FastGANConfig(
        resolution=side, channels=picture.shape[0], z_dim=start.shape[0], width=start.shape[1] // 32, last_excited=512
    )
    carrier.drop([name for name in carrier.left if name.startswith("_out_128.")])  # a small copy, for training
    carry(carrier, config, _name)
    return config, carrier.finish()


def _name(part: str, side: int) -> str:
    if part in _PARTS:
        return _PARTS[part]
    if part == "picture":
        return f"_out_{side}.0._conv"
    if part in ("squeeze", "excite"):
        return f"_sle_{side}._layers.{1 if part == 'squeeze' else 3}._conv"
    kind, n = part[:-1], int(part[-1])
    single = side in (16, 64, 256, 1024)  # without noise, so that normalisation follows at once
    conv, grain, norm = _ENDS[n]
    place = {"conv": conv, "grain": f"{grain}._weight", "norm": grain if single else norm}[kind]
    return f"_upsample_{side}._layers.{place}"


register("huggan_fastgan", "HugGAN FastGAN", "fastgan", find, convert)
