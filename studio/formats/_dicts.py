"""Where the weights are in what a file holds: at the top, or under names that programs give to their parts."""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

MAX_DEPTH = 3
MAX_DIGITS = 4
_WRAPPED = "module."  # what nn.DataParallel puts before every name


def state_dicts(value: object) -> Iterator[dict[str, Tensor]]:
    """Every dictionary of nothing but tensors by name, outer ones first, without the prefix of nn.DataParallel.

    Each is looked at once: thousands of names for thousands of names for the same thing would take for ever.
    """
    level, seen = [value], {id(value)}
    for _ in range(MAX_DEPTH + 1):
        level = [part for part in level if isinstance(part, Mapping) and part]
        for found in level:
            if all(isinstance(name, str) and isinstance(part, Tensor) for name, part in found.items()):
                wrapped = all(name.startswith(_WRAPPED) for name in found)
                yield {name.removeprefix(_WRAPPED) if wrapped else name: tensor for name, tensor in found.items()}
        parts = (part for found in level for part in found.values())
        level = [part for part in parts if id(part) not in seen and not seen.add(id(part))]


def under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def numbers(weights: Mapping[str, Tensor], pattern: str) -> list[int]:
    """The whole numbers where the pattern has its group, in order, each once; no network has longer ones."""
    found = (re.match(pattern, name) for name in weights)
    return sorted({int(match[1]) for match in found if match and len(match[1]) <= MAX_DIGITS})
