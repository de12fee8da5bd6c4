"""A checkpoint is a folder: model.safetensors (weights), model.json (what they are), README.md (a card with samples).

Loading is strict: a key that is missing, extra or misshapen is an error that names it, and nothing in the folder is
ever executed. The network is laid out without memory first, so that a model.json that asks for terabytes is refused
by the size of its weights instead of by the machine.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from studio.config import Config
from studio.errors import CheckpointError, StudioError
from studio.files import sha256, whole_folder, write_json
from studio.models import MODELS, ModelFamily

VERSION = 1
WEIGHTS, INFO, CARD = "model.safetensors", "model.json", "README.md"
_FLOATS = ("BF16", "F16", "F32")
_WHOLE = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8",
    torch.int16: "I16", torch.int32: "I32", torch.int64: "I64",
}
_MAX_INFO_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelInfo:
    """What model.json says. `training` and `metrics` are free: figures with their names, as the card shows them."""

    model: str  # a name in MODELS
    config: Mapping[str, Any]
    sha256: str  # of model.safetensors
    title: str = ""
    data: str = ""  # what it was trained on
    data_licence: str = "not stated"
    licence: str = "not stated"  # of the weights
    kimg: float = 0.0
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> ModelFamily:
        """Raises UnknownName if this version of the studio has no such model."""
        return MODELS.get(self.model)

    def network_config(self) -> Config:
        """Raises SettingError for a setting that is unknown, missing or out of range."""
        return self.family.config.from_dict(self.config)


def save_checkpoint(
    folder: Path, info: ModelInfo, network: nn.Module, card: str, files: Mapping[str, bytes] | None = None,
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Write a checkpoint folder, all or nothing; `info.sha256` is filled in here. Raises DiskError, CheckpointError.

    `files` are further files by name: the card's pictures. Weights that `dtype` cannot hold are an error, not
    infinities; whole numbers (a count of batches) stay as they are. A checkpoint already at `folder` is replaced; a
    folder with anything else in it is refused.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / INFO).is_file():
        raise CheckpointError(f"{folder} holds files that are no checkpoint; give an empty or another folder")
    tensors = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype)
        if not stored.isfinite().all():
            what = f"{name} holds values that {dtype} cannot store"
            raise CheckpointError(f"{what}; export in float32 or resume an older state")
        tensors[name] = stored.contiguous()
    with whole_folder(folder) as beside:
        save_file(tensors, beside / WEIGHTS, metadata={"format": "pt"})
        values = {"version": VERSION, **vars(info), "sha256": sha256(beside / WEIGHTS)}
        write_json(beside / INFO, values)
        (beside / CARD).write_text(card, encoding="utf-8")
        for name, data in (files or {}).items():
            (beside / name).write_bytes(data)
    return folder


def read_info(folder: Path) -> ModelInfo:
    """model.json, checked. Raises CheckpointError with what is wrong."""
    path = folder / INFO
    try:
        if path.stat().st_size > _MAX_INFO_BYTES:
            size = f"{path} is over {_MAX_INFO_BYTES >> 20} MiB"
            raise CheckpointError(f"{size} and no model description; get this model again")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        lacks = f"{folder} is no checkpoint: it has no {INFO}"
        raise CheckpointError(f"{lacks}; give a folder that `export` or `import` made") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); make it readable first") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON; get this model again") from error
    kinds = {"model": str, "config": dict}
    if not isinstance(values, dict) or not all(isinstance(values.get(name), kind) for name, kind in kinds.items()):
        raise CheckpointError(f"{path} does not name a model and its config; get this model again")
    version = values.pop("version", None)
    if version != VERSION:
        found = f"{path} has format version {version!r}"
        raise CheckpointError(f"{found}, and this studio reads {VERSION}; update the studio")
    known = {k: v for k, v in values.items() if k in ModelInfo.__dataclass_fields__}
    for name in ("sha256", "title", "data", "data_licence", "licence"):
        if not isinstance(known.get(name, ""), str):
            raise CheckpointError(f"{path}: {name} is not a text; get this model again")
    for name in ("training", "metrics"):
        if not isinstance(known.get(name, {}), dict):
            raise CheckpointError(f"{path}: {name} is not a list of names with values; get this model again")
    kimg = known.get("kimg", 0.0)
    if type(kimg) not in (int, float) or not 0 <= kimg < float("inf"):
        raise CheckpointError(f"{path}: kimg is not a number from 0 up; get this model again")
    return ModelInfo(**{"sha256": "", **known})


def load_network(folder: Path) -> nn.Module:
    """The network of a checkpoint on the CPU, in float32 and in eval mode. Raises CheckpointError.

    The weights must be the very ones that model.json's sha256 names: pictures carry that hash as their model's
    identity. What the network computes for itself and does not store (buffers with persistent=False) is computed.
    """
    info = read_info(folder)
    try:
        config = info.network_config()
    except StudioError as error:
        raise CheckpointError(f"{folder / INFO}: {error}") from error
    with torch.device("meta"):
        network = info.family.build(config)
    path = folder / WEIGHTS
    weights = read_weights(path, network.state_dict())
    if (found := sha256(path)) != info.sha256:
        differs = f"its sha256 is {found[:12]}, not {info.sha256[:12] or 'stated'}"
        raise CheckpointError(f"{path} is not the file {INFO} describes: {differs}; get this model again")
    network.load_state_dict(weights, assign=True)
    if _has_gaps(network):
        # the shapes were compared: this takes no more memory than the weights do
        with torch.random.fork_rng(devices=[]):
            network = info.family.build(config)
        network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def _has_gaps(network: nn.Module) -> bool:
    """Whether tensors are left without memory: buffers that are not stored, or plain attributes."""
    held = (value for module in network.modules() for value in vars(module).values())
    return any(isinstance(t, Tensor) and t.is_meta for t in (*network.buffers(), *held))


def weights_bytes(folder: Path) -> int:
    """What a checkpoint's weights take in memory, told by the header of their file. Raises CheckpointError."""
    path = folder / WEIGHTS
    with _opened(path) as file:
        slices = (file.get_slice(name) for name in file.keys())
        return sum(math.prod(s.get_shape()) * (4 if s.get_dtype() in _FLOATS else 8) for s in slices)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; get this model again") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is corrupt or no safetensors file ({error}); get this model again") from error


