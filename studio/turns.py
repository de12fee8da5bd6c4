"""A lock that is handed over in the order in which it was asked for.

Python's own locks let a thread that releases one and asks again go before those that have waited: work that takes the
device many times in a row would keep everyone else out until it is through.
"""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """One thread at a time, first come first served. The thread whose turn it is may enter again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._holder: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._guard:
            if self._holder in (None, me):
                self._holder = me
                self._depth += 1
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append((me, gate))
        try:
            gate.acquire()
        except BaseException:  # Ctrl-C while waiting
            with self._guard:
                if (me, gate) in self._waiting:
                    self._waiting.remove((me, gate))
                else:  # it had just become our turn
                    self._hand_over()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            self._depth -= 1
            if self._depth == 0:
                self._hand_over()

    def mine(self) -> bool:
        """Whether it is this thread's turn."""
        return self._holder == threading.get_ident()

    def _hand_over(self) -> None:
        """To be called with the guard held."""
        if self._waiting:
            self._holder, gate = self._waiting.popleft()
            self._depth = 1
            gate.release()
        else:
            self._holder, self._depth = None, 0
