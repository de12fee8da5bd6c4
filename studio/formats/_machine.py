"""A pickle machine that builds plain data and calls nothing.

Python's own unpickler imports and calls what a file names, and its memo and buffers grow to what a file claims. This
one reads the same words (`_opcodes`), but a name stays a name, what is "called" is looked up in a table of ours
(`_values`), and everything is counted.
"""

import pickle
from collections.abc import Callable, Collection, Mapping
from typing import Any

from studio.formats._opcodes import MAX_NAME, Budget, Refusal, shown, words
from studio.formats._values import BUILDERS, INERT, Builder, Name, Record, key_of, set_state

MAX_NESTING = 100  # NVIDIA's come to 30

_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False}
_VALUES = (
    pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.LONG4, pickle.BINFLOAT,
    pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8, pickle.SHORT_BINBYTES, pickle.BINBYTES,
    pickle.BINBYTES8,
)
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_EMPTY: Mapping[bytes, Callable[[], Any]] = {
    pickle.EMPTY_DICT: dict, pickle.EMPTY_LIST: list, pickle.EMPTY_TUPLE: tuple, pickle.EMPTY_SET: set,
}


def _nothing_outside(what: object) -> Any:
    raise Refusal("refers to something outside of itself")


class Machine:
    """Reads pickles with one allow-list and one budget.

    names: further names, kept inert; builders: further names with what they give. `asked` collects what was named.
    persistent: what gives a thing for its persistent id (a tensor's numbers, in torch's files).
    """

    def __init__(
        self,
        budget: Budget,
        names: Collection[str] = (),
        builders: Mapping[str, Builder] | None = None,
        persistent: Callable[[object], Any] = _nothing_outside,
    ) -> None:
        self.budget, self._persistent = budget, persistent
        self._builders = {**BUILDERS, **(builders or {})}
        self._names = INERT | set(names)
        self.asked: set[str] = set()

    def read(self, data: memoryview, start: int = 0) -> tuple[Any, int]:
        """The value of the pickle that begins at `start`, and where it ends. Raises Refusal."""
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        at = start
        for (code, value), at in words(data, start, self.budget):
            if code == pickle.STOP:
                break
            self._step(code, value)
        found = self._pop()
        check_nesting(found)
        return found, at

    def _step(self, code: bytes, value: Any) -> None:
        push = self._stack.append
        if code in _VALUES:
            push(value)
        elif code in (pickle.BINPUT, pickle.LONG_BINPUT):
            self._memo[value] = self._top()
        elif code == pickle.MEMOIZE:
            self._memo[len(self._memo)] = self._top()
        elif code in (pickle.BINGET, pickle.LONG_BINGET):
            if value not in self._memo:
                raise Refusal("refers back to what it does not hold")
            push(self._memo[value])
        elif code == pickle.MARK:
            self._marks.append(len(self._stack))
        elif code in _EMPTY:
            push(_EMPTY[code]())
        elif code in _CONSTANTS:
            push(_CONSTANTS[code])
        elif code in _TUPLES:
            push(tuple(reversed([self._pop() for _ in range(_TUPLES[code])])))
        elif code == pickle.TUPLE:
            push(tuple(self._pop_mark()))
        elif code == pickle.LIST:
            push(self._pop_mark())
        elif code == pickle.DICT:
            push(_put({}, self._pop_mark()))
        elif code == pickle.FROZENSET:
            push({key_of(item) for item in self._pop_mark()})
        elif code == pickle.SETITEM:
            value, key = self._pop(), self._pop()
            _put(self._top(), [key, value])
        elif code == pickle.SETITEMS:
            items = self._pop_mark()
            _put(self._top(), items)
        elif code == pickle.APPEND:
            item = self._pop()
            _extend(self._top(), [item])
        elif code == pickle.APPENDS:
            items = self._pop_mark()
            _extend(self._top(), items)
        elif code == pickle.ADDITEMS:
            items = self._pop_mark()
            if not isinstance(self._top(), set):
                raise Refusal("adds to a set where there is none")
            self._top().update(map(key_of, items))
        elif code == pickle.GLOBAL:
            push(self._name(value))
        elif code == pickle.STACK_GLOBAL:
            name, module = self._pop(), self._pop()
            if not isinstance(name, str) or not isinstance(module, str):
                raise Refusal("asks for something without a name")
            push(self._name(f"{module}.{name}"))
        elif code in (pickle.REDUCE, pickle.NEWOBJ):
            args, function = self._pop(), self._pop()
            push(self._made(function, args))
        elif code == pickle.BUILD:
            state = self._pop()
            set_state(self._top(), state, self.budget)
        elif code == pickle.BINPERSID:
            push(self._persistent(self._pop()))
        elif code == pickle.POP:
            self._discard()
        elif code == pickle.POP_MARK:
            self._pop_mark()
        elif code == pickle.DUP:
            push(self._top())
        # PROTO and FRAME say nothing that is needed

    def _name(self, text: str) -> Name:
        if len(text) > MAX_NAME:
            raise Refusal(f"asks for something whose name is longer than {MAX_NAME} characters")
        if text not in self._builders and text not in self._names:
            raise Refusal(f"asks for {shown(text)}, which no weights need and which may be a program")
        self.asked.add(text)
        return Name(text)

    def _made(self, function: object, args: object) -> Any:
        if not isinstance(function, Name) or not isinstance(args, tuple):
            raise Refusal("calls something that has no name")
        if function.text in self._builders:
            return self._builders[function.text](args, self.budget)
        return Record(function.text, args)

    def _floor(self) -> int:
        return self._marks[-1] if self._marks else 0

    def _top(self) -> Any:
        if len(self._stack) <= self._floor():
            raise Refusal("is damaged: it takes what it has not put down")
        return self._stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        self._stack.pop()
        return value

    def _pop_mark(self) -> list[Any]:
        if not self._marks:
            raise Refusal("is damaged: it takes what it has not put down")
        floor = self._marks.pop()
        items = self._stack[floor:]
        del self._stack[floor:]
        return items

    def _discard(self) -> None:
        """Python's POP takes a mark where one is on top."""
        if self._marks and len(self._stack) == self._marks[-1]:
            self._marks.pop()
        else:
            self._pop()


def _put(target: object, items: list[Any]) -> dict:
    if not isinstance(target, dict) or len(items) % 2:
        raise Refusal("sets items of what is no dictionary")
    target.update(zip(map(key_of, items[::2]), items[1::2]))
    return target


def _extend(target: object, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise Refusal("appends to what is no list")
    target.extend(items)


def check_nesting(root: object) -> None:
    """Raises Refusal where something lies deeper than MAX_NESTING within others, by its shortest way."""
    level, seen = [root], {id(root)}
    for _ in range(MAX_NESTING):
        level = [part for value in level for part in _parts(value) if id(part) not in seen and not seen.add(id(part))]
        if not level:
            return
    raise Refusal(f"nests its contents more than {MAX_NESTING} deep, which no network does")


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        found = list(value.values())
    elif isinstance(value, (list, tuple)):
        found = list(value)
    elif isinstance(value, Record):
        found = [value.args, value.state]
    else:
        return []
    return [part for part in found if isinstance(part, (dict, list, tuple, Record))]
