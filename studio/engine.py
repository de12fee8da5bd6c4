"""Models in memory: loaded once, laid out for inference, dropped when others need the room; one user of a device at a time."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from studio.checkpoint import ModelInfo, load_network, read_info
from studio.device import choose_device
from studio.errors import DeviceError
from studio.library import Library
from studio.nn.memory import keep_freed_memory


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
        self._lock = threading.RLock()
        if self.device.type == "cpu":
            keep_freed_memory()

    def info(self, name: str) -> ModelInfo:
        """What is known about a model, without loading its weights."""
        return read_info(self.library.find(name))

    @contextlib.contextmanager
    def use(self, name: str) -> Iterator[LoadedModel]:
        """The model, with the device to oneself until the block ends. Raises UnknownName, CheckpointError, DeviceError."""
        with self._lock:
            try:
                with torch.inference_mode():
                    yield self._load(name)
            except torch.OutOfMemoryError as error:
                raise DeviceError(
                    f"{self.device} has too little free memory for {name!r}; close other programs or use --device cpu"
                ) from error

    def _load(self, name: str) -> LoadedModel:
        folder = self.library.find(name)
        info = read_info(folder)
        model = self._models.get(folder)
        if model is None or model.info.sha256 != info.sha256:  # an export may have replaced the folder
            network = info.family.layout(load_network(folder).to(self.device))
            model = self._models[folder] = LoadedModel(name, info, network, self.device)
        self._models.move_to_end(folder)
        while len(self._models) > 1 and sum(m.size_bytes for m in self._models.values()) > self.cache_bytes:
            self._models.popitem(last=False)
        return model
