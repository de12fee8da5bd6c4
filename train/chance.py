"""Random numbers that do not depend on how many processes share a step."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_SHAPED = (torch.rand, torch.randn, torch.randint)
_LIKE = (torch.rand_like, torch.randn_like)


class SharedChance(TorchFunctionMode):
    """Within it, what is drawn for this process's pictures is what one process would have drawn for them.

    Pictures are dealt out in turn: process r of n has those numbered r, r + n, ... So a draw whose first dimension is
    pictures is made for all of them, and every n-th is kept; a draw without dimensions is everybody's. For recipes
    whose draws are all of these two kinds (`Recipe.per_picture`), and processes that begin with the same seed. Draws
    from a generator of one's own are left alone.
    """

    def __init__(self, rank: int, ranks: int) -> None:
        super().__init__()
        self.rank, self.ranks = rank, ranks

    def __torch_function__(
        self, func: Callable[..., Tensor], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.ranks == 1 or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        if func in _SHAPED:
            args, kwargs, drawn = self._widened(func, args, kwargs)
            return self._mine(func(*args, **kwargs)) if drawn else func(*args, **kwargs)
        if func in _LIKE and args[0].dim():
            return self._mine(func(self._wide_like(args[0]), *args[1:], **kwargs))
        return func(*args, **kwargs)

    def _widened(
        self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any], bool]:
        """The arguments of a draw for all pictures; False where it has no dimension."""
        if "size" in kwargs:
            size, wide = kwargs["size"], {**kwargs, "size": self._wide(kwargs["size"])}
            return args, wide, bool(len(size))
        if func is torch.randint or (args and isinstance(args[0], (tuple, list))):
            place = next(i for i, arg in enumerate(args) if isinstance(arg, (tuple, list)))
            return [*args[:place], self._wide(args[place]), *args[place + 1 :]], kwargs, bool(len(args[place]))
        return self._wide(args), kwargs, bool(args)

    def _wide(self, size: Sequence[int]) -> list[int]:
        return [size[0] * self.ranks, *size[1:]] if len(size) else []

    def _wide_like(self, x: Tensor) -> Tensor:
        wide = torch.empty(self._wide(x.shape), dtype=x.dtype, device=x.device)
        channels_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        return wide.contiguous(memory_format=torch.channels_last) if channels_last else wide

    def _mine(self, drawn: Tensor) -> Tensor:
        return drawn[self.rank :: self.ranks].clone()
