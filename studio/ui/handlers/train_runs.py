"""What the train tab's page may ask of runs: a list, one that is watched, its pictures; pause, resume, stop, delete.

A run's name is the page's word: `Jobs.run` finds it among those there are before a path is made of it.
"""

import contextlib
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from studio.errors import RunError, SettingError, StudioError
from studio.job import Status, log_path, read_job
from studio.jobs import Jobs
from studio.progress import Progress
from studio.recent import Recent
from studio.runfolder import RunFolder
from studio.timeline import Sample, timeline
from studio.training import RecipeInfo, Trainer
from studio.ui.components.live import Answer, data_url
from studio.ui.handlers.train_pictures import Pictures, jpeg

POINTS = 400  # of a line in a chart
TREND = 120  # means that are drawn over a line of twice as many values and more
MOMENTS = 1000  # of the timeline of samples
LONG_S = 10.0  # a longer timeline is looked through again at most this often: that takes most of a second
WARNINGS = 4  # the latest
MAX_KIMG = 1e6
FOLLOWED = 32  # runs whose progress is kept in memory
THUMB_PX, SAMPLE_PX = 112, 1024
LOG_BYTES = 12_000  # of the log's end
ACTS = ("pause", "resume", "stop", "kill", "delete")
_NO_LINES = {"eta_s", "trained_s", "memory_bytes"}  # of progress, told in words
_ORDER = ("running", "starting", "stopping", "pausing", "paused", "queued")


