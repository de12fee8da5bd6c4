import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.errors import ImageError, SettingError
from studio.ui import tasks as module
from studio.ui.desks import Kept
from studio.ui.tasks import Stopped, Task, Tasks

MINE, YOURS = "a" * 32, "b" * 32
MADE = Kept("f" * 64, "made.png", Path("made"), 5)
WAIT_S = 10


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    tasks = Tasks()
    yield tasks
    tasks.close()


class Work:
    """Work that goes on when the test says so."""

    def __init__(self) -> None:
        self.began, self.go_on, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.task: Task | None = None

    def __call__(self, task: Task) -> Kept:
        self.task = task
        self.began.set()
        assert self.go_on.wait(WAIT_S)
        self.ended.set()
        return MADE


def watch(tasks: Tasks, desk: str = MINE, shown: int = 0) -> dict[str, Any]:
    return tasks.watch({"desk": desk, "shown": shown})


def ended(tasks: Tasks, desk: str = MINE) -> dict[str, Any]:
    """The report once the task is through."""
    for _ in range(WAIT_S * 100):
        report = watch(tasks, desk)
        if report["state"] not in module.AT_WORK:
            return report
        threading.Event().wait(0.01)
    raise AssertionError("the task did not end")


def test_a_task_from_its_start_to_its_file(tasks: Tasks) -> None:
    work = Work()
    first = tasks.start(MINE, work)
    assert first["state"] in module.AT_WORK and first["fraction"] == 0
    assert work.began.wait(WAIT_S)
    work.task.progress(0.25)
    work.task.say("style.picture_of", i=1, count=4)
    report = watch(tasks)
    assert (report["state"], report["fraction"], report["note"]) == ("running", 0.25, "style.picture_of")
    assert report["values"] == {"i": 1, "count": 4}
    assert "file" not in report
    work.go_on.set()
    assert ended(tasks)["file"] == {"id": MADE.id, "name": "made.png", "bytes": 5}


def test_progress_never_goes_back(tasks: Tasks) -> None:
    task = Task(MINE, 1)
    seen = []
    for fraction in (0.5, 0.2, 0.7, 3.0):
        task.progress(fraction)
        seen.append(task.fraction)
    assert seen == [0.5, 0.5, 0.7, 1.0]


def test_a_picture_is_sent_once(tasks: Tasks) -> None:
    work = Work()
    tasks.start(MINE, work)
    assert work.began.wait(WAIT_S)
    work.task.show("data:1")
    work.task.show("data:2")
    report = watch(tasks, shown=0)
    assert (report["picture"], report["pictures"]) == ("data:2", 2)
    assert "picture" not in watch(tasks, shown=2)
    work.go_on.set()


def test_one_at_a_time_and_the_others_in_line(tasks: Tasks) -> None:
    one, two = Work(), Work()
    tasks.start(MINE, one)
    assert one.began.wait(WAIT_S)
    assert tasks.start(YOURS, two)["ahead"] == 1
    assert (watch(tasks, YOURS)["state"], watch(tasks, YOURS)["ahead"]) == ("waiting", 1)
    one.go_on.set()
    assert two.began.wait(WAIT_S)
    two.go_on.set()
    assert ended(tasks, YOURS)["state"] == "done"


def test_a_desk_has_one_task(tasks: Tasks) -> None:
    work = Work()
    tasks.start(MINE, work)
    with pytest.raises(SettingError, match="something is being made already"):
        tasks.start(MINE, Work())
    work.go_on.set()
    ended(tasks)
    again = Work()
    again.go_on.set()
    assert tasks.start(MINE, again)["number"] == 2
    ended(tasks)


def test_the_line_has_an_end(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    work = Work()
    tasks.start(MINE, work)
    tasks.start(YOURS, work)
    with pytest.raises(SettingError, match="2 others are waiting"):
        tasks.start("c" * 32, work)
    work.go_on.set()
    ended(tasks, YOURS)


def test_nobody_watches_or_stops_anothers_task(tasks: Tasks) -> None:
    work = Work()
    tasks.start(MINE, work)
    assert work.began.wait(WAIT_S)
    assert watch(tasks, YOURS) == {}
    assert tasks.stop({"desk": YOURS}) == {}
    assert not work.task.cancelled()
    work.go_on.set()


@pytest.mark.parametrize("data", [None, {}, {"desk": "x"}, {"desk": ["a"]}])
def test_a_request_without_a_desk(tasks: Tasks, data: object) -> None:
    for call in (tasks.watch, tasks.stop):
        with pytest.raises(SettingError, match="32 hexadecimal digits"):
            call(data)


def test_stopping_before_there_is_anything(tasks: Tasks) -> None:
    began = threading.Event()

    def work(task: Task) -> Kept:
        began.set()
        assert task.stop.wait(WAIT_S)
        assert task.cancelled()
        raise Stopped

    tasks.start(MINE, work)
    assert began.wait(WAIT_S)
    tasks.stop({"desk": MINE})
    report = ended(tasks)
    assert (report["state"], "file" in report) == ("stopped", False)


def test_stopping_keeps_what_is_done(tasks: Tasks) -> None:
    def work(task: Task) -> Kept:
        assert task.stop.wait(WAIT_S)
        return MADE

    tasks.start(MINE, work)
    tasks.stop({"desk": MINE})
    assert ended(tasks)["file"]["name"] == "made.png"


def test_what_is_stopped_in_line_never_begins(tasks: Tasks) -> None:
    one, two = Work(), Work()
    tasks.start(MINE, one)
    tasks.start(YOURS, two)
    tasks.stop({"desk": YOURS})
    one.go_on.set()
    assert ended(tasks, YOURS)["state"] == "stopped"
    assert not two.began.is_set()


def test_what_has_ended_is_forgotten_when_it_is_stopped_again(tasks: Tasks) -> None:
    work = Work()
    work.go_on.set()
    tasks.start(MINE, work)
    ended(tasks)
    tasks.stop({"desk": MINE})
    assert watch(tasks) == {}


def test_what_nobody_watches_is_stopped(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(MINE, 1)
    assert not task.cancelled()
    task.seen -= module.UNWATCHED_S + 1
    assert task.cancelled()


def test_a_mendable_error_is_its_sentence(tasks: Tasks) -> None:
    def work(task: Task) -> Kept:
        raise ImageError("the picture is empty (0 bytes); copy it again")

    tasks.start(MINE, work)
    report = ended(tasks)
    assert (report["state"], report["error"]) == ("failed", "the picture is empty (0 bytes); copy it again")


def test_a_bug_goes_to_the_log_and_ends_the_task_alone(tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    def work(task: Task) -> Kept:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        tasks.start(MINE, work)
        assert "its log describes" in ended(tasks)["error"]
    assert "ZeroDivisionError" in caplog.text
    good = Work()
    good.go_on.set()
    tasks.start(MINE, good)
    assert ended(tasks)["state"] == "done"


def test_old_tasks_are_forgotten(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    work = Work()
    work.go_on.set()
    names = [c * 32 for c in "abcde"]
    for name in names:
        tasks.start(name, work)
        ended(tasks, name)
    assert [name for name in names if watch(tasks, name)] == names[-3:]
