"""Work that takes longer than a request: begun by a page, watched, stopped; its result is a file on the page's desk.

One task at a time works for the whole server, since they would only share one device; the others wait in line. A desk
has one task; a page that was reloaded finds it again. What nobody watches any more is stopped.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from studio.errors import SettingError, StudioError
from studio.ui.desks import Kept, check_desk

MAX_WAITING = 16
MAX_KEPT = 256  # finished tasks that are remembered
AT_WORK = ("waiting", "running")
UNWATCHED_S = 900.0  # a page in the background asks once a minute
_log = logging.getLogger(__name__)


class Stopped(Exception):
    """Raised within work that was stopped before there was anything to keep."""


@dataclass
class Task:
    """What work sees of its task: whether to go on, and where to say how far it is."""

    desk: str
    number: int
    state: str = "waiting"  # running, done, stopped, failed
    fraction: float = 0.0
    note: str = ""  # a message's key in the locales, with `values`
    values: dict[str, Any] = field(default_factory=dict)
    picture: str = ""  # a data URL: the work as it stands
    pictures: int = 0  # how many were shown
    error: str = ""
    result: Kept | None = None
    seen: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)

    def cancelled(self) -> bool:
        return self.stop.is_set() or time.monotonic() - self.seen > UNWATCHED_S

    def progress(self, fraction: float) -> None:
        self.fraction = min(max(float(fraction), self.fraction), 1.0)

    def say(self, note: str, **values: Any) -> None:
        self.note, self.values = note, values

    def show(self, picture: str) -> None:
        self.picture, self.pictures = picture, self.pictures + 1


Work = Callable[[Task], Kept]


class Tasks:
    """One for the whole server; safe to call from several threads."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, Task] = OrderedDict()  # by desk
        self._guard = threading.Lock()
        self._began = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="task")

    def start(self, desk: str, work: Work) -> dict[str, Any]:
        """Put work in line, and say what `watch` would.

        Raises SettingError if the desk or the server has enough to do.
        """
        check_desk(desk)
        with self._guard:
            at_work = [task for task in self._tasks.values() if task.state in AT_WORK]
            if any(task.desk == desk for task in at_work):
                raise SettingError("something is being made already; wait for it, or stop it first")
            if len(at_work) >= MAX_WAITING:
                raise SettingError(f"{len(at_work)} others are waiting; try again in some minutes")
            self._began += 1
            task = self._tasks[desk] = Task(desk, self._began)
            self._tasks.move_to_end(desk)
            for old in [d for d, t in self._tasks.items() if t.state not in AT_WORK][:-MAX_KEPT]:
                del self._tasks[old]
        self._pool.submit(self._run, task, work)
        return self._report(task, 0)

    def watch(self, data: Any) -> dict[str, Any]:
        """How the desk's task stands, or {} if it has none. data: {desk, shown: pictures that the page has seen}."""
        desk = check_desk(data.get("desk") if isinstance(data, dict) else None)
        shown = data.get("shown")
        with self._guard:
            task = self._tasks.get(desk)
        if task is None:
            return {}
        task.seen = time.monotonic()
        return self._report(task, shown if type(shown) is int else 0)

    def stop(self, data: Any) -> dict[str, Any]:
        """Ask the desk's task to end with what it has; forget one that has ended."""
        desk = check_desk(data.get("desk") if isinstance(data, dict) else None)
        with self._guard:
            task = self._tasks.get(desk)
            if task is not None and task.state not in AT_WORK:
                del self._tasks[desk]
                return {}
        if task is None:
            return {}
        task.stop.set()
        return self._report(task, task.pictures)

    def close(self) -> None:
        """Stop everything, without waiting."""
        with self._guard:
            for task in self._tasks.values():
                task.stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, task: Task, work: Work) -> None:
        if task.cancelled():
            task.state = "stopped"
            return
        task.state = "running"
        try:
            task.result = work(task)
            task.state = "done"
        except Stopped:
            task.state = "stopped"
        except StudioError as error:
            task.error, task.state = str(error), "failed"
        except Exception:
            _log.exception("a task failed")
            task.error, task.state = (
                "the studio met a fault of its own, which its log describes; try other settings", "failed"
            )

    def _report(self, task: Task, shown: int) -> dict[str, Any]:
        """A picture is sent once: only when the page has seen fewer than there were."""
        with self._guard:
            ahead = sum(t.state == "waiting" and t.number < task.number for t in self._tasks.values())
            ahead += any(t.state == "running" and t is not task for t in self._tasks.values())
        report: dict[str, Any] = {"number": task.number, "state": task.state, "fraction": round(task.fraction, 4)}
        report |= {"ahead": ahead if task.state == "waiting" else 0, "pictures": task.pictures}
        if task.note:
            report["note"] = task.note
        if task.values:
            report["values"] = task.values
        if task.picture and task.pictures > shown:
            report["picture"] = task.picture
        if task.error:
            report["error"] = task.error
        if task.result is not None:
            report["file"] = {"id": task.result.id, "name": task.result.name, "bytes": task.result.bytes}
        return report
