"""What a tab may use. Tests pass fakes of the same shape."""

from dataclasses import dataclass

from studio.checkpoint import read_info
from studio.engine import Engine
from studio.errors import StudioError
from studio.explore import Explorer, ExploreSettings
from studio.library import Library


@dataclass(frozen=True)
class Services:
    """The installed models, and what makes pictures with them."""

    library: Library
    explorer: Explorer

    @classmethod
    def on(cls, library: Library, device: str = "auto") -> "Services":
        """Raises DeviceError if this machine has no such device."""
        return cls(library, Explorer(Engine(library, device)))

    def models(self, task: str) -> list[str]:
        """Names of the installed models of a tab. Folders that cannot be read are left out: the page must open."""
        return [name for name in self.library.names() if self._task(name) == task]

    def opening(self) -> ExploreSettings:
        """What a first visit shows: the defaults, of a model that is installed where there is one."""
        settings, names = ExploreSettings(), self.models("explore")
        return settings if settings.model in names or not names else settings.replace(model=names[0])

    def _task(self, name: str) -> str | None:
        try:
            return read_info(self.library.find(name)).family.task
        except StudioError:
            return None
