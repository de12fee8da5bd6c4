"""Weights in a .safetensors file: numbers and a JSON header, whose size is looked at before it is parsed."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from studio.errors import CheckpointError
from studio.formats.pickles import Contents

MAX_HEADER_BYTES = 16 << 20  # a few hundred bytes a tensor


def is_safetensors(data: memoryview) -> bool:
    """Whether a file begins with a length and a JSON object."""
    return bytes(data[8:9]) == b"{"


def read_safetensors(path: Path, data: memoryview) -> Contents:
    """Tensors by name. Raises CheckpointError."""
    header = int.from_bytes(data[:8], "little")
    if header > MAX_HEADER_BYTES:
        says = f"{path.name} says that its header has {header} bytes, over the limit of {MAX_HEADER_BYTES}"
        raise CheckpointError(f"{says}; get it again")
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            said = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is corrupt or no safetensors file ({error}); get it again") from error
    return Contents(path, weights, frozenset(), said)
