"""What several processes tell each other, so that they learn as one. With one process each of these changes nothing."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def place() -> tuple[int, int]:
    """This process's number and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def total(x: Tensor) -> Tensor:
    """The sum of a tensor over all processes.

    Its gradient is that of the sum of their losses, and can be differentiated again.
    """
    return x if place()[1] == 1 else _Total.apply(x)


def average(x: Tensor) -> Tensor:
    """The mean of a tensor over all processes, with a gradient as `total`'s."""
    return total(x) / place()[1]


def gathered(mine: dict[str, T]) -> dict[str, T]:
    """What all processes found, by name. Every process gets it in the same order."""
    ranks = place()[1]
    if ranks == 1:
        return mine
    parts: list[dict[str, T]] = [{} for _ in range(ranks)]
    dist.all_gather_object(parts, mine)
    return {name: value for part in parts for name, value in part.items()}


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        everything = x.clone()
        dist.all_reduce(everything)
        return everything

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        # Every process's loss depends on the sum, and so on what this process put in.
        return _Total.apply(gradient.contiguous())
