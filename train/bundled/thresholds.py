"""Finds from which answer on a detector should take each kind of damage for damage, for its model.json.

    python -m train.bundled.thresholds checkpoints/damage --data PICTURES

A detector that is trained to miss little is sure too soon. For each class the threshold with the highest F1 is taken,
within 2 px, or one nearer 0.5 that is as good but for two hundredths, on pictures that the network was trained on, aged
as it has not seen them: no held-out picture has a say.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from studio.checkpoint import ModelInfo, load_network, read_info
from studio.errors import CheckpointError, StudioError
from studio.files import write_json
from studio.models.damage import CLASSES, DamageConfig, DamageNetwork
from train.ageing import age
from train.data import Pictures
from train.restoration_metrics import LEVELS, TOLERANCE, Tally
from train.squares import open_squares

SIDE = 512  # px
NEARLY = 0.98  # of the highest F1
SALT = 7  # so that damage is not that of a benchmark


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("--data", type=Path, required=True, metavar="PICTURES")
    p.add_argument("--pictures", type=int, default=96)
    a = p.parse_args()
    try:
        info = read_info(a.model)
        pictures = trained_on(a.model, info, a.data)
        network = load_network(a.model)
        found = best_thresholds(network, pictures, a.pictures)
    except StudioError as error:
        p.exit(2, f"{p.prog}: {error}\n")
    write_json(a.model / "model.json", {"version": 1, **vars(info), "config": {**info.config, "thresholds": found}})
    for name, threshold in zip(CLASSES, found):
        print(f"{name} {threshold:.3f}")


def trained_on(model: Path, info: ModelInfo, data: Path) -> Pictures:
    """Raises CheckpointError if it is no detector, or nothing says what was held out; DataError."""
    settings = info.training.get("settings", {})
    if info.model != "damage" or "holdout" not in settings:
        what = f"{model} is no damage detector of which {model}/model.json says what was held out"
        raise CheckpointError(f"{what}; give what `train export` wrote")
    return open_squares(data, SIDE, part="train", holdout=settings["holdout"])


@torch.inference_mode()
def best_thresholds(network: DamageNetwork, pictures: Pictures, count: int) -> list[float]:
    """For each of CLASSES, the network's answer from which on F1 is as good as highest over `count` of the pictures."""
    plain = DamageNetwork(DamageConfig(widths=network.config.widths)).eval()
    plain.load_state_dict(network.state_dict())
    tallies = [Tally(TOLERANCE) for _ in CLASSES]
    for number in range(count):
        picture = pictures.load([number * len(pictures) // count % len(pictures)])[0].numpy().astype(np.float32) / 255
        aged, truth = age(np.random.default_rng([SALT, number]), picture)
        levels = plain.detect(torch.from_numpy(aged)[None] * 2 - 1)[0].mul(LEVELS - 1).round().byte().numpy()
        for tally, plane, where in zip(tallies, levels, truth):
            tally.add(plane, where)
    return [_level(tally) / LEVELS for tally in tallies]


def _level(tally: Tally) -> int:
    """Of the levels that give nearly the highest F1 the one in the middle: where all are alike, chance has no say."""
    scores = {level: tally.scores(level)["F1"] for level in range(1, LEVELS)}
    good = [level for level, score in scores.items() if score >= NEARLY * max(scores.values())]
    return min(good, key=lambda level: abs(level - LEVELS // 2))


if __name__ == "__main__":
    main()
