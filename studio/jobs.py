"""Training runs as processes of their own: queued one a device, paused, resumed, stopped, deleted.

Nothing is kept in memory that matters. What is wanted of a run stands in its job.json; `tick` compares that with what
is so and takes the next step, as often as it is called and by whichever studio: kill the page, start it again, and the
next tick goes on. The trainers outlive the studio that started them.
"""

import contextlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from studio.device import choose_device
from studio.errors import DeviceError, RunError, SettingError, StudioError
from studio.files import disk_errors
from studio.job import MAX_TRIES, Job, Status, job_path, log_path, process_of, read_job, status, write_job
from studio.library import home
from studio.processes import ProcessId
from studio.runfolder import RunFolder

TRAIN = (sys.executable, "-m", "train")
PERIOD_S = 1.0
NICE = 10  # a training on the processor leaves it to the page first
_log = logging.getLogger(__name__)
_PROJECT = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[^\W_][\w .-]{0,79}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # Windows writes to a device instead


class Jobs:
    """The runs below one folder. Any number of threads and of studios may share it."""

    def __init__(self, root: Path | None = None, train: Sequence[str] = TRAIN) -> None:
        """root: where the runs are, ~/.atelier/runs unless given. train: the command that trains."""
        self.root = (root or home() / "runs").absolute()
        self.problem = ""  # what kept the latest tick from its work, in a sentence
        self._train = tuple(train)
        self._children: list[subprocess.Popen] = []
        self._turn = threading.RLock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # What there is.

    def names(self) -> list[str]:
        """Of all runs, by name."""
        if not self.root.is_dir():
            return []
        found = (RunFolder(folder) for folder in self.root.iterdir() if not folder.name.startswith("."))
        return sorted(run.path.name for run in found if run.config_path.is_file() or job_path(run).is_file())

    def run(self, name: str) -> RunFolder:
        """The folder of the run called `name`, which is never a path. Raises RunError, listing the known ones."""
        if name not in self.names():
            raise RunError(f"no run named {name!r}; known: {', '.join(self.names()) or 'none'}")
        return RunFolder(self.root / name)

    def status(self, name: str) -> Status:
        return status(self.run(name))

    def all(self) -> list[Status]:
        """How every run is, by name."""
        return [status(RunFolder(self.root / name)) for name in self.names()]

    def queue(self) -> list[str]:
        """Names of the runs that wait for a device, the next one first."""
        return [run.path.name for _, run in self._waiting()]

    def command(self, name: str) -> str:
        """What begins the run on a command line, as it can be copied; empty for one that was begun by hand."""
        run = self.run(name)
        job = read_job(run)
        if job is None or not job.words:
            return ""
        return shlex.join(["python", "-m", "train", *job.words, "--run", str(run.path), "--device", job.device])

    # What is asked for.

    def submit(self, name: str, words: Sequence[str], device: str = "auto", restart: bool = False) -> RunFolder:
        """Queue a run. It begins with the next tick at which its device is free.

        words: recipe and flags of `python -m train`, without --run and --device, with absolute paths. restart: go on
        by itself after a crash or a reboot. Raises RunError for a name that is taken, SettingError for one that
        cannot be a folder's, DeviceError for a device that this machine lacks.
        """
        if not _NAME.fullmatch(name) or name.endswith((" ", ".")) or _RESERVED.fullmatch(name):
            raise SettingError(
                f"{name[:90]!r} cannot be a run's name; give 1..80 letters, digits, spaces, dots or dashes, "
                "a letter first"
            )
        choose_device(device)
        run = RunFolder(self.root / name)
        with self._turn:
            with disk_errors(run.path):
                self.root.mkdir(parents=True, exist_ok=True)
                try:
                    run.path.mkdir()  # of two studios that ask at once, one has it
                except FileExistsError:
                    taken = f"a run named {name!r} exists; choose another name, or delete that one first"
                    raise RunError(taken) from None
            write_job(run, Job(tuple(words), device, time.time(), restart=restart))
        return run

    def pause(self, name: str) -> None:
        """Save, and wait with the device held. Raises RunError for a run that is not at work."""
        with self._asking(name) as (run, now):
            if not now.alive or now.state == "stopping":
                raise RunError(f"{name!r} is {now.state}, and only a run at work can be paused; stop it or resume it")
            if job := read_job(run):
                write_job(run, job.replace(wanted="pause"))
            run.request_pause()

    def resume(self, name: str, changes: Sequence[str] = (), device: str | None = None) -> None:
        """Go on after a pause at once, or after an end when the device is free.

        changes: words of `python -m train resume`, such as --kimg 500; only after an end. Raises RunError for a run
        that is at work.
        """
        with self._asking(name) as (run, now):
            job = read_job(run)
            if now.state in ("paused", "pausing"):
                if changes:
                    raise RunError(f"{name!r} is {now.state}, and settings change at a start only; stop it first")
                if job:
                    write_job(run, job.replace(wanted="run"))
                run.clear_requests()
                return
            if now.alive or now.state == "queued":
                raise RunError(f"{name!r} is {now.state}; wait for it, or stop it first")
            job = job or Job()
            choose_device(device or job.device)
            run.clear_requests()
            run.exit_path.unlink(missing_ok=True)
            write_job(run, job.replace(
                wanted="run", queued=time.time(), changes=tuple(changes), spawned=None, device=device or job.device,
                tries=0,
            ))

    def stop(self, name: str) -> None:
        """Save and end, or leave the queue.

        The process is gone a step later. Raises RunError if it has ended already.
        """
        with self._asking(name) as (run, now):
            if not now.alive and now.state not in ("queued", "interrupted"):
                raise RunError(f"{name!r} is {now.state} already; resume it, open it or delete it")
            if job := read_job(run):
                write_job(run, job.replace(wanted="stop"))
            if now.alive:
                run.request_stop()

    def kill(self, name: str, grace_s: float = 5.0) -> None:
        """End a run's processes without saving; its newest state stays.

        For a trainer that does not answer to `stop`.
        """
        with self._asking(name) as (run, _):
            at_work, job = process_of(run), read_job(run)
            if job:
                write_job(run, job.replace(wanted="stop"))
            for process in {job.spawned if job else None, at_work[0] if at_work else None} - {None}:
                process.end(grace_s)
            self._bury()

    def delete(self, name: str) -> None:
        """Remove a run and all it made. Raises RunError while it is at work."""
        with self._asking(name) as (run, now):
            if now.alive:
                raise RunError(f"{name!r} is {now.state}; stop it before you delete it")
            # Under a hidden name first: a removal that is cut short leaves no half of a run in the list.
            gone = run.path.with_name(f".{name}.deleted")
            with disk_errors(run.path):
                shutil.rmtree(gone, ignore_errors=True)
                os.replace(run.path, gone)
            shutil.rmtree(gone, ignore_errors=True)

    # What is done about it.

    def tick(self) -> None:
        """Hand on what is wanted, and start what waits where a device is free.

        Raises StudioError for the first run with which that failed, when all others have been seen to.
        """
        with self._turn, contextlib.ExitStack() as stack:
            self._bury()
            if not self.root.is_dir():
                return
            try:
                stack.enter_context(self._lock(timeout=0))
            except Timeout:
                return  # another studio is at it
            busy, refused = set(), []
            for name in self.names():
                try:
                    busy |= _holds(RunFolder(self.root / name))
                except StudioError as error:
                    refused.append(error)
            for job, run in self._waiting():
                try:
                    if (key := _key(job.device)) not in busy:
                        self._start(run, job)
                        busy.add(key)
                except StudioError as error:
                    refused.append(error)
        if refused:
            raise refused[0]

    def open(self) -> None:
        """Tick once a second, in a thread, until `close`."""
        if self._thread is None:
            self._closing.clear()
            self._thread = threading.Thread(target=self._keep, name="jobs", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop ticking. The trainers go on."""
        if self._thread is not None:
            self._closing.set()
            self._thread.join()
            self._thread = None

    def _keep(self) -> None:
        while not self._closing.is_set():
            try:
                self.tick()
                self.problem = ""
            except StudioError as error:
                self.problem = str(error)  # a full disk, say: the next tick may find it mended
            except Exception as error:  # whatever it is: without this thread no training would begin any more
                _log.exception("the trainings could not be seen to")
                self.problem = f"the trainings met an error ({error}); they are tried again every second"
            self._closing.wait(PERIOD_S)

    @contextlib.contextmanager
    def _asking(self, name: str) -> Iterator[tuple[RunFolder, Status]]:
        with self._turn:
            run = self.run(name)
            # Not while another studio starts it: what is asked for would be overwritten.
            with self._lock():
                yield run, status(run)

    @contextlib.contextmanager
    def _lock(self, timeout: float = -1) -> Iterator[None]:
        """What studios take turns by. Raises Timeout after so many seconds, and DiskError."""
        lock = FileLock(self.root / ".jobs.lock", timeout=timeout)
        with disk_errors(self.root / ".jobs.lock"):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _waiting(self) -> list[tuple[Job, RunFolder]]:
        """Runs that would start if their device were free, the next one first."""
        found = []
        for name in self.names():
            run = RunFolder(self.root / name)
            state = status(run).state
            if state not in ("queued", "interrupted") or (job := read_job(run)) is None or job.wanted != "run":
                continue
            if state == "queued" or (job.restart and (job.tries < MAX_TRIES or run.kimg() > job.tries_kimg)):
                found.append((job, run))
        return sorted(found, key=lambda one: (one[0].queued, one[1].path.name))

    def _start(self, run: RunFolder, job: Job) -> None:
        begun = run.config_path.exists()
        if not begun and not job.words:
            raise RunError(f"{run.path} has neither a config.json nor a command to begin with; delete this run")
        words = ["resume", str(run.path), *job.changes] if begun else [*job.words, "--run", str(run.path)]
        words += ["--device", job.device]
        with disk_errors(log_path(run)):
            log = open(log_path(run), "ab", buffering=0)
        with log:
            with disk_errors(log_path(run)):
                log.write(f"\n$ python -m train {shlex.join(words)}\n".encode())
            child = subprocess.Popen(
                [*self._train, *words], cwd=_PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # a Ctrl-C for the page is none for the training
            )
        self._children.append(child)
        further = run.kimg() > job.tries_kimg
        tries = 1 if job.spawned is None or further else job.tries + 1
        spawned = ProcessId.of(child.pid) or ProcessId(child.pid, "gone at once")
        write_job(run, job.replace(spawned=spawned, changes=(), tries=tries, tries_kimg=run.kimg()))
        if choose_device(job.device).type == "cpu":
            with contextlib.suppress(psutil.Error):
                psutil.Process(child.pid).nice(NICE if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)

    def _bury(self) -> None:
        """Let go of children that have ended: until their parent has asked, they stay in the process list."""
        self._children = [child for child in self._children if child.poll() is None]


def _holds(run: RunFolder) -> set[str]:
    """The device of a run that is at work, which is told again what is wanted of it."""
    if not status(run).alive:
        return set()
    job, at_work = read_job(run), process_of(run)
    _remind(run, job)
    device = at_work[1] if at_work else job.device if job else None  # it may have ended meanwhile
    if device is None:
        return set()
    try:
        return {_key(device)}
    except DeviceError:  # one that this studio cannot see, and hence gives to nobody
        return set()


def _remind(run: RunFolder, job: Job | None) -> None:
    """A trainer clears STOP and PAUSE as it starts, and with them one that was meant for it."""
    if job and job.wanted == "stop" and not run.stop_requested:
        run.request_stop()
    if job and job.wanted == "pause" and not run.pause_requested:
        run.request_pause()


def _key(device: str) -> str:
    """One name a device: auto and cuda are cuda:0 where that is what they mean."""
    chosen = choose_device(device)
    return f"{chosen.type}:{chosen.index or 0}"
