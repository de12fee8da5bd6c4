import json
import os
from pathlib import Path

import pytest

from studio.errors import DiskError, RunError
from studio.runfolder import RunFolder, read_json


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def tick(step: int) -> dict[str, float]:
    return {"step": step, "kimg": step / 1000}


def test_looking_creates_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "x")
    assert (run.progress(), run.states(), run.kimg()) == ([], [], 0.0)
    assert not run.stop_requested and not run.pause_requested
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run(run: RunFolder) -> None:
    with pytest.raises(RunError, match=f"^{run.path} is not a run folder; start one with: python -m train RECIPE$"):
        run.config()


@pytest.mark.parametrize("text", ['{"recipe": ', "", "\xff", "[" * 100_000, "9" * 5000])
def test_a_damaged_config(run: RunFolder, text: str) -> None:
    run.config_path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match="config.json is not valid JSON"):
        run.config()


def test_a_config_that_holds_no_settings(run: RunFolder) -> None:
    run.config_path.write_text("[1]")
    with pytest.raises(RunError, match="holds a list, not settings"):
        run.config()


def test_a_folder_where_a_file_should_be(run: RunFolder) -> None:
    run.config_path.mkdir()
    with pytest.raises(RunError, match="cannot be read"):
        run.config()
    with pytest.raises(RunError, match="^no such thing$"):
        read_json(run.path / "x.json", "no such thing")


def test_requests_are_made_seen_and_withdrawn(run: RunFolder) -> None:
    run.request_stop()
    assert run.stop_requested and not run.pause_requested
    run.request_pause()
    assert run.stop_requested and run.pause_requested
    run.clear_requests()
    run.clear_requests()
    assert not run.stop_requested and not run.pause_requested


def test_a_request_to_a_run_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="STOP cannot be written because its folder does not exist"):
        RunFolder(tmp_path / "gone").request_stop()


def test_ticks_in_order(run: RunFolder) -> None:
    for step in (1, 2, 3):
        run.append_progress(tick(step))
    assert run.progress() == [tick(1), tick(2), tick(3)]


def test_a_resume_takes_later_ticks_back(run: RunFolder) -> None:
    for line in (tick(1), tick(2), tick(3), {"resumed": 2}, tick(3), tick(4), {"resumed": 1}, tick(2)):
        run.append_progress(line)
    assert [t["step"] for t in run.progress()] == [1, 2]


def test_a_line_that_a_kill_cut_short(run: RunFolder) -> None:
    """The cut line is left out, and must not swallow what a resumed trainer writes after it."""
    for step in (1, 2, 3):
        run.append_progress(tick(step))
    os.truncate(run.progress_path, run.progress_path.stat().st_size - 5)
    assert [t["step"] for t in run.progress()] == [1, 2]
    for line in ({"resumed": 1}, tick(2)):
        run.append_progress(line)
    assert [t["step"] for t in run.progress()] == [1, 2]
    assert len(run.progress_path.read_text().splitlines()) == 5


def test_warnings_are_no_ticks_and_are_taken_back_like_them(run: RunFolder) -> None:
    warning = lambda step: {"warning": "collapse", "message": "alike", **tick(step)}
    for line in (tick(1), warning(1), tick(2), warning(2), {"resumed": 1}, tick(2)):
        run.append_progress(line)
    assert run.progress() == [tick(1), tick(2)] and run.warnings() == [warning(1)]
    assert len(run.lines()) == 6


def test_a_number_that_is_none_is_not_written(run: RunFolder) -> None:
    run.append_progress(tick(1))
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.append_progress({"step": 2, "loss": float("nan")})
    assert run.progress() == [tick(1)]


def test_states_by_their_number_not_their_letters(run: RunFolder) -> None:
    for kimg in (10000.0, 3.2, 9999.5, 0.0):
        run.state_path(kimg).mkdir(parents=True)
    for odd in (".0003.200.x1y2", "0003.200.old", "latest", "3.2"):
        (run.path / "state" / odd).mkdir()
    assert [p.name for p in run.states()] == ["0000.000", "0003.200", "9999.500", "10000.000"]
    assert run.kimg() == 10000.0


def test_how_a_run_ended(run: RunFolder) -> None:
    run.write_exit("done", "all shown", 12.5)
    assert json.loads((run.path / "exit.json").read_text()) == {
        "outcome": "done",
        "message": "all shown",
        "kimg": 12.5,
    }
