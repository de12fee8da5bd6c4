"""Checkpoints that other programs wrote, recognised by what they hold and turned into checkpoint folders of ours.

One format a file, which registers itself in FORMATS. Files are read by `studio.formats.pickles`, which executes
nothing, or as safetensors; neither their names nor their suffixes matter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from studio.capabilities import NoiseGenerator
from studio.checkpoint import ModelInfo, save_checkpoint
from studio.config import Config
from studio.errors import CheckpointError, StudioError, stop_if
from studio.files import sha256
from studio.formats._card import GRID, card
from studio.formats._safetensors import is_safetensors, read_safetensors
from studio.formats.pickles import NAMES, Contents, read_pickle, view
from studio.images import encode_jpeg, grid
from studio.models import MODELS
from studio.registry import Registry

NOT_STATED = "not stated in the file; ask where it comes from"
_PREVIEWS, _PREVIEW_PSI = 4, 0.7
_NAMED = 6  # of the wrong keys, at most


@dataclass(frozen=True)
class Imported:
    """What a format has made of a file: one of our models, its settings, and weights by our names.

    weights: of any floating point, and may view the file. They must be all that the network stores, and no more.
    """

    model: str  # a name in MODELS
    config: Config
    weights: Mapping[str, Tensor]
    licence: str = NOT_STATED  # of the weights
    data: str = ""  # what it was trained on, if the file says so
    kimg: float = 0.0
    training: Mapping[str, Any] = field(default_factory=dict)  # figures with their names, for the card


@dataclass(frozen=True)
class Format:
    """One foreign format.

    matches: whether contents are of this format; it looks at keys, names and shapes, and takes what
    another format would take for false. read: what they are in our terms; raises CheckpointError for what it refuses,
    and any exception for weights that do not fit together.
    names: what its files name besides what all weights need; such things become inert Records.
    """

    title: str
    matches: Callable[[Contents], bool]
    read: Callable[[Contents], Imported]
    names: frozenset[str] = frozenset()


FORMATS: Registry[Format] = Registry("format", package=__name__)


def read_contents(path: Path) -> Contents:
    """What a file of weights holds, of any known format. Raises CheckpointError."""
    data = view(path)
    if is_safetensors(data):
        return read_safetensors(path, data)
    return read_pickle(path, frozenset().union(*(FORMATS.get(name).names for name in FORMATS)))


def recognise(path: Path) -> str:
    """The name in FORMATS of a file's format. Raises CheckpointError."""
    return _format_of(read_contents(path))


def convert(path: Path, out: Path, cancelled: Callable[[], bool] = lambda: False) -> Path:
    """Turn a file into the checkpoint folder `out`, with a card and a preview.

    A checkpoint already at `out` is replaced; a folder with anything else in it is refused. Raises CheckpointError,
    DiskError; Cancelled once `cancelled` says so, which is asked between the steps, and then nothing is at `out`.
    """
    contents = read_contents(path)
    name = _format_of(contents)
    stop_if(cancelled)
    found = _read(name, contents)
    stop_if(cancelled)
    network = build(found, path.name)
    stop_if(cancelled)
    info = ModelInfo(
        model=found.model,
        config=found.config.to_dict(),
        sha256="",
        title=path.stem[:100],
        data=found.data,
        licence=found.licence,
        kimg=found.kimg,
        training={
            "imported_from": path.name[:200], "imported_format": name, "imported_sha256": sha256(path),
            **found.training,
        },
    )
    picture = _preview(network, path.name, cancelled)
    files = {GRID: encode_jpeg(picture)} if picture is not None else {}
    text = card(info, FORMATS.get(name).title, bool(files))
    # what was read in half precision is stored in it; nothing else is rounded
    half = all(t.dtype == torch.float16 for t in found.weights.values() if t.is_floating_point())
    return save_checkpoint(out, info, network, text, files, dtype=torch.float16 if half else torch.float32)


def build(found: Imported, name: str) -> nn.Module:
    """The network of what was imported, on the CPU, in float32 and in eval mode. Raises CheckpointError.

    `name` is what messages call the file. The network is laid out without memory first: a file that pretends to be
    of terabytes meets the sizes of its own tensors.
    """
    family = MODELS.get(found.model)
    try:
        with torch.device("meta"):
            expected = family.build(found.config).state_dict()
    except StudioError as error:
        raise CheckpointError(f"{name} has settings that do not go together: {error}") from error
    _compare(name, found.weights, expected)
    weights = {key: found.weights[key].detach().to(like.dtype).clone() for key, like in expected.items()}
    if bad := [key for key, tensor in weights.items() if not tensor.isfinite().all()]:
        raise CheckpointError(f"{name}: {bad[0]} holds values that are not finite; get it again")
    with torch.random.fork_rng(devices=[]):  # the file has tensors of the same shapes: there is memory for these
        network = family.build(found.config)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _format_of(contents: Contents) -> str:
    for name in FORMATS:
        form = FORMATS.get(name)
        try:
            if contents.names <= form.names | NAMES and form.matches(contents):
                return name
        except Exception:  # of what pretends to be of one format, another may still be right
            continue
    known = ", ".join(FORMATS.get(name).title for name in FORMATS)
    kind = f"{contents.path.name} holds nothing of a kind that is known here"
    restore = "a network for restoration is used as it is: restore --model FILE"
    raise CheckpointError(f"{kind}; give one of: {known} ({restore})")


def _read(name: str, contents: Contents) -> Imported:
    form = FORMATS.get(name)
    try:
        return form.read(contents)
    except CheckpointError:
        raise
    except Exception as error:  # weights that pretend to be of a kind meet any exception there is
        why = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        looks = f"{contents.path.name} looks like {form.title} and does not fit it"
        raise CheckpointError(f"{looks} ({why}); get it again") from error


def _compare(name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    problems = []
    if missing := [key for key in expected if key not in found]:
        problems.append("lacks " + ", ".join(missing[:_NAMED]))
    if extra := [key for key in found if key not in expected]:
        problems.append("has the unknown " + ", ".join(extra[:_NAMED]))
    for key, like in expected.items():
        if key in found and found[key].shape != like.shape:
            problems.append(f"has {key} of shape {list(found[key].shape)}, not {list(like.shape)}")
            break
    if problems:
        raise CheckpointError(f"{name} does not fit the kind that it looks like: it {'; it '.join(problems)}")


def _preview(network: nn.Module, name: str, cancelled: Callable[[], bool]) -> Tensor | None:
    """Some pictures side by side [C, H, W], of a network that makes them from noise."""
    if not isinstance(network, NoiseGenerator):
        return None
    z = torch.randn(_PREVIEWS, network.z_dim, generator=torch.Generator().manual_seed(0))
    c = torch.zeros(_PREVIEWS, network.classes)
    c[:, :1] = 1  # the first class, of a model with classes
    pictures = []
    with torch.inference_mode():
        for one_z, one_c in zip(z.split(1), c.split(1)):
            stop_if(cancelled)
            pictures.append(network.generate(one_z, one_c, psi=_PREVIEW_PSI))
    pictures = torch.cat(pictures)
    if not pictures.isfinite().all():
        raise CheckpointError(f"{name} draws numbers that are not finite; get it again")
    return grid(pictures.clamp(-1, 1), columns=2)
