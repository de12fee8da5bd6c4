"""Runs as processes, with a trainer that has no networks (tests/trainer.py):
what the studio asks for, and what follows.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio import jobs as jobs_module
from studio.errors import DeviceError, RunError, SettingError
from studio.job import Job, job_path, log_path, process_of, read_job, write_job
from studio.jobs import Jobs
from studio.processes import ProcessId
from studio.runfolder import RunFolder

TRAINER = (sys.executable, str(Path(__file__).with_name("trainer.py")))


@pytest.fixture
def open_jobs(tmp_path: Path) -> Iterator[Callable[[], Jobs]]:
    """open_jobs(): a studio on the same folder, each as after a start of the page. Ends every trainer at the end."""
    opened: list[Jobs] = []

    def make() -> Jobs:
        opened.append(Jobs(tmp_path / "runs", TRAINER))
        return opened[-1]

    yield make
    for jobs in opened:
        for name in jobs.names():
            spawned = read_raw(jobs, name).get("spawned")
            if process := ProcessId.from_dict(spawned):
                process.end(grace_s=0)
        for child in jobs._children:
            child.wait()


@pytest.fixture
def jobs(open_jobs: Callable[[], Jobs]) -> Jobs:
    return open_jobs()


def read_raw(jobs: Jobs, name: str) -> dict:
    try:
        return json.loads(job_path(RunFolder(jobs.root / name)).read_text())
    except (FileNotFoundError, ValueError):
        return {}


def until(jobs: Jobs, name: str, *states: str) -> None:
    """Tick until the run is in one of these states."""
    deadline = time.monotonic() + 60
    while (now := jobs.status(name)).state not in states:
        assert time.monotonic() < deadline, (now, states)
        jobs.tick()
        time.sleep(0.01)


def running(jobs: Jobs, name: str, *words: str, **options: object) -> ProcessId:
    jobs.submit(name, ["begin", *words], "cpu", **options)
    until(jobs, name, "running")
    return read_job(jobs.run(name)).spawned


def gone(process: ProcessId) -> bool:
    deadline = time.monotonic() + 30
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not process.alive()


def test_a_run_from_the_queue_to_its_end(jobs: Jobs) -> None:
    run = jobs.submit("Nebulae 64", ["begin", "--kimg", "3"], "cpu")
    assert (jobs.names(), jobs.queue()) == (["Nebulae 64"], ["Nebulae 64"])
    assert jobs.status("Nebulae 64").state == "queued" and not log_path(run).exists()
    until(jobs, "Nebulae 64", "done")
    now = jobs.status("Nebulae 64")
    assert (now.message, now.kimg, now.alive, jobs.queue()) == ("done at 3 kimg", 3.0, False, [])
    assert gone(read_job(run).spawned) and not run.process_path.exists()
    command = f"begin --kimg 3 --run '{run.path}' --device cpu"
    assert jobs.command("Nebulae 64") == f"python -m train {command}"
    assert log_path(run).read_text() == f"\n$ python -m train {command}\n"


def test_one_run_a_device_first_come_first_served(jobs: Jobs) -> None:
    for name in ("b", "a", "c"):
        jobs.submit(name, ["begin", "--kimg", "5"], "cpu")
    assert jobs.queue() == ["b", "a", "c"]
    order, deadline = [], time.monotonic() + 60
    while not all(now.state == "done" for now in jobs.all()):
        jobs.tick()
        alive = [now.name for now in jobs.all() if now.alive]
        assert len(alive) <= 1 and time.monotonic() < deadline
        order += [name for name in alive if name not in order]
    assert order == ["b", "a", "c"]


def test_a_run_begun_by_hand_holds_its_device_and_is_stopped_like_any(jobs: Jobs) -> None:
    hand = jobs.root / "hand"
    hand.mkdir(parents=True)
    with subprocess.Popen([*TRAINER, "begin", "--run", str(hand), "--device", "cpu"]) as process:
        while not (hand / "state").exists():
            time.sleep(0.01)
        assert jobs.status("hand").state == "running" and jobs.command("hand") == ""
        jobs.submit("next", ["begin", "--kimg", "1"], "cpu")
        jobs.tick()
        assert jobs.status("next").state == "queued"
        jobs.stop("hand")
        assert process.wait(30) == 0
    until(jobs, "next", "done")
    assert jobs.status("hand").state == "stopped" and not job_path(RunFolder(hand)).exists()
    jobs.resume("hand", ["--kimg", "1"])
    until(jobs, "hand", "done")


def test_stop_saves_and_leaves_no_process(jobs: Jobs) -> None:
    process = running(jobs, "one")
    jobs.stop("one")
    assert jobs.status("one").state == "stopping"
    assert gone(process)
    now = jobs.status("one")
    assert now.state == "stopped" and now.message == f"stopped at {now.kimg:g} kimg"
    with pytest.raises(RunError, match="^'one' is stopped already; resume it, open it or delete it$"):
        jobs.stop("one")
    jobs.tick()
    assert jobs.status("one").state == "stopped"


def test_stop_before_its_turn(jobs: Jobs) -> None:
    jobs.submit("one", ["begin"], "cpu")
    jobs.stop("one")
    jobs.tick()
    assert (jobs.status("one").state, jobs.status("one").message) == ("stopped", "stopped before its turn came")
    jobs.resume("one", device="cpu")
    until(jobs, "one", "running")


def test_a_stop_that_the_trainer_clears_at_its_start_is_asked_again(jobs: Jobs) -> None:
    process = running(jobs, "one")
    jobs.stop("one")
    assert gone(process)
    jobs.resume("one")
    jobs.tick()
    jobs.stop("one")
    jobs.run("one").clear_requests()
    until(jobs, "one", "stopped")


def test_pause_holds_the_device_and_goes_on(jobs: Jobs) -> None:
    process = running(jobs, "one")
    jobs.pause("one")
    until(jobs, "one", "paused")
    kimg = jobs.status("one").kimg
    jobs.submit("two", ["begin"], "cpu")
    jobs.tick()
    time.sleep(0.2)
    assert jobs.status("two").state == "queued" and jobs.status("one").kimg == kimg and process.alive()
    with pytest.raises(RunError, match="'one' is paused, and settings change at a start only; stop it first"):
        jobs.resume("one", ["--kimg", "9"])
    jobs.resume("one")
    until(jobs, "one", "running")
    while jobs.status("one").kimg == kimg:
        time.sleep(0.01)
    assert read_job(jobs.run("one")).spawned == process
    with pytest.raises(RunError, match="'one' is running; wait for it, or stop it first"):
        jobs.resume("one")


def test_stop_ends_a_pause(jobs: Jobs) -> None:
    process = running(jobs, "one")
    jobs.pause("one")
    until(jobs, "one", "paused")
    jobs.stop("one")
    assert gone(process)
    assert jobs.status("one").state == "stopped"


def test_what_has_ended_cannot_be_paused(jobs: Jobs) -> None:
    jobs.submit("one", ["begin", "--kimg", "1"], "cpu")
    with pytest.raises(RunError, match="'one' is queued, and only a run at work can be paused"):
        jobs.pause("one")
    until(jobs, "one", "done")
    with pytest.raises(RunError, match="'one' is done, and only a run at work can be paused"):
        jobs.pause("one")


def test_resume_takes_changes_once(jobs: Jobs) -> None:
    jobs.submit("one", ["begin", "--kimg", "2"], "cpu")
    until(jobs, "one", "done")
    jobs.resume("one", ["--kimg", "4"])
    until(jobs, "one", "done")
    assert jobs.status("one").kimg == 4 and read_job(jobs.run("one")).changes == ()
    jobs.resume("one")
    until(jobs, "one", "done")
    starts = [line for line in log_path(jobs.run("one")).read_text().splitlines() if line.startswith("$ ")]
    assert [("train resume " in line, "--kimg 4" in line) for line in starts] == [
        (False, False), (True, True), (True, False),
    ]


def test_a_studio_that_was_killed_finds_its_runs_again(jobs: Jobs, open_jobs: Callable[[], Jobs]) -> None:
    process = running(jobs, "one")
    jobs.submit("two", ["begin", "--kimg", "1"], "cpu")
    again = open_jobs()
    assert [(now.name, now.state) for now in again.all()] == [("one", "running"), ("two", "queued")]
    again.tick()
    assert read_job(again.run("one")).spawned == process and again.status("two").state == "queued"
    again.stop("one")
    until(again, "two", "done")


def test_a_studio_killed_for_good_leaves_the_training_at_work(tmp_path: Path, jobs: Jobs) -> None:
    """The whole process group of the page is killed, as a closed terminal would; the run is not in it."""
    code = (
        "import sys, time; from pathlib import Path; from studio.jobs import Jobs\n"
        f"jobs = Jobs(Path({str(jobs.root)!r}), {TRAINER!r}); jobs.submit('one', ['begin'], 'cpu'); jobs.tick()\n"
        "print('up', flush=True); time.sleep(600)"
    )
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as page:
        assert page.stdout.readline() == "up\n"
        until(jobs, "one", "running")
        os.killpg(page.pid, signal.SIGKILL)
        page.wait()
    kimg = jobs.status("one").kimg
    while jobs.status("one").kimg <= kimg:
        time.sleep(0.01)
    process = read_job(jobs.run("one")).spawned
    jobs.stop("one")
    assert gone(process) and jobs.status("one").state == "stopped"


def test_two_studios_start_a_run_once(jobs: Jobs, open_jobs: Callable[[], Jobs]) -> None:
    other = open_jobs()
    jobs.submit("one", ["begin"], "cpu")
    jobs.tick()
    other.tick()
    jobs.tick()
    until(other, "one", "running")
    assert log_path(jobs.run("one")).read_text().count("$ python -m train") == 1


def test_a_killed_trainer_goes_on_by_itself_if_asked(jobs: Jobs) -> None:
    process = running(jobs, "one", restart=True)
    while jobs.status("one").kimg < 2:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert gone(process)
    kimg = jobs.status("one").kimg
    until(jobs, "one", "running")
    while jobs.status("one").kimg <= kimg:
        time.sleep(0.01)
    assert read_job(jobs.run("one")).spawned != process


def test_a_killed_trainer_waits_for_a_person_if_not(jobs: Jobs) -> None:
    process = running(jobs, "one")
    os.kill(process.pid, signal.SIGKILL)
    assert gone(process)
    jobs.tick()
    now = jobs.status("one")
    assert now.state == "interrupted"
    assert now.message == f"its process ended without a word after {now.kimg:g} kimg; resume it to go on from there"
    jobs.resume("one")
    until(jobs, "one", "running")


def test_a_number_that_another_process_has_after_a_reboot(jobs: Jobs) -> None:
    """Both files name this very test's process number, of another birth."""
    run = jobs.submit("one", ["begin"], "cpu")
    stranger = ProcessId(os.getpid(), "another boot")
    write_job(run, read_job(run).replace(spawned=stranger))
    run.process_path.write_text(json.dumps({**stranger.to_dict(), "device": "cpu"}))
    assert jobs.status("one").state == "interrupted"
    jobs.kill("one")  # which would end this test


