"""One training run as the studio sees it: what it was asked to do (job.json), and how it is.

How it is follows from the run folder and the process list alone, so that a studio that was killed and started again
sees the same. Who writes what: job.json, STOP and PAUSE the studio; process.json, exit.json and the rest the trainer.
"""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from studio.errors import RunError, StudioError
from studio.files import write_json
from studio.processes import ProcessId
from studio.runfolder import RunFolder, read_json

VERSION = 1
WANTED = ("run", "pause", "stop")
MAX_TRIES = 3  # of a run that ends without a word and without another state
_TAIL_BYTES = 16384


@dataclass(frozen=True)
class Job:
    """What the studio was asked to do with a run."""

    words: tuple[str, ...] = ()  # of `python -m train`, without --run and --device; empty for a run begun by hand
    device: str = "auto"
    queued: float = 0.0  # seconds since 1970; the queue's order
    wanted: str = "run"
    restart: bool = False  # go on by itself after a crash or a reboot
    changes: tuple[str, ...] = ()  # words for the next `resume`
    spawned: ProcessId | None = None  # the process of the latest start; None while it waits for its turn
    tries: int = 0  # starts since the newest state, after ends without a word
    tries_kimg: float = 0.0

    def replace(self, **changes: Any) -> "Job":
        return replace(self, **changes)


@dataclass(frozen=True)
class Status:
    """How a run is.

    state: queued, starting, running, pausing, paused, stopping; or it has ended: done, stopped, failed, interrupted
    (its process vanished without a word). `message` is a sentence for the last three, empty otherwise.
    """

    name: str
    state: str
    message: str = ""
    kimg: float = 0.0  # of the newest state

    @property
    def alive(self) -> bool:
        return self.state in ("starting", "running", "pausing", "paused", "stopping")


def job_path(run: RunFolder) -> Path:
    return run.path / "job.json"


def log_path(run: RunFolder) -> Path:
    return run.path / "train.log"


def write_job(run: RunFolder, job: Job) -> None:
    values = asdict(job) | {"words": list(job.words), "changes": list(job.changes)}
    write_json(job_path(run), {"version": VERSION, **values})


def read_job(run: RunFolder) -> Job | None:
    """None for a run begun by hand. Raises RunError for a job.json that is damaged or of another version."""
    path = job_path(run)
    if not path.exists():
        return None
    stored = read_json(path, f"{path} is gone")
    if stored.get("version") != VERSION:
        found = f"{path} has version {stored.get('version')!r}"
        raise RunError(f"{found}, and this studio reads {VERSION}; use the one that wrote it, or delete the file")
    number = lambda value: type(value) in (int, float) and value == value
    checks = {
        "words": _are_texts, "device": lambda v: isinstance(v, str), "queued": number, "wanted": lambda v: v in WANTED,
        "restart": lambda v: isinstance(v, bool), "changes": _are_texts, "tries": lambda v: type(v) is int,
        "tries_kimg": number,
    }
    if bad := [name for name, fits in checks.items() if not fits(stored.get(name))]:
        raise RunError(f"{path} has no valid {bad[0]!r}; delete the file, and resume the run from its page")
    values = {name: tuple(v) if isinstance(v := stored[name], list) else v for name in checks}
    return Job(**values, spawned=ProcessId.from_dict(stored.get("spawned")))


def process_of(run: RunFolder) -> tuple[ProcessId, str] | None:
    """The trainer at work on a run, and its device; None if there is none. One begun by hand is found as well."""
    try:
        stored = read_json(run.process_path, "")
    except RunError:
        return None
    process = ProcessId.from_dict(stored)
    return (process, str(stored.get("device", "auto"))) if process and process.alive() else None


def status(run: RunFolder) -> Status:
    """How a run is. Never raises for what is in the folder: a damaged file is told in the message."""
    try:
        job = read_job(run)
    except StudioError as error:
        return Status(run.path.name, "failed", str(error), run.kimg())
    at_work = process_of(run) is not None
    if at_work or (job and job.spawned and job.spawned.alive()):
        return Status(run.path.name, _live_state(run, job, at_work), kimg=run.kimg())
    return Status(run.path.name, *_end(run, job), kimg=run.kimg())


def _live_state(run: RunFolder, job: Job | None, at_work: bool) -> str:
    if run.stop_requested or (job and job.wanted == "stop"):
        return "stopping"
    if run.pause_requested or (job and job.wanted == "pause"):
        return "paused" if _saved_since_pause(run) else "pausing"
    if at_work:
        return "running"
    return "stopping" if run.exit_path.exists() else "starting"


def _saved_since_pause(run: RunFolder) -> bool:
    """A pause begins with a state."""
    try:
        return (run.states()[-1] / "state.json").stat().st_mtime >= (run.path / "PAUSE").stat().st_mtime
    except (IndexError, FileNotFoundError):
        return False


def _end(run: RunFolder, job: Job | None) -> tuple[str, str]:
    """State and message of a run without a process."""
    if job and job.spawned is None and job.wanted != "stop":
        return "queued", ""
    if run.exit_path.exists():
        try:
            stored = read_json(run.exit_path, "")
            return str(stored.get("outcome", "failed")), str(stored.get("message", ""))
        except RunError as error:
            return "failed", str(error)
    if job and job.spawned is None:
        return "stopped", "stopped before its turn came"
    if job and job.wanted == "stop":
        return "stopped", f"stopped at {run.kimg():g} kimg"
    if sentence := last_words(run):
        return "failed", sentence
    message = f"its process ended without a word after {run.kimg():g} kimg; resume it to go on from there"
    if job and job.tries >= MAX_TRIES and run.kimg() <= job.tries_kimg:
        message = f"its process ended without a word {job.tries} times at {run.kimg():g} kimg; see {log_path(run).name}"
    return "interrupted", message


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def last_words(run: RunFolder) -> str | None:
    """The sentence with which the latest trainer refused or broke, out of its log; None if it said no such thing."""
    try:
        with open(log_path(run), "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return None
    lines = [line for line in text.rpartition("\n$ ")[2].splitlines() if line.strip()]  # of the latest start
    for line in lines:
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    if any(line.startswith("Traceback ") for line in lines):
        return f"the trainer broke down ({lines[-1].strip()}); see {log_path(run).name}"
    return None
