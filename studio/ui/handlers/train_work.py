"""What takes long in the train tab: looking at pictures, measuring, films, checkpoints; each a task of the desk.

A result that the page reads is JSON; a film and a checkpoint are files for the person.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.dataset import Report, examine
from studio.errors import Cancelled, RunError, SettingError, StudioError
from studio.runfolder import RunFolder
from studio.sources import open_source
from studio.timeline import timeline
from studio.trainfilm import TrainFilm, film_training
from studio.ui.desks import Kept, check_desk
from studio.ui.handlers.train_pictures import thumb
from studio.ui.handlers.train_recipes import Recipes
from studio.ui.handlers.train_runs import Runs
from studio.ui.services import Services
from studio.ui.tasks import Stopped, Task, Work

MEASURE_S = 45.0  # of steps, at most
AROUND_S = 12.0  # for the start of the process that measures, and its trial of threads
MAX_CARD = 300  # letters of each of a card's texts
CARD = ("title", "data_note", "data_licence", "licence")
THUMBS = 6  # of each finding
TRIES = 3  # to read the newest state of a trainer at work
SIDES = tuple(2**i for i in range(3, 12))


class TrainWork:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services, recipes: Recipes, runs: Runs) -> None:
        self.services, self.recipes, self.runs = services, recipes, runs
        self.pictures, self.trainer = recipes.pictures, recipes.trainer

    def begin(self, data: Any) -> dict[str, Any]:
        """Put the job data["job"] in line: look, frames, measure, film, explore or export. Raises StudioError."""
        job = data.get("job") if isinstance(data, dict) else None
        desk = check_desk(data.get("desk") if isinstance(data, dict) else None)
        makers = {
            "look": self._look, "frames": self._frames, "measure": self._measure, "film": self._film,
            "explore": self._explore, "export": self._export,
        }
        if job not in makers:
            raise SettingError(f"{str(job)[:40]!r} is no job; known: {', '.join(makers)}")
        make = makers[job](data)

        def work(task: Task) -> Kept:
            task.say(f"train.job_{job}", job=job)
            try:
                return make(task)
            except Cancelled:
                raise Stopped from None

        return self.services.tasks.start(desk, work)

    def _look(self, data: Any) -> Work:
        """The dataset doctor's report, with small copies of the pictures it speaks of."""
        path, side = self.pictures.path(data), data.get("resolution")
        if side not in SIDES:
            raise SettingError(f"resolution={str(side)[:20]} is none of {', '.join(map(str, SIDES))} (px)")

        def make(task: Task) -> Kept:
            def progress(done: int, total: int) -> None:
                task.say("train.job_look", job="look", i=done, count=total)
                task.progress(0.95 * done / total)

            report = examine(path, side, progress=progress, cancelled=task.cancelled)
            self.recipes.remember(path, report)
            found = {**self._plainly(report), "name": path.name, "source": data["source"]}
            return _json(self.services, task.desk, found)

        return make

    def _plainly(self, report: Report) -> dict[str, Any]:
        """What the page shows of a report."""
        values = report.to_dict()
        told = ("pictures", "classes", "widths", "heights", "resolution", "largest", "cropped")
        kept = {name: values[name] for name in told}
        source = open_source(Path(report.source))
        # of what is alike, all that it is like
        together = {kind: [name for group in values[kind] for name in group] for kind in ("copies", "alike")}
        findings = []
        for finding in values["findings"]:
            seen = finding["kind"] not in ("unreadable", "classes")
            names = together.get(finding["kind"], finding["names"])[:THUMBS] if seen else []
            found = [{"name": name, "picture": picture} for name in names if (picture := thumb(source, name))]
            findings.append({**finding, "names": list(finding["names"]), "thumbs": found})
        return {**kept, "findings": findings}

    def _frames(self, data: Any) -> Work:
        """A film taken apart: {source, skipped}."""
        stills = self.pictures.stills(data)
        return lambda task: _json(self.services, task.desk, stills(task))

    def _measure(self, data: Any) -> Work:
        info, config, watching = self.recipes.read(data)
        path = self.pictures.path(data) if len(info.needs) > 1 or not hasattr(config, "channels") else None
        key = data.get("key")

        def make(task: Task) -> Kept:
            found = self.trainer.plan(path, info.name, config, task.cancelled, seconds=MEASURE_S, watching=watching)
            return _json(self.services, task.desk, {**found.to_dict(), "key": key})

        return make

    def _film(self, data: Any) -> Work:
        run = self.runs.find(data)

        def make(task: Task) -> Kept:
            with self.services.desks.scratch(task.desk) as folder:
                out = folder / f"{run.path.name}.mp4"
                # six samples a second, so that a short training is no slow film
                seconds = min(max(len(timeline(run)) / 6, 3.0), 20.0)
                film_training(
                    run, out, TrainFilm(seconds=seconds, fps=24),
                    progress=lambda done, total: task.progress(done / total), cancelled=task.cancelled,
                )
                return self.services.desks.add(task.desk, out, out.name)

        return make

    def _explore(self, data: Any) -> Work:
        """A snapshot among the person's models, under the run's name and its age: {model}."""
        run, kimg = self._snapshot(data)

        def make(task: Task) -> Kept:
            root = self.services.library.roots[-1]
            name = self._exported(run, kimg, root).name
            return _json(self.services, task.desk, {"model": name})

        return make

    def _export(self, data: Any) -> Work:
        """A snapshot as a checkpoint folder in a zip, with a card that says what data["card"] does."""
        run, kimg = self._snapshot(data)
        words = _card(data.get("card"))

        def make(task: Task) -> Kept:
            with self.services.desks.scratch(task.desk) as folder:
                name = self._exported(run, kimg, folder / "whole", words).name
                packed = shutil.make_archive(str(folder / "packed"), "zip", folder / "whole")
                return self.services.desks.add(task.desk, Path(packed), f"{name}.zip")

        return make

    def _snapshot(self, data: Any) -> tuple[RunFolder, float | None]:
        """Run and kimg of a request; no kimg is the newest one."""
        run, kimg = self.runs.find(data), data.get("kimg")
        found = self.trainer.snapshots(run)
        if not found or (kimg is not None and kimg not in found):
            when = "yet" if kimg is None else f"at {str(kimg)[:20]} kimg any more"
            raise SettingError(f"{run.path.name} has no model {when}; choose another, or wait for its first tick")
        return run, kimg

    def _exported(
        self, run: RunFolder, kimg: float | None, root: Path, words: Mapping[str, str] | None = None
    ) -> Path:
        """The folder within `root` of a snapshot, which bears its name; so does its card, unless `words` say more."""
        for left in reversed(range(TRIES)):
            chosen = self.trainer.snapshots(run)[-1] if kimg is None else kimg
            name = f"{run.path.name} {chosen:g} kimg"
            try:
                return self.trainer.export(run, root / name, chosen, **{"title": name, **(words or {})})
            except (StudioError, FileNotFoundError) as error:
                # A trainer at work keeps its newest two states: one may go while it is read.
                if left and kimg is None:
                    continue
                if isinstance(error, StudioError):
                    raise
                replaced = f"the trainer has replaced its state at {chosen:g} kimg"
                raise RunError(f"{replaced}; choose a newer one") from error
        raise AssertionError("the last try returns or raises")


def _card(asked: Any) -> dict[str, str]:
    """What the person says about a model, without what was left empty. Raises SettingError."""
    words = {}
    for name in CARD:
        text = asked.get(name, "") if isinstance(asked, Mapping) else ""
        if not isinstance(text, str):
            raise SettingError(f"the card's {name} is no text; reload the page")
        text = text.strip()
        if len(text) > MAX_CARD or not text.isprintable():
            has = f"{len(text)} letters" if len(text) > MAX_CARD else "several lines"
            raise SettingError(f"the card's {name} has {has}; give one line of at most {MAX_CARD} letters")
        if text:
            words[name] = text
    return words


def _json(services: Services, desk: str, found: dict[str, Any]) -> Kept:
    return services.desks.write(desk, json.dumps(found).encode(), "result.json")
