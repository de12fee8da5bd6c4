"""How a learning rate goes with the training: from its start, over its course, to its end."""

import math

from studio.registry import Registry

SCHEDULES: Registry = Registry("schedule")

SCHEDULES.register("constant")(lambda share: 1.0)

# Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983, eq. 5, without restarts
SCHEDULES.register("cosine")(lambda share: (1 + math.cos(math.pi * share)) / 2)


def rate(schedule: str, kimg: float, total_kimg: float, wait_kimg: float = 0.0) -> float:
    """The share of its full learning rate that a network has, 0 to 1, at `kimg` of a training of `total_kimg`.

    wait_kimg: the network rests this long, and then goes on where the schedule is.
    """
    if kimg < wait_kimg:
        return 0.0
    return SCHEDULES.get(schedule)(min(kimg / total_kimg, 1.0))
