"""From which answer on a detector should take each kind of damage for damage.

A detector that is trained to miss little is sure too soon. For each class the threshold with the highest F1 is taken,
within 2 px, or one nearer 0.5 that is as good but for five thousandths, on pictures that the network was trained on,
aged as it has not seen them: no held-out picture has a say.
"""

import numpy as np
import torch

from studio.models.damage import CLASSES, DamageConfig, DamageNetwork
from train.ageing import age
from train.data import Pictures
from train.restoration_metrics import LEVELS, TOLERANCE, Tally

NEARLY = 0.995  # of the highest F1
SALT = 7  # so that damage is not that of a benchmark


@torch.inference_mode()
def best_thresholds(network: DamageNetwork, pictures: Pictures, count: int) -> tuple[float, ...]:
    """For each of CLASSES, the network's answer from which on F1 is as good as highest over `count` of the pictures."""
    plain = DamageNetwork(network.config.replace(thresholds=DamageConfig().thresholds)).eval()
    plain.load_state_dict(network.state_dict())
    tallies = [Tally(TOLERANCE) for _ in CLASSES]
    for number in range(count):
        picture = pictures.load([number * len(pictures) // count % len(pictures)])[0].numpy().astype(np.float32) / 255
        aged, truth = age(np.random.default_rng([SALT, number]), picture)
        levels = plain.detect(torch.from_numpy(aged)[None] * 2 - 1)[0].mul(LEVELS - 1).round().byte().numpy()
        for tally, plane, where in zip(tallies, levels, truth):
            tally.add(plane, where)
    return tuple(_level(tally) / LEVELS for tally in tallies)


def _level(tally: Tally) -> int:
    """Of the levels that give nearly the highest F1 the one in the middle: where all are alike, chance has no say."""
    scores = {level: tally.scores(level)["F1"] for level in range(1, LEVELS)}
    good = [level for level, score in scores.items() if score >= NEARLY * max(scores.values())]
    return min(good, key=lambda level: abs(level - LEVELS // 2))