def test_a_run_that_dies_again_and_again_is_left_alone(jobs: Jobs) -> None:
    run = jobs.submit("one", ["begin"], "cpu", restart=True)
    for tries in (1, 2, 3):
        until(jobs, "one", "starting", "running")
        process = read_job(run).spawned
        assert read_job(run).tries == tries
        os.kill(process.pid, signal.SIGKILL)  # before or at its first state, which is of 0 kimg
        assert gone(process)
        for state in run.states():
            if float(state.name) > 0:
                (state / "state.json").unlink()
                state.rmdir()
    jobs.tick()
    now = jobs.status("one")
    assert now.state == "interrupted"
    assert now.message == "its process ended without a word 3 times at 0 kimg; see train.log"
    jobs.resume("one")
    assert jobs.queue() == ["one"] and read_job(run).tries == 0


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--refuse", "there is no /pictures; give a folder or a zip of pictures"),
        ("--break", "the trainer broke down (ValueError: a bug); see train.log"),
    ],
)
def test_what_a_trainer_says_before_it_ends_is_told_and_not_tried_again(jobs: Jobs, flag: str, says: str) -> None:
    jobs.submit("one", ["begin", flag], "cpu", restart=True)
    until(jobs, "one", "failed")
    jobs.tick()
    assert (jobs.status("one").state, jobs.status("one").message) == ("failed", says)