def read_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of exactly the names, shapes and kinds of `expected`, which may be without memory (meta).

    Floating point of any width becomes the expected one; whole numbers must be of the expected kind. Raises
    CheckpointError naming what differs.
    """
    with _opened(path) as file:
        found = {name: file.get_slice(name) for name in file.keys()}
        shapes = {name: tuple(s.get_shape()) for name, s in found.items()}
        _compare(path, shapes, {name: tuple(t.shape) for name, t in expected.items()})
        for name, like in expected.items():
            kinds = _FLOATS if like.is_floating_point() else (_WHOLE[like.dtype],)
            if (kind := found[name].get_dtype()) not in kinds:
                known = ", ".join(kinds)
                raise CheckpointError(f"{path}: {name} is {kind}, not one of {known}; get this model again")
        weights = {name: _restride(file.get_tensor(name).to(like.dtype)) for name, like in expected.items()}
    bad = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if bad:
        raise CheckpointError(f"{path}: {bad[0]} holds values that are not finite; get this model again")
    return weights


def _restride(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _compare(path: Path, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    problems = []
    if missing := [name for name in expected if name not in found]:
        problems.append("lacks " + ", ".join(missing))
    if extra := [name for name in found if name not in expected]:
        problems.append("has the unknown " + ", ".join(extra))
    problems += [
        f"has {name} of shape {list(found[name])}, not {list(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    if problems:
        what = "; it ".join(problems)
        raise CheckpointError(f"{path} does not fit its model.json: it {what}; get this model again")
