"""kill -9 at ten moments, half of them in the middle of a save: a run loses a tick at most, and ends as without."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from studio.runfolder import RunFolder
from tests.train.conftest import start
from train.state import load_state

ROOT = Path(__file__).parents[2]
TICK = 0.008
# One process imports everything, and every trainer is a fork of it: ten starts in the time of one.
NURSERY = """
import json, os, sys
import torch
from train.commands import main
torch.set_num_threads(1)
for line in sys.stdin:
    words = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main(words))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def begin(self, *words: object) -> int:
        """The process number of a trainer."""
        self.process.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """The exit code of the latest trainer; the negative number of a signal."""
        return int(self.process.stdout.readline())


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", NURSERY], cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Nursery(process)
        process.stdin.close()


def saving(run: RunFolder) -> bool:
    folder = run.path / "state"
    return folder.is_dir() and any(p.name.startswith(".") for p in folder.iterdir())


def kill_when(pid: int, moment: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not moment() and time.monotonic() < deadline:
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)


def test_killed_ten_times(tmp_path: Path, data: Path, nursery: Nursery, build: Callable) -> None:
    words = start(data, tmp_path / "killed", kimg=100)
    run, draw = RunFolder(tmp_path / "killed"), random.Random(0)
    reached, kills_in_a_save = 0.0, 0
    for number in range(10):
        pid = nursery.begin(*(["resume", run.path, "--device", "cpu"] if run.config_path.exists() else words))
        before = len(run.lines())
        if number % 2:
            moves = lambda: len(run.lines()) > before + 1  # past its own beginning
            kill_when(pid, lambda: moves() and saving(run))
        else:
            delay, begun = draw.uniform(0.0, 0.2), []

            def moment() -> bool:
                if not begun and len(run.lines()) > before:
                    begun.append(time.monotonic() + delay)
                return bool(begun) and time.monotonic() > begun[0]

            kill_when(pid, moment)
        assert nursery.end() == -signal.SIGKILL
        kills_in_a_save += saving(run)
        recipe, _, _ = build()
        position = load_state(run.states()[-1], recipe)
        told = max((line["kimg"] for line in run.progress()), default=0.0)
        assert position.kimg == run.kimg() >= max(told, reached)  # a state is there before its line
        assert position.kimg - told < 1.5 * TICK
        reached = position.kimg
    assert kills_in_a_save >= 3

    end = round(reached + 2 * TICK, 3)
    nursery.begin("resume", run.path, "--kimg", end, "--device", "cpu")
    assert nursery.end() == 0 and not saving(run)  # what was half written is gone
    nursery.begin(*start(data, tmp_path / "whole", kimg=end))
    assert nursery.end() == 0
    states = [RunFolder(tmp_path / name).state_path(end) for name in ("killed", "whole")]
    one, other = (load_file(state / "networks.safetensors") for state in states)
    assert one.keys() == other.keys() and all(one[key].equal(other[key]) for key in one)
    steps = [line["step"] for line in run.progress()]
    assert steps == list(range(2, steps[-1] + 1, 2)) and steps[-1] == round(end / 0.004)
