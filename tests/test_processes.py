import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from studio.processes import ProcessId

FAMILY = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print(p.pid, flush=True); p.wait()"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_this_process_lives() -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None and me.alive() and ProcessId.from_dict(me.to_dict()) == me


def test_another_process_of_the_same_number_is_another(sleeper: subprocess.Popen) -> None:
    one = ProcessId.of(sleeper.pid)
    assert one.alive() and not ProcessId(one.pid, ProcessId.of(os.getpid()).birth).alive()
    ProcessId(one.pid, "of before the reboot").end(grace_s=0)
    assert one.alive()


def test_a_dead_child_that_nobody_asked_about_is_dead(sleeper: subprocess.Popen) -> None:
    one = ProcessId.of(sleeper.pid)
    sleeper.kill()
    deadline = time.monotonic() + 20
    while one.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not one.alive() and ProcessId.of(sleeper.pid) is None  # it is a zombie still


def test_a_number_that_nobody_has() -> None:
    assert ProcessId.of(2**22 + 1) is None


@pytest.mark.parametrize("values", [None, [], {}, {"pid": "7", "birth": "x"}, {"pid": -1, "birth": "x"}, {"pid": 7}])
def test_what_a_hand_may_have_written(values: object) -> None:
    assert ProcessId.from_dict(values) is None


def test_an_end_takes_the_whole_family() -> None:
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True) as parent:
        child = ProcessId.of(int(parent.stdout.readline()))
        assert child.alive()
        ProcessId.of(parent.pid).end(grace_s=20)
        assert parent.wait() != 0 and not child.alive()


def test_one_that_does_not_listen_is_made_to() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        ProcessId.of(process.pid).end(grace_s=0.1)
        assert process.wait() == -9
