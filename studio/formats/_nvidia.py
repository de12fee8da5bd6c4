"""NVIDIA's pickles: modules that bring the source code of their classes along. The code is never looked at.

A module is a record of a function that would compile it, with a description: class name, and state as torch's modules
have it. Facts from NVIDIA's torch_utils/persistence.py, whose name these files carry.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from studio.errors import CheckpointError
from studio.formats._values import Record
from studio.formats.pickles import Contents

RECONSTRUCT = "torch_utils.persistence._reconstruct_persistent_obj"
TENSORFLOW = "dnnlib.tflib.network.Network"
NAMES = frozenset({RECONSTRUCT, TENSORFLOW})
LICENCE = "not stated in the file; NVIDIA's own are for non-commercial use: ask where it comes from"
_MAX_MODULES = 2000
_LR_MULT = 0.01  # of our mapping's weights


@dataclass(frozen=True)
class Module:
    """A module of the file: its attributes, and what lies in it by name."""

    state: Mapping[str, Any]
    modules: Mapping[str, "Record"]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        for group in ("_parameters", "_buffers"):
            found = self.state.get(group)
            if isinstance(found, dict):
                yield from ((str(name), value) for name, value in found.items() if isinstance(value, Tensor))


def module(value: object) -> Module | None:
    """A record as a module; None if it is none."""
    if not isinstance(value, Record) or value.name != RECONSTRUCT or len(value.args) != 1:
        return None
    meta = value.args[0]
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        return None
    inner = meta["state"].get("_modules")
    inner = {k: v for k, v in inner.items() if isinstance(k, str)} if isinstance(inner, dict) else {}
    return Module(meta["state"], inner)


def generator(contents: Contents) -> Module | None:
    """The generator's running mean; None if the contents are not NVIDIA's."""
    value = contents.value
    return module(value.get("G_ema")) if isinstance(value, dict) else module(value)


def modules(root: Module) -> dict[str, Module]:
    """Every module by its dotted name; the root's is "". Raises CheckpointError for more than a network has."""
    found: dict[str, Module] = {}
    waiting = [("", root)]
    while waiting:
        name, one = waiting.pop()
        found[name] = one
        if len(found) > _MAX_MODULES:
            raise CheckpointError(f"the generator has more than {_MAX_MODULES} parts; get the file again")
        for inner, record in one.modules.items():
            if (part := module(record)) is not None:
                waiting.append((f"{name}.{inner}" if name else inner, part))
    return found


def weights(parts: Mapping[str, Module]) -> dict[str, Tensor]:
    """Every tensor by its dotted name."""
    found = {}
    for name, part in parts.items():
        prefix = f"{name}." if name else ""
        found |= {f"{prefix}{key}": tensor for key, tensor in part.tensors()}
    return found


def number(part: Module, name: str, usual: float) -> float:
    """An attribute of a module; `usual` if the file does not say or says none."""
    value = part.state.get(name)
    return float(value) if is_number(value) else usual


def is_number(value: object) -> bool:
    """Values of a stranger's file are looked at no further than this: even to print one can take for ever."""
    return isinstance(value, (int, float))


def ours(parts: Mapping[str, Module]) -> dict[str, Tensor]:
    """The generator's weights by our names."""
    found = {}
    for name, tensor in weights(parts).items():
        group, _, rest = name.partition(".")
        part, _, kind = name.rpartition(".")
        if part.startswith("mapping.fc") and kind in ("weight", "bias"):
            # weights learn at a rate of their own, with which they are multiplied
            tensor = tensor * (number(parts[part], "bias_gain", _LR_MULT) / _LR_MULT)
        found[f"{group}_network.{rest}"] = tensor
    return found