def test_words_of_an_earlier_start_are_not_those_of_the_latest(jobs: Jobs) -> None:
    run = jobs.submit("one", ["begin", "--refuse"], "cpu")
    until(jobs, "one", "failed")
    write_job(run, read_job(run).replace(words=("begin",)))
    jobs.resume("one")
    until(jobs, "one", "running")
    process = read_job(run).spawned
    os.kill(process.pid, signal.SIGKILL)
    assert gone(process) and jobs.status("one").state == "interrupted"


def test_kill_ends_a_trainer_that_does_not_listen_and_its_children(jobs: Jobs) -> None:
    process = running(jobs, "one", "--deaf", "--child", restart=True)
    while not jobs.run("one").states():  # it has its child by then
        time.sleep(0.01)
    child = ProcessId.from_dict(json.loads((jobs.run("one").path / "child").read_text()))
    assert child.alive()
    jobs.kill("one", grace_s=10)
    assert not process.alive() and not child.alive()
    jobs.tick()
    assert jobs.status("one").state == "stopped"


def test_delete(jobs: Jobs) -> None:
    process = running(jobs, "one")
    with pytest.raises(RunError, match="'one' is running; stop it before you delete it"):
        jobs.delete("one")
    jobs.stop("one")
    assert gone(process)
    jobs.submit("two", ["begin"], "cpu")
    jobs.delete("one")
    assert jobs.names() == ["two"] and sorted(p.name for p in jobs.root.iterdir()) == [".jobs.lock", "two"]
    with pytest.raises(RunError, match="no run named 'one'; known: two"):
        jobs.delete("one")


