"""What the train tab's page may ask for: pictures brought, recipes chosen, trainings begun and watched."""

from typing import Any

from studio.ui.components.live import Answer
from studio.ui.handlers.train_pictures import Pictures
from studio.ui.handlers.train_recipes import Recipes
from studio.ui.handlers.train_runs import Runs
from studio.ui.handlers.train_work import TrainWork
from studio.ui.services import Services


class TrainHandlers:
    """One for the whole server; safe to call from several threads. Every method takes what the page sent."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.pictures = Pictures(services)
        self.recipes = Recipes(services, self.pictures)
        self.runs = Runs(services.trainer, services.jobs, self.pictures)
        self.work = TrainWork(services, self.recipes, self.runs)

    def functions(self) -> list[Any]:
        """By the names under which train.js calls them."""
        pictures, recipes, runs = self.pictures, self.recipes, self.runs
        return [
            pictures.receive, pictures.gather, pictures.gathered, pictures.sets,
            recipes.presets, recipes.save_preset, recipes.delete_preset, recipes.read_preset, recipes.origins,
            recipes.check, recipes.preview, recipes.start,
            runs.runs, runs.follow, runs.act, runs.sample, runs.nearest,
            self.work.begin, self.watch, self.stop, self.take,
        ]

    def watch(self, data: Any) -> Answer:
        return self.services.tasks.watch(data)

    def stop(self, data: Any) -> Answer:
        return self.services.tasks.stop(data)

    def take(self, data: Any) -> Answer:
        return self.services.desks.take(data)
