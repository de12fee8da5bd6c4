"""Models in memory: loaded once, laid out for inference, dropped when others need the room; one user of a device.

Who asks first has the device first, so that work which takes it many times in a row keeps nobody out.
"""

import contextlib
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import nn

from studio.checkpoint import ModelInfo, load_network, read_info, weights_bytes
from studio.device import choose_device
from studio.errors import DeviceError
from studio.library import Library
from studio.nn.memory import keep_freed_memory
from studio.turns import Turns

_NO_MEMORY = re.compile(r"DefaultCPUAllocator|out of memory", re.IGNORECASE)
_ASKED = re.compile(r"allocate ([\d.]+) ?(bytes|[KMGT]i?B)")
_UNITS = {"bytes": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to run, with what is known about it. `name` is what the person calls it."""

    name: str
    info: ModelInfo
    network: nn.Module
    device: torch.device

    @property
    def size_bytes(self) -> int:
        tensors = [*self.network.parameters(), *self.network.buffers()]
        return sum(t.numel() * t.element_size() for t in tensors)


class Engine:
    """The models of a library on one device.

    `cache_bytes` bounds the weights kept in memory; the model in use is kept even if it alone is larger.
    """

    def __init__(self, library: Library, device: str = "auto", cache_bytes: int = 2 << 30) -> None:
        self.library = library
        self.device = choose_device(device)
        self.cache_bytes = cache_bytes
        self._models: OrderedDict[Path, LoadedModel] = OrderedDict()  # least recently used first
        self._turns = Turns()
        if self.device.type == "cpu":
            keep_freed_memory()

    def info(self, name: str) -> ModelInfo:
        """What is known about a model, without loading its weights."""
        return read_info(self.library.find(name))

    @contextlib.contextmanager
    def use(self, name: str) -> Iterator[LoadedModel]:
        """The model, with the device to oneself until the block ends.

        Raises UnknownName, CheckpointError, and DeviceError where the device has too little memory.
        """
        with self.turn(name):
            yield self._load(name)

    @contextlib.contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """The device to oneself until the block ends, for one part of work on a model that is at hand already."""
        with self._turns:
            try:
                with torch.inference_mode():
                    yield
            except (RuntimeError, MemoryError) as error:
                if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and not _NO_MEMORY.search(str(error)):
                    raise
                raise DeviceError(_too_little(self.device, name, str(error))) from error

    def held(self) -> bool:
        """Whether this thread has the device to itself."""
        return self._turns.mine()

    def _load(self, name: str) -> LoadedModel:
        folder = self.library.find(name)
        info = read_info(folder)
        if folder in self._models and self._models[folder].info.sha256 != info.sha256:  # an export has replaced it
            del self._models[folder]
        if folder not in self._models:
            # before the next one is read: the old and the new together may be more than there is
            self._make_room(weights_bytes(folder))
            network = info.family.layout(load_network(folder).to(self.device))
            self._models[folder] = LoadedModel(name, info, network, self.device)
            self._make_room(0, keep=1)
        self._models.move_to_end(folder)
        return self._models[folder]

    def _make_room(self, needed_bytes: int, keep: int = 0) -> None:
        """Drop models, least recently used first, until there is room; the last `keep` stay in any case."""
        while len(self._models) > keep:
            if sum(m.size_bytes for m in self._models.values()) + needed_bytes <= self.cache_bytes:
                break
            self._models.popitem(last=False)


def _too_little(device: torch.device, name: str, said: str) -> str:
    """The sentence for memory that could not be had; `said` is the allocator's own, whose figure it takes over."""
    lacks = f"{device} has too little free memory for {name!r}"
    free = f"{_free_bytes(device) / 1e9:.1f} GB are free"
    if asked := _ASKED.search(said):
        amount = float(asked[1]) * _UNITS[asked[2] if asked[2] == "bytes" else asked[2][0]]
        free = f"{amount / 1e9:.1f} GB more are needed and {free}"
    next_step = "choose a smaller model" if device.type == "cpu" else "use --device cpu"
    return f"{lacks}: {free}; close other programs or {next_step}"


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return max(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory(), 0)
    return psutil.virtual_memory().available
