"""How many threads train soonest on a processor: small networks lose more by dividing a step than they win by it."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from accelerate import Accelerator

from train.data import Pictures, batches
from train.loop import take_step
from train.recipes import Batch, Recipe

TRIES = 3  # of each count, after one that is not counted
ENOUGH_S = 8.0  # after which nothing more is tried
LONG_S = 4.0  # a first step that takes longer has enough to divide: nothing is tried
CLOSE = 1.05  # counts that differ by less are equally good
HOPELESS = 1.5  # a count that takes so much longer than the best is not tried again, and no smaller one at all


def counts() -> list[int]:
    """What to choose from, the most first; one alone where the person chose (OMP_NUM_THREADS)."""
    chosen = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if chosen.isdecimal() and int(chosen):
        return [int(chosen)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [cores >> i for i in range(cores.bit_length())]


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """So many of torch's threads for the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fastest(
    build: Callable[[], Recipe], pictures: Pictures, accelerator: Accelerator, choice: Sequence[int],
    over: Callable[[], bool] = lambda: False, clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Which count of `choice` takes the shortest mean step of a recipe, by trial on one that is thrown away.

    choice: the most first, which stays where a step is long, and once `over` says that nobody waits for the answer.
    Takes some steps of each, and rarely more than ENOUGH_S. On another device, or with several processes, what torch
    has stays.
    """
    if accelerator.device.type != "cpu" or accelerator.num_processes > 1:
        return torch.get_num_threads()
    if len(choice) == 1:
        return choice[0]
    recipe, begun = build(), clock()
    config = recipe.config
    images, labels = next(batches(pictures, 0, config.batch, config.seed))
    rounds = [Batch(*pair) for pair in zip(images.chunk(config.accumulate), labels.chunk(config.accumulate))]
    recipe.start_step(0)

    def step(count: int) -> float:
        """Seconds; a phase that is not in every step counts for its share."""
        total = 0.0
        with threads(count):
            for phase in recipe.phases:
                if over():
                    return math.inf
                before = clock()
                take_step(phase, recipe, rounds, accelerator)
                total += (clock() - before) / phase.interval
        return total

    seconds: dict[int, float] = {}
    for count in choice:
        step(count)  # in which algorithms are chosen and memory is asked for
        if over() or clock() - begun > LONG_S and not seconds:
            return choice[0]
        seconds[count] = step(count)
        if seconds[count] > HOPELESS * min(seconds.values()):
            break
    for _ in range(TRIES - 1):
        for count in [c for c in seconds if seconds[c] <= HOPELESS * min(seconds.values())]:
            if over() or clock() - begun > ENOUGH_S:
                break
            seconds[count] = min(seconds[count], step(count))
    # of two that are close, the smaller: it leaves more to others, and another trial finds the same one sooner
    return min(count for count in seconds if seconds[count] <= CLOSE * min(seconds.values()))
