"""The words of a pickle: where each begins and what it brings along. Nothing is built here.

Only the binary words that programs have written since Python 2.3 are known. The oldest protocol's, which are lines of
text, and those that fetch something from outside of the file (extension codes, out-of-band buffers) are not.
"""

import struct
from collections.abc import Iterator
from pickle import (
    ADDITEMS, APPEND, APPENDS, BINBYTES, BINBYTES8, BINFLOAT, BINGET, BININT, BININT1, BININT2, BINPERSID, BINPUT,
    BINUNICODE, BINUNICODE8, BUILD, DICT, DUP, EMPTY_DICT, EMPTY_LIST, EMPTY_SET, EMPTY_TUPLE, FRAME, FROZENSET,
    GLOBAL, LIST, LONG1, LONG4, LONG_BINGET, LONG_BINPUT, MARK, MEMOIZE, NEWFALSE, NEWOBJ, NEWTRUE, NONE, POP,
    POP_MARK, PROTO, REDUCE, SETITEM, SETITEMS, SHORT_BINBYTES, SHORT_BINUNICODE, STACK_GLOBAL, STOP, TUPLE, TUPLE1,
    TUPLE2, TUPLE3,
)

MAX_WORDS = 500_000  # the largest networks come to 100,000
MAX_TEXT = 64 << 20  # bytes of all texts together: NVIDIA's files bring the source code of their classes
MAX_NAME = 256  # characters of a name
MAX_INTEGER = 256  # bytes of a whole number

_BARE = (
    ADDITEMS, APPEND, APPENDS, BINPERSID, BUILD, DICT, DUP, EMPTY_DICT, EMPTY_LIST, EMPTY_SET, EMPTY_TUPLE, FROZENSET,
    LIST, MARK, MEMOIZE, NEWFALSE, NEWOBJ, NEWTRUE, NONE, POP, POP_MARK, REDUCE, SETITEM, SETITEMS, STACK_GLOBAL,
    STOP, TUPLE, TUPLE1, TUPLE2, TUPLE3,
)
_FIXED = {
    PROTO: "<B", FRAME: "<Q", BINGET: "<B", BINPUT: "<B", LONG_BINGET: "<I", LONG_BINPUT: "<I", BININT: "<i",
    BININT1: "<B", BININT2: "<H", BINFLOAT: ">d",
}
_COUNTED = {
    SHORT_BINUNICODE: "<B", BINUNICODE: "<I", BINUNICODE8: "<Q", SHORT_BINBYTES: "<B", BINBYTES: "<I",
    BINBYTES8: "<Q", LONG1: "<B", LONG4: "<i",
}
_TEXTS = (SHORT_BINUNICODE, BINUNICODE, BINUNICODE8)
_INTEGERS = (LONG1, LONG4)

Word = tuple[bytes, int | float | str | memoryview | None]


class Refusal(Exception):
    """Why a file is not read, as the end of a sentence that begins with its name."""


class Budget:
    """What reading one file may cost, also where pickles lie within pickles. Raises Refusal when it is spent."""

    def __init__(self, file_bytes: int) -> None:
        self._words, self._text, self._tensors = MAX_WORDS, MAX_TEXT, 4 * file_bytes

    def words(self, count: int = 1) -> None:
        self._words -= count
        if self._words < 0:
            raise Refusal(f"takes more than {MAX_WORDS} steps to read, which no network does")

    def text(self, size: int) -> None:
        self._text -= size
        if self._text < 0:
            raise Refusal(f"holds more than {MAX_TEXT >> 20} MiB of text, which no network does")

    def tensor(self, size: int) -> None:
        """One tensor's bytes. Tied weights share memory; thousands of tensors that do are there to fill ours."""
        self._tensors -= size
        if self._tensors < 0:
            raise Refusal("describes tensors of more than four times its size, which no network does")


def shown(text: str) -> str:
    """A stranger's text for a sentence: on one line, and short."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def words(data: memoryview, start: int, budget: Budget) -> Iterator[tuple[Word, int]]:
    """The words of the pickle that begins at `start`, each with the place where the next one begins, up to STOP.

    Counted bytes come as views, not copies. Raises Refusal for what is cut short, unknown or over the budget.
    """
    at, end = start, len(data)
    while at < end:
        budget.words()
        code, at = bytes(data[at : at + 1]), at + 1
        value: int | float | str | memoryview | None = None
        if code in _FIXED:
            (value,), at = _unpack(_FIXED[code], data, at)
        elif code in _COUNTED:
            (size,), at = _unpack(_COUNTED[code], data, at)
            if not 0 <= size <= end - at:
                raise Refusal("is cut short, or lies about the length of what it holds")
            value, at = data[at : at + size], at + size
            if code in _TEXTS:
                budget.text(size)
                value = _text(value)
            elif code in _INTEGERS:
                if size > MAX_INTEGER:
                    raise Refusal(f"holds a whole number of {size} bytes, which no network does")
                value = int.from_bytes(value, "little", signed=True)
        elif code == GLOBAL:
            module, at = _line(data, at)
            name, at = _line(data, at)
            value = f"{module}.{name}"
        elif code not in _BARE:
            raise Refusal("is no pickle, or one of a kind that no network comes in")
        yield (code, value), at
        if code == STOP:
            return
    raise Refusal("is cut short")


def end_of(data: memoryview, start: int, budget: Budget) -> int:
    """Where the pickle that begins at `start` ends."""
    at = start
    for _, at in words(data, start, budget):
        pass
    return at


def _unpack(form: str, data: memoryview, at: int) -> tuple[tuple, int]:
    if at + struct.calcsize(form) > len(data):
        raise Refusal("is cut short")
    return struct.unpack_from(form, data, at), at + struct.calcsize(form)


def _line(data: memoryview, at: int) -> tuple[str, int]:
    line, newline, _ = bytes(data[at : at + MAX_NAME + 1]).partition(b"\n")
    if not newline:
        raise Refusal(f"asks for something whose name is longer than {MAX_NAME} characters")
    return _text(line), at + len(line) + 1


def _text(data: bytes | memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Refusal("holds text that is not UTF-8") from None
