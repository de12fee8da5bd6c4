"""Name -> thing: models, losses, recipes, formats and tabs are found by name; one more file is enough to add one."""

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Generic, TypeVar

from studio.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind, by name.

    `kind` is what a message calls them ("model"). `package`, where given, is a package whose modules register
    themselves when imported; they are imported at the first look-up, so that importing the package stays cheap.
    """

    def __init__(self, kind: str, package: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._discovering = threading.RLock()  # re-entrant: a module may look itself up while it is imported
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator. Raises ValueError if the name is taken: two files claiming one name is a bug, not a choice."""

        def keep(thing: T) -> T:
            if name in self._things:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._things[name] = thing
            return thing

        return keep

    def get(self, name: str) -> T:
        """The thing called `name`. Raises UnknownName, listing the known names."""
        self._discover()
        if name not in self._things:
            known = ", ".join(self.names()) or "none"
            raise UnknownName(f"no {self.kind} named {name!r}; known: {known}")
        return self._things[name]

    def names(self) -> list[str]:
        self._discover()
        return sorted(self._things)

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _discover(self) -> None:
        with self._discovering:  # a second thread waits for the whole list rather than see half of it
            package, self._package = self._package, None
            if package is None:
                return
            try:
                import_all(importlib.import_module(package))
            except BaseException:
                self._package = package  # the next look-up meets the same error, not an empty list of names
                raise


def import_all(package: ModuleType) -> list[ModuleType]:
    """Import every public module of a package (not its sub-packages), in alphabetical order."""
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_"))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]
