"""The same done to many things, several at a time, never far ahead of who listens."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Thing, Result = TypeVar("Thing"), TypeVar("Result")


def in_order(work: Callable[[Thing], Result], things: Sequence[Thing], threads: int) -> Iterator[Result]:
    """work(thing) of every thing, in their order; who stops listening stops the work."""
    with ThreadPoolExecutor(threads) as pool:
        rest = iter(things)
        waiting: list[Future] = [pool.submit(work, thing) for thing in islice(rest, 2 * threads)]
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(work, thing) for thing in islice(rest, 1)]
        finally:
            for future in waiting:
                future.cancel()
