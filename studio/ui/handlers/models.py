"""What the models tab's page may ask for: what is installed, what the Hub has, work that takes long."""

from typing import Any

from studio.ui.handlers.models_hub import ModelsHub
from studio.ui.handlers.models_library import ModelsLibrary
from studio.ui.handlers.models_work import ModelsWork
from studio.ui.services import Services


class ModelsHandlers:
    """One for the whole server; safe to call from several threads. Every method takes what the page sent."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.shelf = ModelsLibrary(services)
        self.hub = ModelsHub(self.shelf)
        self.work = ModelsWork(self.hub)

    def functions(self) -> list[Any]:
        """By the names under which models.js calls them; a visitor's page has those alone that change nothing."""
        shelf, hub, work = self.shelf, self.hub, self.work
        everybody = [shelf.models, shelf.about, shelf.draw]
        if not self.services.paths:
            return everybody
        return [
            *everybody, shelf.rename, shelf.remove,
            hub.catalogue, hub.preview, hub.search, hub.look, hub.glimpse, hub.cache, hub.forget,
            work.receive, work.prepare, work.begin, work.watch, work.stop, work.take,
        ]
