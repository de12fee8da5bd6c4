"""Pickles as NVIDIA's programs write them, without those programs: stand-ins bear the names that pickle looks for."""

import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

SOURCE = "raise RuntimeError('the source code of a class was run')"


def _reconstruct_persistent_obj(meta: dict) -> None:
    raise RuntimeError("a module was made of source code")


class EasyDict(dict):
    pass


class Persistent:
    """A module: its class's name, its attributes, tensors and modules within."""

    def __init__(self, kind: str, attributes: dict[str, Any], tensors: dict[str, Tensor], modules: dict) -> None:
        learned = ("weight", "bias", "const", "noise_strength")
        parameters = {k: nn.Parameter(v) for k, v in tensors.items() if k in learned}
        self.meta = {
            "type": "class", "version": 6, "module_src": SOURCE, "class_name": kind,
            "state": {
                "training": False, "_parameters": OrderedDict(parameters),
                "_buffers": OrderedDict((k, v) for k, v in tensors.items() if k not in parameters),
                "_modules": OrderedDict(modules), **attributes,
            },
        }

    def __reduce__(self) -> tuple:
        return _reconstruct_persistent_obj, (self.meta,)


def tree(weights: dict[str, Tensor], attributes: dict[str, dict[str, Any]], prefix: str = "") -> Persistent:
    """Modules from tensors by dotted names, and attributes by the modules' names."""
    here = {k: v for k, v in weights.items() if "." not in k}
    inner: dict[str, dict[str, Tensor]] = {}
    for name, tensor in weights.items():
        if "." in name:
            first, rest = name.split(".", 1)
            inner.setdefault(first, {})[rest] = tensor
    modules = {k: tree(v, attributes, f"{prefix}{k}.") for k, v in inner.items()}
    return Persistent("Generator" if not prefix else "Part", attributes.get(prefix.rstrip("."), {}), here, modules)


def write_pickle(path: Path, generator: Persistent, monkeypatch: pytest.MonkeyPatch) -> Path:
    """{"G", "D", "G_ema", ...} as a file."""
    for name, thing in (("torch_utils.persistence", _reconstruct_persistent_obj), ("dnnlib.util", EasyDict)):
        package = types.ModuleType(name.split(".")[0])
        module = types.ModuleType(name)
        setattr(module, thing.__name__, thing)
        setattr(package, name.split(".")[1], module)
        monkeypatch.setitem(sys.modules, package.__name__, package)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(thing, "__module__", name)
    other = EasyDict(class_name="training.dataset.ImageFolderDataset", xflip=True, resolution=16)
    values = {"G": None, "D": None, "G_ema": generator, "augment_pipe": None, "training_set_kwargs": other}
    path.write_bytes(pickle.dumps(values))
    return path
