"""Restoration networks of the community, from a file of weights: spandrel recognises which of some forty kinds it is.

Only weights are read: a file that brings code with it (TorchScript, pickled classes) is refused. As a rule a file
does not say what its network may be used for; what it says is passed on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from studio.errors import CapabilityError, CheckpointError
from studio.formats._safetensors import read_safetensors
from studio.formats.pickles import read_pickle, view

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor, MaskedImageModelDescriptor

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
MAX_BYTES = 4 << 30
NOT_STATED = "not stated in the file; ask where it comes from"
_LICENCE_KEYS = ("modelspec.license", "license", "licence")


class ForeignInpainter(nn.Module):
    """Fills in what is missing, as `studio.capabilities.Inpainter`."""

    def __init__(self, descriptor: "MaskedImageModelDescriptor", licence: str) -> None:
        super().__init__()
        self.network, self._descriptor = descriptor.model, descriptor
        self.architecture, self.licence = descriptor.architecture.name, licence
        self.multiple = descriptor.size_requirements.multiple_of

    def fill(self, pictures: Tensor, masks: Tensor) -> Tensor:
        x = torch.where(masks > 0, 0.0, (pictures + 1) / 2).contiguous()
        each = [self._descriptor(*pair) for pair in zip(x.split(1), masks.to(x.dtype).split(1))]
        return torch.where(masks > 0, torch.cat(each) * 2 - 1, pictures)


class ForeignUpscaler(nn.Module):
    """Enlarges and cleans, as `studio.capabilities.Upscaler`; at a scale of 1, strength is how much is cleaned."""

    def __init__(self, descriptor: "ImageModelDescriptor", licence: str) -> None:
        super().__init__()
        self.network, self._descriptor = descriptor.model, descriptor
        self.architecture, self.licence = descriptor.architecture.name, licence
        self.scale = descriptor.scale

    def upscale(self, pictures: Tensor, strength: Tensor) -> Tensor:
        x = ((pictures.clamp(-1, 1) + 1) / 2).contiguous()  # some of these networks view it as rows of channels
        if self._descriptor.input_channels == 1:  # each colour for itself
            planes = [self._descriptor(plane) for plane in x.flatten(0, 1)[:, None].split(1)]
            made = torch.cat(planes).view(len(x), 3, x.shape[2] * self.scale, x.shape[3] * self.scale)
        else:
            made = torch.cat([self._descriptor(one) for one in x.split(1)])
        made = made * 2 - 1
        return torch.lerp(pictures, made, strength.view(-1, 1, 1, 1).to(made)) if self.scale == 1 else made


ForeignNetwork = ForeignInpainter | ForeignUpscaler


def facts_of(network: ForeignNetwork) -> dict[str, Any]:
    """What a page tells of it: {does: fills or enlarges, architecture, licence, scale}."""
    does = "fills" if isinstance(network, ForeignInpainter) else "enlarges"
    scale = getattr(network, "scale", 1)
    return {"does": does, "architecture": network.architecture, "licence": network.licence, "scale": scale}


def read_foreign(path: Path) -> ForeignNetwork:
    """A network from a file of weights, on the CPU.

    Raises CheckpointError for what is no such file, damaged, brings code, or is of an unknown kind; CapabilityError
    for a kind that is of no use here, and where spandrel is not installed.
    """
    try:
        import spandrel  # takes seconds
    except ImportError as error:
        lacks = f"{path.name} needs the package spandrel"
        raise CapabilityError(f"{lacks}; install it with: pip install spandrel") from error
    weights, licence = _read(path)
    try:
        with torch.inference_mode(False):
            weights = {k: v for k, v in spandrel.canonicalize_state_dict(weights).items() if isinstance(v, Tensor)}
            found = spandrel.ModelLoader().load_from_state_dict(weights)
    except spandrel.UnsupportedModelError as error:
        kinds = f"one of the {len(spandrel.MAIN_REGISTRY.architectures())} kinds that spandrel knows"
        raise CheckpointError(f"{path.name} is not {kinds}; choose another file") from error
    except Exception as error:  # weights that pretend to be of a kind meet any exception there is
        why = " ".join(str(error).split())[:120]
        looks = f"{path.name} looks like a known network and does not fit it"
        raise CheckpointError(f"{looks} ({why}); get it again") from error
    found.model.requires_grad_(False)
    if isinstance(found, spandrel.MaskedImageModelDescriptor):
        if (found.input_channels, found.output_channels) == (3, 3):
            return ForeignInpainter(found, licence).eval()
    elif (found.input_channels, found.output_channels) in ((3, 3), (1, 1)):
        return ForeignUpscaler(found, licence).eval()
    channels = f"{found.input_channels} channels to {found.output_channels}"
    raise CapabilityError(f"{path.name} ({found.architecture.name}) turns {channels}; choose one for colour pictures")


def _read(path: Path) -> tuple[Mapping[str, Any], str]:
    """A file's weights, perhaps in a dictionary among others, and its licence."""
    if path.suffix.lower() not in SUFFIXES:
        raise CheckpointError(f"{path.name} does not end in one of {', '.join(SUFFIXES)}; give a file of weights")
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}; check the name")
    if (size := path.stat().st_size) > MAX_BYTES:
        limit = f"over the limit of {MAX_BYTES / 1e9:.1f}"
        raise CheckpointError(f"{path.name} has {size / 1e9:.1f} GB, {limit}; give a smaller one")
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return _read_pickled(path), NOT_STATED


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], str]:
    contents = read_safetensors(path, view(path))
    licence = next((str(contents.said[key])[:200] for key in _LICENCE_KEYS if contents.said.get(key)), NOT_STATED)
    return contents.value, licence


def _read_pickled(path: Path) -> Mapping[str, Any]:
    found = read_pickle(path).value
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise CheckpointError(f"{path.name} holds a {type(found).__name__}, not weights; give another file")
    return found
