"""The one reader of pickles: bare ones, torch's zip files, and torch's files from before 1.6. It executes nothing.

    contents = read_pickle(path, names)
    contents.value      dicts, lists, numbers, texts, Tensors that view the file, and inert Records

A file may name what is on a fixed list (`_values.BUILDERS`, `_values.INERT` and the `names` that formats declare);
any other name is refused. Sizes, steps, texts, nesting and the shapes of tensors are checked against limits and
against the file before anything is made of them (docs/security.md).
"""

import mmap
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from studio.errors import CheckpointError
from studio.formats._machine import Machine
from studio.formats._opcodes import Budget, Refusal
from studio.formats._values import (
    BLANKS, BUILDERS, INERT, MAX_NUMEL, STORAGES, Blank, Name, Storage, check_order, key_of,
)
from studio.formats._zip import entries, is_zip

MAX_BYTES = 4 << 30
_LOAD_FROM_BYTES = "torch.storage._load_from_bytes"
NAMES = frozenset(BUILDERS) | INERT | {_LOAD_FROM_BYTES}  # what any file may name
_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds. `names` are the classes and functions that it names; `said` is what a .safetensors
    file says of itself."""

    path: Path
    value: Any
    names: frozenset[str]
    said: Mapping[str, str] = field(default_factory=dict)


def read_pickle(path: Path, names: Collection[str] = ()) -> Contents:
    """Read a file. `names` may be named besides those that all weights need; they become inert Records.

    Tensors view the file: the file must stay as it is while they are used, and copying one (`clone`) is what takes
    memory. Raises CheckpointError.
    """
    try:
        data = view(path)
        budget = Budget(len(data))
        if is_zip(data):
            value, asked = _read_zip(data, names, budget)
        elif is_legacy(data):
            value, asked = _read_legacy(data, names, budget)
        else:
            machine = Machine(budget, names, {_LOAD_FROM_BYTES: _load_from_bytes})
            value, end = machine.read(data)
            asked = machine.asked
            if end != len(data):
                raise Refusal("holds more behind its end")
    except Refusal as error:
        raise CheckpointError(f"{path.name} {error}; get it again, or as .safetensors") from error
    return Contents(path, value, frozenset(asked))


def view(path: Path) -> memoryview:
    """A file's bytes, without reading them. Raises CheckpointError for what is no file, empty or too large."""
    if not path.is_file():  # a pipe or device would never end
        raise CheckpointError(f"there is no file {path}; check the name")
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if not size:
                raise CheckpointError(f"{path.name} is empty (0 bytes); get it again")
            if size > MAX_BYTES:
                limit = f"over the limit of {MAX_BYTES / 1e9:.1f}"
                raise CheckpointError(f"{path.name} has {size / 1e9:.1f} GB, {limit}; give a smaller one")
            # copy on write: torch warns of memory that cannot be written, and the file stays as it is
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); make it readable first") from error


def is_legacy(data: memoryview) -> bool:
    """Whether a file begins with torch's number from before 1.6."""
    return _LEGACY_MAGIC.to_bytes(10, "little") in bytes(data[:32])


# --- torch's zip


def _read_zip(data: memoryview, names: Collection[str], budget: Budget) -> tuple[Any, set[str]]:
    parts = entries(data)
    roots = [name.removesuffix("data.pkl") for name in parts if name.endswith("/data.pkl")]
    if any(name.endswith(("constants.pkl", ".py")) for name in parts):
        raise Refusal("is a TorchScript program, not weights")
    if len(roots) != 1:
        raise Refusal("is a zip of other things than weights")
    root = roots[0]
    check_order(bytes(parts.get(f"{root}byteorder", b"little")[:16]).decode("latin-1"))
    storages: dict[str, Storage] = {}

    def persistent(what: object) -> Storage:
        dtype, key, numel = _storage_id(what)
        if key not in storages:
            if (part := parts.get(f"{root}data/{key}")) is None:
                raise Refusal("lacks the numbers of a tensor")
            storages[key] = _storage(part, dtype, numel)
        return storages[key]

    machine = Machine(budget, names, persistent=persistent)
    pickled = parts[f"{root}data.pkl"]
    value, end = machine.read(pickled)
    if end != len(pickled):
        raise Refusal("holds more behind the end of its list")
    return value, machine.asked


# --- torch before 1.6: five pickles, then the numbers


def _read_legacy(data: memoryview, names: Collection[str], budget: Budget) -> tuple[Any, set[str]]:
    header = Machine(budget)
    magic, at = header.read(data)
    protocol, at = header.read(data, at)
    system, at = header.read(data, at)
    if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise Refusal("is of an unknown version of torch's files")
    check_order("little" if system.get("little_endian") else "big")

    # The numbers come behind what refers to them: a first reading learns where they are, a second makes tensors.
    kinds: dict[str, tuple[torch.dtype, int]] = {}

    def note(what: object) -> Blank:
        dtype, key, numel = _storage_id(what)
        kinds[key] = dtype, numel
        return Blank()

    _, end = Machine(budget, names, BLANKS, note).read(data, at)
    keys, end = header.read(data, end)
    if not isinstance(keys, list) or set(map(key_of, keys)) != set(kinds) or len(keys) != len(kinds):
        raise Refusal("has no proper list of its tensors")
    storages: dict[str, Storage] = {}
    for key in keys:
        dtype, numel = kinds[key]
        if end + 8 > len(data) or int.from_bytes(data[end : end + 8], "little") != numel:
            raise Refusal("is cut short, or lies about the size of a tensor")
        begin, end = end + 8, end + 8 + numel * dtype.itemsize
        storages[key] = _storage(data[begin:end], dtype, numel)
    if end != len(data):
        raise Refusal("holds more behind its end")
    machine = Machine(budget, names, persistent=lambda what: storages[_storage_id(what)[1]])
    return machine.read(data, at)[0], machine.asked


def _load_from_bytes(args: tuple, budget: Budget) -> Storage:
    """Numbers that lie in a pickle as a file of torch's of their own: NVIDIA's do, and no further level is read."""
    if len(args) != 1 or not isinstance(args[0], memoryview) or not is_legacy(args[0]):
        raise Refusal("holds numbers in an unknown form")
    found, _ = _read_legacy(args[0], (), budget)
    if not isinstance(found, Storage):
        raise Refusal("holds numbers in an unknown form")
    return found


# --- numbers


def _storage_id(what: object) -> tuple[torch.dtype, str, int]:
    """Kind, key and count of numbers, from ("storage", kind, key, device, count) and perhaps None."""
    sized = isinstance(what, tuple) and 5 <= len(what) <= 6
    if not sized or what[0] != "storage" or what[5:] not in ((), (None,)):
        raise Refusal("refers to something outside of itself")
    _, kind, key, _, numel = what[:5]
    if not isinstance(kind, Name) or kind.text not in STORAGES:
        raise Refusal("has a tensor of numbers of an unknown kind")
    if not isinstance(key, str) or type(numel) is not int or not 0 <= numel <= MAX_NUMEL:
        raise Refusal("has a tensor of no possible size")
    return STORAGES[kind.text], key, numel


def _storage(data: memoryview, dtype: torch.dtype, numel: int) -> Storage:
    if len(data) != numel * dtype.itemsize:
        raise Refusal(f"says that a tensor has {numel} numbers, and holds {len(data)} bytes of it")
    return Storage(data, dtype)
