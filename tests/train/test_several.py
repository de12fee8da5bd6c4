"""Two processes and one: the same global batch gives the same training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from studio.runfolder import RunFolder
from tests.train import several

ROOT = Path(__file__).parents[2]


def launch(*words: object) -> None:
    """Run a module in two processes of this machine, as docs/scale.md says."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        *map(str, words),
    ]
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
