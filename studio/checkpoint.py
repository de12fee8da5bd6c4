"""A checkpoint is a folder: model.safetensors (weights), model.json (what they are), README.md (a card with samples).

Loading is strict: a key that is missing, extra or misshapen is an error that names it, and nothing in the folder is ever
executed. The network is laid out without memory first, so that a model.json that asks for terabytes is refused by the
size of its weights instead of by the machine.
"""

import json
from collections.abc import Mapping
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
_DTYPES = {"F32", "F16", "BF16"}
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
    """Write a checkpoint folder, all or nothing; `info.sha256` is filled in here. Raises DiskError or CheckpointError.

    `files` are further files by name: the card's pictures. Weights that `dtype` cannot hold are an error, not infinities.
    A checkpoint already at `folder` is replaced; a folder with anything else in it is refused.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / INFO).is_file():
        raise CheckpointError(f"{folder} holds files that are no checkpoint; give an empty or another folder")
    tensors = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().cpu().to(dtype).contiguous()
        if not stored.isfinite().all():
            raise CheckpointError(f"{name} holds values that {dtype} cannot store; export in float32 or resume an older state")
        tensors[name] = stored
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
            raise CheckpointError(f"{path} is over {_MAX_INFO_BYTES >> 20} MiB and no model description; get this model again")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{folder} is no checkpoint: it has no {INFO}; give a folder that `export` or `import` made") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); make it readable first") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON; get this model again") from error
    if not isinstance(values, dict) or not isinstance(values.get("model"), str) or not isinstance(values.get("config"), dict):
        raise CheckpointError(f"{path} does not name a model and its config; get this model again")
    version = values.pop("version", None)
    if version != VERSION:
        raise CheckpointError(f"{path} has format version {version!r}, and this studio reads {VERSION}; update the studio")
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

    The weights must be the very ones that model.json's sha256 names: pictures carry that hash as their model's identity.
    """
    info = read_info(folder)
    try:
        config = info.network_config()
    except StudioError as error:
        raise CheckpointError(f"{folder / INFO}: {error}") from error
    with torch.device("meta"):
        network = info.family.build(config)
    path = folder / WEIGHTS
    weights = read_weights(path, {name: tuple(t.shape) for name, t in network.state_dict().items()})
    if (found := sha256(path)) != info.sha256:
        raise CheckpointError(
            f"{path} is not the file {INFO} describes: its sha256 is {found[:12]}, not {info.sha256[:12] or 'stated'}; "
            "get this model again"
        )
    network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def read_weights(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors of exactly the expected names and shapes, as float32. Raises CheckpointError naming what differs."""
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}
            _compare(path, {name: tuple(s.get_shape()) for name, s in found.items()}, expected)
            odd = [name for name, s in found.items() if s.get_dtype() not in _DTYPES]
            if odd:
                raise CheckpointError(f"{path}: {odd[0]} is {found[odd[0]].get_dtype()}, not one of {', '.join(sorted(_DTYPES))}")
            weights = {name: _restride(file.get_tensor(name).float()) for name in expected}
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; get this model again") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is corrupt or no safetensors file ({error}); get this model again") from error
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
        raise CheckpointError(f"{path} does not fit its model.json: it {'; it '.join(problems)}; get this model again")
