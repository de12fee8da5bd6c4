"""Which processor does the work: CUDA, Apple's MPS or the CPU, chosen by itself unless told."""

import torch

from studio.errors import DeviceError


def choose_device(name: str = "auto") -> torch.device:
    """auto, cpu, cuda, cuda:1 or mps as a device. Raises DeviceError for one that this machine lacks."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        known = "auto, cpu, cuda, cuda:0, mps"
        raise DeviceError(f"device={name!r} is not one of {known}; choose one of these") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type == "cuda" and (device.index or 0) < torch.cuda.device_count():
        return device
    if device.type == "mps" and torch.backends.mps.is_available():
        return device
    raise DeviceError(f"this machine has no device {name!r}; use --device cpu, or auto to let the studio choose")
