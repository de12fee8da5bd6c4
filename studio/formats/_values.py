"""What a pickle may ask for, by name, and what it gets: numbers, tensors that view the file, and inert records.

This list is the whole of it. Its functions are ours: none imports, calls or looks up what the file names.
"""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from studio.formats._opcodes import Budget, Refusal, shown

MAX_DIMS = 8
MAX_NUMEL = 1 << 40


class Name:
    """A class or function that the file names, on the allow-list. A name and no more: nothing was looked up."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Record:
    """What the file would have had made: the name of its class, what it was given, and its state, all inert."""

    __slots__ = ("name", "args", "state")

    def __init__(self, name: str, args: tuple = (), state: Any = None) -> None:
        self.name, self.args, self.state = name, args, state


class Storage:
    """Numbers of one kind, as a view of the file."""

    __slots__ = ("data", "dtype", "_flat")

    def __init__(self, data: memoryview, dtype: torch.dtype) -> None:
        self.data, self.dtype, self._flat = data, dtype, None

    @property
    def numel(self) -> int:
        return len(self.data) // self.dtype.itemsize

    def flat(self) -> Tensor:
        if self._flat is None:
            dtype = torch.uint8 if self.dtype is torch.bool else self.dtype
            # frombuffer refuses what is empty
            self._flat = torch.frombuffer(self.data, dtype=dtype, count=self.numel) if self.numel else torch.empty(0)
        return self._flat


class Blank:
    """Stands for numbers, and for what is made of them, until it is known where they are."""

    __slots__ = ()


class Array:
    """A numpy array that waits for its state; `values` then is a Tensor."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: Tensor | None = None


class Dtype:
    """A numpy type: a kind and a width, as in "f4"."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code


STORAGES = {
    "torch.DoubleStorage": torch.float64, "torch.FloatStorage": torch.float32, "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16, "torch.LongStorage": torch.int64, "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16, "torch.CharStorage": torch.int8, "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_NUMPY = {
    "f8": torch.float64, "f4": torch.float32, "f2": torch.float16, "i8": torch.int64, "i4": torch.int32,
    "i2": torch.int16, "i1": torch.int8, "u1": torch.uint8, "b1": torch.bool,
}
# Named, kept as a name or an inert record, and no more.
INERT = frozenset(
    STORAGES.keys()
    | {f"torch.{str(dtype).removeprefix('torch.')}" for dtype in STORAGES.values()}
    # kinds of values, as a defaultdict's
    | {f"{module}.{kind}" for module in ("builtins", "__builtin__") for kind in ("dict", "float", "int", "list")}
    | {
        "argparse.Namespace", "numpy.ndarray", "pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath",
        "pathlib.PurePosixPath", "torch.device", "torch.nn.parameter.Parameter",
    }
)


def tensor_of(storage: object, offset: object, size: object, stride: object, budget: Budget) -> Tensor:
    """A tensor that views a storage. Raises Refusal if it would reach beyond it, or be more than it."""
    if not isinstance(storage, Storage):
        raise Refusal("has a tensor without numbers")
    if not (_whole(offset) and _wholes(size) and _wholes(stride)) or not len(size) == len(stride) <= MAX_DIMS:
        raise Refusal("has a tensor of no possible shape")
    if math.prod(max(n, 1) for n in size) > MAX_NUMEL:
        raise Refusal(f"has a tensor of more than {MAX_NUMEL} numbers")
    numel = math.prod(size)
    budget.tensor(numel * storage.dtype.itemsize)
    if numel == 0:
        return torch.empty(size, dtype=storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if last >= storage.numel or numel > storage.numel:
        raise Refusal(f"has a tensor of {numel} numbers where the file holds {storage.numel}")
    found = storage.flat().as_strided(size, stride, offset)
    # any other byte than 0 and 1 in a bool is undefined behaviour
    return found.ne(0) if storage.dtype is torch.bool else found


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMEL


def _wholes(values: object) -> bool:
    return isinstance(values, tuple) and all(map(_whole, values))


def check_order(order: str) -> None:
    """Raises Refusal if numbers are stored in another byte order than this machine's."""
    if order != sys.byteorder:
        raise Refusal(f"was written on a {shown(order)}-endian machine")


def key_of(value: object) -> Any:
    """A key of a dictionary or member of a set. Raises Refusal for what takes long, or deep recursion, to hash."""
    if value is None or isinstance(value, str) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    raise Refusal(f"has a {type(value).__name__} for the key of a dictionary")


# --- what each name gives: (arguments, budget) -> value


def _mapping(args: tuple, budget: Budget) -> dict:
    """OrderedDict, defaultdict, Counter, EasyDict: a plain dict of the pairs, if any."""
    pairs = [arg for arg in args if not isinstance(arg, Name)]  # a defaultdict's factory
    if not pairs:
        return {}
    if len(pairs) > 1 or not isinstance(pairs[0], (dict, list, tuple)):
        raise Refusal("has a dictionary of no possible form")
    items = list(pairs[0].items()) if isinstance(pairs[0], dict) else pairs[0]
    budget.words(len(items))
    if not all(isinstance(item, (list, tuple)) and len(item) == 2 for item in items):
        raise Refusal("has a dictionary of no possible form")
    return {key_of(key): value for key, value in items}


