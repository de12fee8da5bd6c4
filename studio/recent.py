"""The last few things that took long to make, by what they were made of."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Holds `most` things; the one unused for longest makes room. Safe to call from several threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._things: OrderedDict[Hashable, T] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of that key, made where there is none. Two threads that ask at the same time may both make it."""
        with self._guard:
            if key in self._things:
                self._things.move_to_end(key)
                return self._things[key]
        thing = make()  # without the guard: making may wait for the device, whose holder may be waiting here
        with self._guard:
            self._things[key] = thing
            while len(self._things) > self.most:
                self._things.popitem(last=False)
        return thing