def test_a_name_is_never_a_path(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    jobs.submit("one", ["begin"], "cpu")
    for name in ("..", "../runs/one", str(tmp_path), "", ".jobs.lock"):
        with pytest.raises(RunError, match="no run named"):
            jobs.delete(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", ".hidden", "-x", "a.", "CON", "nul.txt", "x" * 81, "a\nb"]
)
def test_a_name_that_no_folder_should_have(jobs: Jobs, name: str) -> None:
    with pytest.raises(SettingError, match=re.escape(f"{name!r} cannot be a run's name; give 1..80 letters")):
        jobs.submit(name, ["begin"], "cpu")
    assert not jobs.root.exists()


def test_names_of_any_script(jobs: Jobs) -> None:
    jobs.submit("书法 64", ["begin", "--kimg", "1"], "cpu")
    until(jobs, "书法 64", "done")


def test_a_name_that_is_taken(jobs: Jobs) -> None:
    jobs.submit("one", ["begin"], "cpu")
    with pytest.raises(RunError, match="^a run named 'one' exists; choose another name, or delete that one first$"):
        jobs.submit("one", ["begin"], "cpu")


def test_a_device_that_is_not_there(jobs: Jobs) -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        jobs.submit("one", ["begin"], "cuda:99")
    assert jobs.names() == []


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2}', '{"version": 1, "words": "begin"}'])
def test_a_job_edited_into_nonsense(jobs: Jobs, text: str) -> None:
    """It is told, the other runs go on, and it can be deleted."""
    run = jobs.submit("one", ["begin"], "cpu")
    jobs.submit("two", ["begin", "--kimg", "1"], "cpu")
    job_path(run).write_text(text)
    until(jobs, "two", "done")
    assert jobs.status("one").state == "failed" and str(job_path(run)) in jobs.status("one").message
    jobs.delete("one")
    assert jobs.names() == ["two"]


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read_job(run) is None
    job = Job(("begin", "--x"), "cuda:1", 3.5, "pause", True, ("--lr", "1"), ProcessId(7, "x"), 2, 1.5)
    write_job(run, job)
    assert read_job(run) == job


def test_a_thread_ticks_until_it_is_closed(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "PERIOD_S", 0.01)
    jobs.submit("one", ["begin", "--kimg", "2"], "cpu")
    jobs.open()
    jobs.open()
    deadline = time.monotonic() + 60
    while jobs.status("one").state != "done":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    jobs.close()
    jobs.submit("two", ["begin"], "cpu")
    time.sleep(0.1)
    assert jobs.status("two").state == "queued" and jobs.problem == ""


