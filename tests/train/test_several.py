"""Two processes and one: the same global batch gives the same training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from studio.runfolder import RunFolder
from tests.train import several
from train.commands import main

ROOT = Path(__file__).parents[2]


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node=2")
ACCELERATE = (
    "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no",
    "--dynamo_backend=no",
)


def launch(*words: object, by: tuple[str, ...] = TORCHRUN) -> None:
    """Run a module in two processes of this machine, as docs/scale.md says."""
    command = [sys.executable, "-m", *by, "-m", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Every case by one process and by two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    several.main(data, one)
    launch("tests.train.several", data, two)
    return one, two


@pytest.mark.parametrize("case", several.CASES)
def test_two_processes_learn_as_one(case: str, runs: tuple[Path, Path]) -> None:
    one, two = (RunFolder(folder / case).progress() for folder in runs)
    assert len(one) == len(two) == (3 if case == "fastgan" else several.STEPS)
    measured = [name for name in one[-1] if name.startswith(("loss", "score", "r1", "gp", "path", "ada_rt", "ada_p"))]
    assert measured
    for a, b in zip(one, two, strict=True):
        for name in set(measured) & set(a):
            assert b[name] == pytest.approx(a[name], rel=1e-5, abs=1e-5), (name, a["step"])
    assert any(one[0][name] != one[-1][name] for name in measured)


def test_the_command_itself_in_two_processes(data: Path, tmp_path: Path) -> None:
    """As accelerate launches it, with samples, states and health; and each process has its share alone."""
    words = [
        "train", "dcgan", "--data", data, "--device", "cpu", "--width", 4, "--resolution", 16, "--channels", 1,
        "--z-dim", 8, "--batch", 80, "--kimg", 1.6, "--tick-kimg", 0.08, "--measure-ticks", 20, "--measure-samples", 16,
    ]
    launch(*words, "--run", tmp_path / "two", by=ACCELERATE)
    assert main([str(word) for word in [*words[1:], "--run", tmp_path / "one"]]) == 0
    one, two = (RunFolder(tmp_path / name) for name in ("one", "two"))
    for a, b in zip(one.progress(), two.progress(), strict=True):
        assert [b[name] for name in ("loss_G", "loss_D")] == pytest.approx([a["loss_G"], a["loss_D"]], abs=1e-5)
    assert len(one.progress()) == 20 and two.progress()[-1]["diversity"] > 0
    assert one.kimg() == two.kimg() == 1.6 and len(list(two.samples.iterdir())) == 21
    odd = [81 if word == 80 else word for word in words]
    with pytest.raises(AssertionError, match="batch=81 cannot be split over 2 processes in 1 rounds"):
        launch(*odd, "--run", tmp_path / "odd", by=ACCELERATE)