class Runs:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, trainer: Trainer, jobs: Jobs, pictures: Pictures) -> None:
        self.trainer, self.jobs, self.pictures = trainer, jobs, pictures
        self._progress: Recent[Progress] = Recent(FOLLOWED)
        self._thumbs: Recent[str] = Recent(4 * FOLLOWED)
        self._timelines: Recent[_Timeline] = Recent(FOLLOWED)

    def runs(self, data: Any) -> Answer:
        """Every run, those at work first, then the latest: {runs, problem}.

        data: {have: name -> the sample that the page shows}.
        """
        have = data.get("have") if isinstance(data, Mapping) else None
        have = have if isinstance(have, dict) else {}
        queue = self.jobs.queue()
        found = [(status, self.jobs.root / status.name) for status in self.jobs.all()]
        place = {state: i for i, state in enumerate(_ORDER)}
        found.sort(key=lambda one: (place.get(one[0].state, len(_ORDER)), -_born(one[1])))
        rows = []
        for status, folder in found:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                rows.append(self._row(status, RunFolder(folder), queue, have.get(status.name)))
        return {"runs": rows, "problem": self.jobs.problem}

    def follow(self, data: Any) -> Answer:
        """All about one run. What the page has is left out; of a long run it gets a bounded part. Raises RunError.

        data: {run, have: {ticks, samples, log}}: `stamp` and `timeline` of an earlier answer, and log_size, below 0
        for no log.
        """
        have = data.get("have") if isinstance(data, Mapping) and isinstance(data.get("have"), dict) else {}
        run = self.find(data)
        status = self.jobs.status(run.path.name)
        progress = self._progress.get(run.path, lambda: Progress(run))
        progress.read()
        latest, samples, info = progress.latest, self._samples(run), self._recipe(run)
        stamp = f"{progress.ticks}:{latest.get('step', 0)}"
        answer: Answer = {
            **_told(status), **self._planned(run), "place": _place(self.jobs.queue(), status.name),
            "kimg": max(status.kimg, latest.get("kimg", 0.0)), "stamp": stamp, "timeline": samples.stamp,
            "warnings": progress.warnings[-WARNINGS:],
            "pairs": _stamp(run.path / "nearest.jpg"), "begun": run.config_path.exists(),
            "explorable": bool(info and info.explorable),
            "command": _quietly(lambda: self.jobs.command(status.name), ""),
            "snapshots": list(_quietly(lambda: self.trainer.snapshots(run), ())),
            "best": _quietly(lambda: self.trainer.best(run), None),
        }
        now = ("images_per_s", "eta_s", "memory_bytes", "trained_s")
        answer |= {name: latest[name] for name in now if name in latest}
        if have.get("ticks") != stamp:
            names = [name for name in progress.names() if name not in _NO_LINES]
            answer["series"] = {name: _short(progress.series(name, POINTS)) for name in names}
            answer["trends"] = {name: _short(progress.trend(name, TREND)) for name in names}
        if have.get("samples") != answer["timeline"]:
            answer["samples"] = [sample.kimg for sample in samples.shown]
        if type(have.get("log")) is int and have["log"] != -1:
            answer |= _log(run, have["log"])
        return answer

    def act(self, data: Any) -> Answer:
        """Pause, resume, stop, kill or delete a run. Raises RunError for what it cannot do at the moment.

        One that has ended is resumed up to data["kimg"], where that is given.
        """
        run, act = self.find(data), data.get("act")
        if act not in ACTS:
            raise SettingError(f"{str(act)[:40]!r} is nothing a run can do; known: {', '.join(ACTS)}")
        if act == "resume":
            self.jobs.resume(run.path.name, self._longer(run, data.get("kimg")))
        else:
            getattr(self.jobs, act)(run.path.name)
        return {"run": run.path.name}

    def sample(self, data: Any) -> Answer:
        """The sample grid of data["kimg"] as a JPEG of at most 1024 px: {picture, kimg}."""
        run, kimg = self.find(data), data.get("kimg")
        known = type(kimg) in (int, float) and 0 <= kimg <= MAX_KIMG
        if not known or not (path := run.samples / f"{kimg:08.3f}.jpg").is_file():
            raise RunError(f"{run.path.name} has no sample at {str(kimg)[:20]} kimg; choose another")
        return {"picture": _jpeg(path, SAMPLE_PX), "kimg": kimg}

    def nearest(self, data: Any) -> Answer:
        """Samples above the training pictures that are most like them: {picture}."""
        path = self.find(data).path / "nearest.jpg"
        if not path.exists():
            raise RunError("nothing was measured yet; wait for the first measurement")
        return {"picture": _jpeg(path, SAMPLE_PX)}

    def find(self, data: Any) -> RunFolder:
        """The run that a request is about. Raises RunError, SettingError."""
        name = data.get("run") if isinstance(data, Mapping) else None
        if not isinstance(name, str):
            raise SettingError("the request names no run; reload the page")
        return self.jobs.run(name)

    def _longer(self, run: RunFolder, kimg: Any) -> tuple[str, ...]:
        """Words that make the run as long as that, once it is valid for its recipe. Raises SettingError."""
        info = self._recipe(run)
        if kimg is None or info is None or kimg == self._length(run)["total"]:
            return ()
        return ("--kimg", f"{info.settings.from_dict({'kimg': kimg}).to_dict()['kimg']!r}")

    def _row(self, status: Status, run: RunFolder, queue: list[str], shown: Any) -> Answer:
        row = {**_told(status), "place": _place(queue, status.name), **self._length(run)}
        samples = self._samples(run).shown
        if samples and str(samples[-1].kimg) != shown:
            row |= {"sample": str(samples[-1].kimg), "thumb": self._thumb(samples[-1])}
        return row

    def _samples(self, run: RunFolder) -> "_Timeline":
        found = self._timelines.get(run.samples, _Timeline)
        found.read(run)
        return found

    def _thumb(self, sample: Sample) -> str:
        """The first pictures of a grid, so large that something can be seen of them; empty for damaged ones."""

        def make() -> str:
            with contextlib.suppress(OSError), Image.open(sample.path) as grid:
                corner = grid.convert("RGB").crop((0, 0, max(1, grid.width // 2), max(1, grid.height // 2)))
                return jpeg(corner, THUMB_PX)
            return ""

        return self._thumbs.get((sample.path, _stamp(sample.path)), make)

    def _planned(self, run: RunFolder) -> Answer:
        """What the run was asked to do, as far as it can be read: recipe, side, total, pictures, settings, source."""
        stored = _quietly(run.config, {}) if run.config_path.exists() else {}
        values = stored.get("settings") if isinstance(stored.get("settings"), dict) else {}
        found = _quietly(run.dataset, {})
        data = stored.get("data") if isinstance(stored.get("data"), str) else ""
        info = self._recipe(run)
        defaults = info.settings().to_dict() if info else {}
        differing = {k: v for k, v in values.items() if k in defaults and v != defaults[k]}
        return {
            "recipe": info.name if info else "", **self._length(run),
            "side": values.get("resolution") or _word(run, "--resolution") or defaults.get("resolution", 0),
            "pictures": found.get("pictures") if type(found.get("pictures")) is int else 0,
            "data": Path(data).name, "source": self.pictures.known(Path(data)) if data else None,
            "settings": differing if info and values else None,
        }

    def _length(self, run: RunFolder) -> Answer:
        """{total: kimg}, from the settings, else from the words it waits with."""
        stored = _quietly(run.config, {}) if run.config_path.exists() else {}
        settings = stored.get("settings")
        info = self._recipe(run)
        total = settings.get("kimg") if isinstance(settings, dict) else None
        if total is None:
            total = _word(run, "--kimg") or (info and getattr(info.settings(), "kimg", None))
        return {"total": total if type(total) in (int, float) else 0}

    def _recipe(self, run: RunFolder) -> RecipeInfo | None:
        name = _quietly(run.config, {}).get("recipe") if run.config_path.exists() else None
        if name is None and (job := _quietly(lambda: read_job(run), None)) and job.words:
            name = job.words[0]
        return _quietly(lambda: self.trainer.recipe(name), None) if isinstance(name, str) else None


def _word(run: RunFolder, flag: str) -> float | None:
    """The number after a flag in the words that a run waits with."""
    job = _quietly(lambda: read_job(run), None)
    if job is None or flag not in job.words[:-1]:
        return None
    with contextlib.suppress(ValueError):
        number = float(job.words[job.words.index(flag) + 1])
        return int(number) if number.is_integer() else number
    return None


def _told(status: Status) -> Answer:
    return {"name": status.name, "state": status.state, "message": status.message, "kimg": status.kimg}


def _place(queue: list[str], name: str) -> int:
    """In the queue, from 1 on; 0 outside it."""
    return queue.index(name) + 1 if name in queue else 0


def _quietly(ask: Any, otherwise: Any) -> Any:
    """What `ask` returns; a damaged folder must not keep the page from showing the rest of it."""
    try:
        return ask()
    except StudioError:
        return otherwise


def _born(folder: Path) -> float:
    for name in ("job.json", "config.json"):
        with contextlib.suppress(OSError):
            return (folder / name).stat().st_mtime
    return time.time()


def _stamp(path: Path) -> str:
    try:
        return str(path.stat().st_mtime_ns)
    except OSError:
        return ""


def _short(line: tuple[list[float], list[float]]) -> tuple[list[float], list[float]]:
    """A line of a chart in as many digits as can be seen: half of what is sent would be noise."""
    return line[0], [float(f"{value:.5g}") for value in line[1]]


class _Timeline:
    """The samples of one run, of a hundred thousand as many as a slider can show: the first and the last among them.

    `stamp` changes where they do.
    """

    def __init__(self) -> None:
        self.shown: list[Sample] = []
        self.stamp = ""
        self._changed, self._due = -1, 0.0

    def read(self, run: RunFolder) -> None:
        """Look through the folder, if that has changed."""
        try:
            changed = run.samples.stat().st_mtime_ns
        except OSError:
            changed = 0  # there is none yet
        if changed == self._changed or time.monotonic() < self._due:
            return
        found = timeline(run)
        last = len(found) - 1
        if last >= MOMENTS:
            self._due = time.monotonic() + LONG_S
            self.shown = [found[round(i * last / (MOMENTS - 1))] for i in range(MOMENTS)]
        else:
            self.shown = found
        self.stamp = f"{len(found)}:{found[-1].kimg}" if found else ""
        self._changed = changed


def _log(run: RunFolder, had: int) -> Answer:
    """{log, log_size} of the log's end, where its size is another than `had`."""
    try:
        with open(log_path(run), "rb") as file:
            size = file.seek(0, io.SEEK_END)
            if size == had:
                return {}
            file.seek(max(0, size - LOG_BYTES))
            return {"log": file.read().decode(errors="replace").strip(), "log_size": size}
    except OSError:
        return {"log": "", "log_size": 0}


def _jpeg(path: Path, longest: int) -> str:
    """Raises RunError for a damaged file."""
    try:
        with Image.open(path) as picture:
            if max(picture.size) <= longest:
                return data_url("jpeg", path.read_bytes())
            return jpeg(picture, longest)
    except OSError as error:
        raise RunError(f"{path.name} is damaged; choose another moment of the training") from error
