"""Steps that can be taken back and taken again."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_STEPS = 100


@dataclass(frozen=True)
class History(Generic[T]):
    """A state, those before it and those that were taken back. States are never changed, only replaced."""

    present: T
    past: tuple[T, ...] = ()  # the oldest first
    future: tuple[T, ...] = ()  # the next first

    def done(self, state: T) -> "History[T]":
        """A step further; what was taken back is forgotten, and what lies more than MAX_STEPS behind."""
        return History(state, (*self.past, self.present)[-MAX_STEPS:])

    @property
    def states(self) -> tuple[T, ...]:
        """All of them, in order."""
        return (*self.past, self.present, *self.future)

    def undo(self) -> "History[T]":
        """A step back; itself where there is none."""
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.present, *self.future))

    def redo(self) -> "History[T]":
        """The step that was taken back last; itself where there is none."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.present), self.future[1:])
