"""Trains each case for 20 steps, a tick a step, in as many processes as it is started in.

    python -m tests.train.several DATA OUT [CASE ...]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from studio.runfolder import RunFolder
from tests.train.conftest import SMALL
from train.health import HealthConfig
from train.recipes import RECIPES
from train.run import start

STEPS, BATCH = 20, 8
CASES = {
    "dcgan": {"augment": "diff"},
    "dcgan, R1 through batch normalisation": {"r1_gamma": 1.0, "r1_interval": 2},
    "dcgan, gradient penalty": {"loss": "wasserstein-gp"},
    # At its usual rate this game makes 1e-2 of a difference of 1e-7 within 20 steps, in one process as well.
    "fastgan, slowly": {"optimizer": "sgd", "lr": 0.000002, "redraw_share": 0.5},
    "fastgan": {"kimg": 3 * BATCH / 1000},
    "r3gan": {"augment": "ada", "ada_kimg": 0.05, "ada_target": 0.0},
    "stylegan2": {
        "pl_weight": 2.0, "pl_interval": 2, "r1_interval": 4, "classes": True, "augment": "ada", "ada_kimg": 0.05,
    },
    "stylegan2, in rounds": {"accumulate": 2, "mbstd_group": 2, "mirror": True},
    "vae": {},
    "vaegan": {},
}


def main(data: Path, out: Path, cases: Sequence[str] = ()) -> None:
    for case in cases or CASES:
        name = case.partition(",")[0]
        sizes = {**SMALL[name], "batch": BATCH, "kimg": STEPS * BATCH / 1000, "tick_kimg": BATCH / 1000}
        config = RECIPES.get(name).settings(**{**sizes, **CASES[case]})
        start(name, config, data, RunFolder(out / case), "cpu", lambda line: None, HealthConfig(measure_ticks=0))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