def _set(args: tuple, budget: Budget) -> set:
    items = args[0] if args else []
    if len(args) > 1 or not isinstance(items, (list, tuple)):
        raise Refusal("has a set of no possible form")
    budget.words(len(items))
    return {key_of(item) for item in items}


def _size(args: tuple, budget: Budget) -> tuple:
    if len(args) != 1 or not isinstance(args[0], (list, tuple)) or len(args[0]) > MAX_DIMS:
        raise Refusal("has a size of no possible form")
    return tuple(args[0])


def _encode(args: tuple, budget: Budget) -> memoryview:
    """Bytes, as the second protocol stores them."""
    if len(args) != 2 or not isinstance(args[0], str) or args[1] not in ("latin1", "latin-1"):
        raise Refusal("has bytes in an unknown form")
    budget.text(len(args[0]))
    try:
        return memoryview(bytearray(args[0], "latin-1"))
    except UnicodeEncodeError:
        raise Refusal("has bytes in an unknown form") from None


def _tensor(args: tuple, budget: Budget) -> Tensor:
    if len(args) < 4:
        raise Refusal("has a tensor of no possible form")
    return tensor_of(*args[:4], budget)


def _parameter(args: tuple, budget: Budget) -> Tensor:
    if not args or not isinstance(args[0], Tensor):
        raise Refusal("has a parameter that is no tensor")
    return args[0]


def _array(args: tuple, budget: Budget) -> Array:
    if not args or not isinstance(args[0], Name) or args[0].text != "numpy.ndarray":
        raise Refusal("has an array of an unknown kind")
    return Array()


def _dtype(args: tuple, budget: Budget) -> Dtype:
    if not args or not isinstance(args[0], str):
        raise Refusal("has an array of an unknown kind")
    if args[0] not in _NUMPY:
        raise Refusal(f"has an array of {shown(args[0])}, not of numbers")
    return Dtype(args[0])


def _scalar(args: tuple, budget: Budget) -> int | float | bool:
    if len(args) != 2 or not isinstance(args[0], Dtype) or not isinstance(args[1], memoryview):
        raise Refusal("has a number of no possible form")
    return _numbers(args[0], args[1], (), budget).item()


def _numbers(dtype: Dtype, data: memoryview, shape: tuple, budget: Budget) -> Tensor:
    kind, stride = _NUMPY[dtype.code], []
    for n in reversed(shape):
        stride.insert(0, math.prod(shape[len(shape) - len(stride) :]))
    if not _wholes(shape) or math.prod(shape) * kind.itemsize != len(data):
        raise Refusal("has an array that lies about its size")
    return tensor_of(Storage(data, kind), 0, shape, tuple(stride), budget)


Builder = Callable[[tuple, Budget], Any]
BUILDERS: Mapping[str, Builder] = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "collections.Counter": _mapping,
    "dnnlib.util.EasyDict": _mapping,
    **{f"{module}.{kind}": _set for module in ("builtins", "__builtin__") for kind in ("set", "frozenset")},
    "_codecs.encode": _encode,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "numpy.dtype": _dtype,
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}

# The same without the numbers.
BLANKS: Mapping[str, Builder] = {
    name: lambda args, budget: Blank() for name, build in BUILDERS.items() if build in (_tensor, _parameter)
}


def set_state(value: object, state: object, budget: Budget) -> None:
    """What BUILD does. Raises Refusal for what can have no state."""
    if isinstance(value, Record):
        value.state = state
    elif isinstance(value, Array):
        value.values = _array_of(state, budget)
    elif isinstance(value, Dtype):
        # (version, byte order, subtype, names, fields, size, alignment, flags)
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise Refusal("has an array of more than plain numbers")
        if state[1] not in ("|", "=", {"little": "<", "big": ">"}[sys.byteorder]):
            raise Refusal("has an array in another byte order than this machine's")
    elif not isinstance(value, (dict, Tensor, Blank)):  # what these carry besides is of no use here
        raise Refusal(f"gives a state to a {type(value).__name__}")


def _array_of(state: object, budget: Budget) -> Tensor:
    # (version, shape, dtype, whether columns come first, bytes)
    if not isinstance(state, tuple) or len(state) != 5:
        raise Refusal("has an array of no possible form")
    _, shape, dtype, columns_first, data = state
    if not isinstance(dtype, Dtype) or not isinstance(data, memoryview):
        raise Refusal("has an array of things that are no numbers")
    if not _wholes(shape) or len(shape) > MAX_DIMS:
        raise Refusal("has an array of no possible shape")
    if columns_first:
        return _numbers(dtype, data, shape[::-1], budget).permute(*reversed(range(len(shape))))
    return _numbers(dtype, data, shape, budget)
