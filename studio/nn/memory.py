"""Keep freed memory for the next tensor.

glibc returns blocks of a few megabytes to the system when they are freed, and the system clears them page by page when
they are asked for again: for the feature maps of a small network that takes longer than the arithmetic on them.
`benchmarks/train.py` measures what this gains.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to keep blocks below 1 GiB.

    Returns whether it agreed: False on other systems, where nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False  # musl has no mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, 1 << 30) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
