"""A run that was stopped, or killed, goes on as if nothing had happened: every weight and moment is bit-equal."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from studio.runfolder import RunFolder
from tests.train.conftest import flags
from train.commands import main

ROOT = Path(__file__).parents[2]


def tensors(state: Path) -> dict[str, torch.Tensor]:
    files = {name: load_file(state / f"{name}.safetensors") for name in ("networks", "optimizers")}
    return {f"{name}:{key}": value for name, values in files.items() for key, value in values.items()}


def same(one: Path, other: Path) -> None:
    """Two states are bit-equal, and so is everything but the time in state.json."""
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys() and len(a) > 50
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    scalars = [{**json.loads((state / "state.json").read_text()), "trained_s": 0} for state in (one, other)]
    assert scalars[0] == scalars[1]


@pytest.mark.parametrize(
    ("cut", "steps", "changes"),
    [
        (5, 6, {"augment": "ada", "ada_kimg": 0.02, "ada_target": 0.0}),
        (2, 4, {
            "augment": "diff", "classes": True, "pl_weight": 2.0, "pl_interval": 2, "mirror": True, "accumulate": 2,
        }),
        (2, 4, {"augment": "none", "loss": "relativistic", "r2": True, "r1_interval": 3}),
    ],
    ids=["ada", "classes", "relativistic"],
)
def test_all_steps_are_some_and_the_rest(
    tmp_path: Path, train_to: Callable, cut: int, steps: int, changes: dict
) -> None:
    whole, _ = train_to(tmp_path / "whole", kimg=0.004 * steps, **changes)
    train_to(tmp_path / "parts", kimg=0.004 * cut, **changes)
    torch.manual_seed(12345)  # whatever happened in between
    parts, _ = train_to(tmp_path / "parts", kimg=0.004 * steps, **changes)
    name = f"state/{0.004 * steps:08.3f}"
    same(tmp_path / "whole" / name, tmp_path / "parts" / name)
    assert torch.equal(whole.sample(), parts.sample())
    if changes["augment"] == "ada":
        assert whole.scalars()["ada_seen"] > 0 and whole.scalars()["ada_rt"] != 0.0


def test_what_only_reports_may_change_without_a_trace(tmp_path: Path, train_to: Callable) -> None:
    train_to(tmp_path / "whole")
    train_to(tmp_path / "parts", kimg=0.02)
    train_to(tmp_path / "parts", tick_kimg=0.004, sample_ticks=1)
    same(tmp_path / "whole/state/0000.032", tmp_path / "parts/state/0000.032")


def test_lines_after_the_state_are_taken_back(tmp_path: Path, train_to: Callable) -> None:
    """Killed between a state and its line, or with a line half written: the record is that of the run that counts."""
    train_to(tmp_path, kimg=0.016)
    run = RunFolder(tmp_path)
    run.append_progress({"tick": 3, "step": 6, "kimg": 0.024, "loss_G": 99.0})
    with open(run.progress_path, "a") as file:
        file.write('{"tick": 4, "st')
    train_to(tmp_path)
    assert [(line["tick"], line["step"]) for line in run.progress()] == [(1, 2), (2, 4), (3, 6), (4, 8)]
    assert all(line["loss_G"] != 99.0 for line in run.progress())
    assert '{"resumed": 4}' in run.progress_path.read_text().splitlines()


def test_a_killed_process_goes_on_bit_equal(tmp_path: Path, data: Path) -> None:
    words = ["--data", str(data), *flags(augment="ada", ada_kimg=0.02, ada_target=0.0, kimg=0.08), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "train", "stylegan2", "--run", str(tmp_path / "killed"), *words]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    killed = RunFolder(tmp_path / "killed")
    try:
        deadline = time.monotonic() + 120
        while len(killed.states()) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, process.stdout.read().decode()
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert 0 < killed.kimg() < 0.08 and not (killed.path / "exit.json").exists()

    done = subprocess.run(
        [sys.executable, "-m", "train", "resume", str(killed.path), "--device", "cpu"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "done at 0.08 kimg" in done.stdout
    assert main(["stylegan2", "--run", str(tmp_path / "whole"), *words]) == 0
    same(tmp_path / "whole/state/0000.080", killed.path / "state/0000.080")
