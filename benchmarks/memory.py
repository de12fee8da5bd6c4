"""The most memory that a process has held."""

import resource
import sys
from pathlib import Path


def peak_bytes(device: str = "cpu") -> int:
    """Of this process: on the GPU if it works there, else resident."""
    if device.startswith("cuda"):
        import torch  # not for those that measure what they do without it

        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory at the fork
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
