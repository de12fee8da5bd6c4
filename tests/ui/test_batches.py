import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.errors import Cancelled, DataError, ImageError
from studio.ui.batches import Made, zip_each
from studio.ui.tasks import Stopped, Task

DESK = "a1" * 16


@pytest.fixture
def task() -> Task:
    return Task(DESK, 1)


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        return {name: zipped.read(name) for name in zipped.namelist()}


def test_everything_is_in_the_zip_under_its_own_name(tmp_path: Path, task: Task) -> None:
    fractions = []

    def make(i: int, progress: Callable[[float], None]) -> Made:
        progress(0.5)
        fractions.append(task.fraction)
        return b"%d" % i, ".png", "as it was" if i == 2 else ""

    names = ["a/rose.jpg", "a/rose.tif", "b/rose.jpg", "tulip"]
    found = zip_each(tmp_path / "zip", names, make, task, "notes.txt")
    assert found == (4, ["b/rose.jpg: as it was"])
    assert contents(tmp_path / "zip") == {
        "a/rose.png": b"0", "a/rose-2.png": b"1", "b/rose.png": b"2", "tulip.png": b"3",
        "notes.txt": b"b/rose.jpg: as it was\n",
    }
    assert fractions == [0.125, 0.375, 0.625, 0.875]


def test_no_name_is_given_twice(tmp_path: Path, task: Task) -> None:
    names = ["rose.jpg", "rose.tif", "rose-2.jpg", "rose.png"]
    zip_each(tmp_path / "zip", names, lambda i, progress: (b"%d" % i, ".png", ""), task, "notes.txt")
    found = {"rose.png": b"0", "rose-2.png": b"1", "rose-2-2.png": b"2", "rose-3.png": b"3"}
    assert contents(tmp_path / "zip") == found


def test_what_cannot_be_done_is_said_and_the_rest_is_done(tmp_path: Path, task: Task) -> None:
    def make(i: int, progress: Callable[[float], None]) -> Made:
        if i == 0:
            raise ImageError("it is broken")
        return b"x", ".png", ""

    assert zip_each(tmp_path / "zip", ["a.png", "b.png"], make, task, "errors.txt") == (1, ["a.png: it is broken"])
    assert contents(tmp_path / "zip") == {"b.png": b"x", "errors.txt": b"a.png: it is broken\n"}


def test_where_nothing_could_be_done_the_first_reason_is_said(tmp_path: Path, task: Task) -> None:
    def make(i: int, progress: Callable[[float], None]) -> Made:
        raise ImageError(f"it is broken ({i})")

    said = r"^none of the 2 pictures could be done; the first: a.png: it is broken \(0\)$"
    with pytest.raises(DataError, match=said):
        zip_each(tmp_path / "zip", ["a.png", "b.png"], make, task, "errors.txt")


@pytest.mark.parametrize("inside", [True, False])
def test_stopped_it_keeps_what_was_done(inside: bool, tmp_path: Path, task: Task) -> None:
    def make(i: int, progress: Callable[[float], None]) -> Made:
        if i == 1:
            task.stop.set()
            if inside:
                raise Cancelled
        assert i < 2
        return b"x", ".png", ""

    done, notes = zip_each(tmp_path / "zip", ["a.png", "b.png", "c.png"], make, task, "errors.txt")
    assert (done, notes) == (1 if inside else 2, [])
    assert list(contents(tmp_path / "zip")) == ["a.png", "b.png"][:done]


def test_stopped_before_anything_was_done(tmp_path: Path, task: Task) -> None:
    task.stop.set()
    with pytest.raises(Stopped):
        zip_each(tmp_path / "zip", ["a.png"], lambda i, progress: (b"x", ".png", ""), task, "errors.txt")
