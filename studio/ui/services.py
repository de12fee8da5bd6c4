"""What a tab may use. Tests pass fakes of the same shape."""

import functools
from dataclasses import dataclass, field

from studio.checkpoint import read_info
from studio.engine import Engine
from studio.errors import StudioError
from studio.explore import Explorer, ExploreSettings
from studio.jobs import Jobs
from studio.library import Library
from studio.style import Stylist
from studio.training import Trainer
from studio.ui.desks import Desks
from studio.ui.shelf import Shelf
from studio.ui.tasks import Tasks


@dataclass(frozen=True)
class Services:
    """The installed models, what makes pictures with them, what visitors brought, and trainings.

    trainer: none where visitors may not train, and then there is no such tab. paths: whether the page is
    of somebody who sits at this machine: it may name its folders, and install, delete and publish models
    under this person's login.
    """

    library: Library
    explorer: Explorer
    desks: Desks = field(default_factory=Desks)
    tasks: Tasks = field(default_factory=Tasks)
    transfers: Tasks = field(default_factory=Tasks)  # what waits for a network or a disk, and for no device
    jobs: Jobs = field(default_factory=Jobs)
    trainer: Trainer | None = None
    paths: bool = False

    @classmethod
    def on(
        cls, library: Library, device: str = "auto", *, trainer: Trainer | None = None, paths: bool = False
    ) -> "Services":
        """Raises DeviceError if this machine has no such device."""
        return cls(library, Explorer(Engine(library, device)), trainer=trainer, paths=paths)

    @property
    def engine(self) -> Engine:
        return self.explorer.engine

    @functools.cached_property
    def shelf(self) -> Shelf:
        return Shelf(self.desks)

    @functools.cached_property
    def _stylists(self) -> dict[str, Stylist]:
        return {}

    def stylist(self, model: str) -> Stylist:
        """Raises UnknownName."""
        self.library.find(model)  # the page's word: only names of models may fill the dictionary
        return self._stylists.setdefault(model, Stylist(self.engine, model))

    def models(self, task: str) -> list[str]:
        """Names of the installed models of a tab. Folders that cannot be read are left out: the page must open."""
        return [name for name in self.library.names() if self._task(name) == task]

    def opening(self) -> ExploreSettings:
        """What a first visit shows: the defaults, of a model that is installed where there is one."""
        settings, names = ExploreSettings(), self.models("explore")
        return settings if settings.model in names or not names else settings.replace(model=names[0])

    def close(self) -> None:
        """Stop what is being made, and forget what visitors brought. Trainings go on."""
        self.jobs.close()
        self.tasks.close()
        self.transfers.close()
        self.desks.close()

    def _task(self, name: str) -> str | None:
        try:
            return read_info(self.library.find(name)).family.task
        except StudioError:
            return None