def test_a_run_that_cannot_begin_leaves_the_others_their_turn(jobs: Jobs) -> None:
    """Its graphics card is gone; or nothing can be written into its folder."""
    lost, mute = (jobs.submit(name, ["begin"], "cpu") for name in ("a", "b"))
    write_job(lost, read_job(lost).replace(device="cuda:97"))
    log_path(mute).mkdir()
    jobs.submit("c", ["begin", "--kimg", "1"], "cpu")
    with pytest.raises(DeviceError, match="cuda:97"):
        jobs.tick()
    assert [jobs.status(name).state for name in ("a", "b")] == ["queued", "queued"]
    assert jobs.status("c").state != "queued"


def test_a_run_at_work_on_a_device_that_cannot_be_seen_from_here(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.submit("one", ["begin"], "cpu")
    until(jobs, "one", "running")
    mine = process_of(RunFolder(jobs.root / "one"))[0]
    monkeypatch.setattr(jobs_module, "process_of", lambda run: (mine, "cuda:97") if run.path.name == "one" else None)
    jobs.submit("two", ["begin", "--kimg", "1"], "cpu")
    jobs.tick()
    assert jobs.status("two").state != "queued"
    jobs.stop("one")


def test_a_run_by_hand_that_ends_while_it_is_looked_at(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = jobs.submit("one", ["begin"], "cpu")
    until(jobs, "one", "running")
    monkeypatch.setattr(jobs_module, "process_of", lambda run: None)
    monkeypatch.setattr(jobs_module, "read_job", lambda run: None)
    assert jobs_module._holds(run) == set()  # neither an error nor a device
    jobs.tick()
    monkeypatch.undo()
    jobs.stop(run.path.name)


def test_whatever_goes_wrong_the_thread_goes_on(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "PERIOD_S", 0.01)
    jobs.submit("one", ["begin", "--kimg", "1"], "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(jobs_module.subprocess, "Popen", lambda *a, **k: (_ for _ in ()).throw(OSError(11, "no more")))
        jobs.open()
        deadline = time.monotonic() + 20
        while not jobs.problem and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "no more" in jobs.problem and "every second" in jobs.problem
    while jobs.status("one").state == "queued" and time.monotonic() < deadline:
        time.sleep(0.01)
    jobs.close()
    assert jobs.status("one").state != "queued" and jobs.problem == ""


def test_a_name_that_two_studios_give_at_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.submit("one", ["begin"], "cpu")
    job = read_raw(jobs, "one")
    monkeypatch.setattr(Path, "exists", lambda path: False)  # as it was when the other one looked
    with pytest.raises(RunError, match="a run named 'one' exists"):
        jobs.submit("one", ["other"], "cpu")
    assert read_raw(jobs, "one") == job


def test_the_trainer_itself(tmp_path: Path) -> None:
    """From the queue to a state, paused, killed, resumed and stopped: with networks, so that both sides agree."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
    (tmp_path / "set").mkdir()
    for i in range(4):
        Image.fromarray(pixels[i]).save(tmp_path / f"set/{i}.png")
    words = ["stylegan2", "--data", str(tmp_path / "set"), "--kimg", "100", "--batch", "2", "--tick-kimg", "0.002"]
    words += ["--resolution", "16", "--channels", "1", "--channel-max", "8", "--z-dim", "8", "--w-dim", "8"]
    jobs = Jobs(tmp_path / "runs")
    run = jobs.submit("real", words, "cpu", restart=True)
    try:
        until(jobs, "real", "running")
        first = read_job(run).spawned
        assert process_of(run) == (first, "cpu")
        while not run.states():
            time.sleep(0.01)
        jobs.pause("real")
        until(jobs, "real", "paused")
        jobs.resume("real")
        os.kill(first.pid, signal.SIGKILL)
        assert gone(first)
        kimg = jobs.status("real").kimg
        until(jobs, "real", "running")
        while jobs.status("real").kimg <= kimg:
            time.sleep(0.01)
        jobs.stop("real")
        assert gone(read_job(run).spawned)
        now = jobs.status("real")
        assert (now.state, now.message) == ("stopped", f"stopped at {now.kimg:g} kimg")
        assert not run.process_path.exists() and "tick 1 " in log_path(run).read_text()
    finally:
        jobs.kill("real", grace_s=0)
        for child in jobs._children:
            child.wait()
