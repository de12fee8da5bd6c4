"""Fits the part of a damage detector that judges by the surroundings (studio/models/damage.py), the rest as it is.

It needs whole pictures and many of them: what it is told is the same for thousands of pixels side by side. So it does
not learn in the trainer's loop, from a few crops a step, but from pixels that are sampled from many pictures first,
aged as the network has not seen them. No held-out picture has a say.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.models.damage import CELL, JUDGED, DamageNetwork
from train.ageing import CRACK, age
from train.data import Pictures

SALT = 91  # so that damage is not that of a benchmark, nor that which thresholds are set by
# how many of the pixels are taken: where a crack is, other damage, where the network is in doubt, and elsewhere
OF_CRACKS, OF_DAMAGE, OF_DOUBT, OF_OTHERS = 0.25, 0.02, 0.04, 0.002
DOUBT = -3.0  # logit; from here on damage is not out of the question
UNITS = 64
STEPS, BATCH = 2500, 16384
RATE, DECAY = 0.003, 0.001  # of AdamW; the rate falls to 0 in a line
LEAST_DEVIATION = 0.05  # in half precision a logarithm of -9 is off by 0.004


@dataclass(frozen=True)
class Samples:
    """P pixels of many pictures: what is around them, the network's logits, what is true, and what each stands for."""

    around: Tensor  # [P, told] of float16
    logits: Tensor  # [P, 2] of float16, in the order of JUDGED
    labels: Tensor  # [P, 2] of bool
    weights: Tensor  # [P], how many pixels


@torch.inference_mode()
def sample(network: DamageNetwork, pictures: Pictures, count: int) -> Samples:
    """Pixels of `count` pictures, each aged for itself; where there are fewer, one is aged several times.

    The network has surroundings (`judgement.judging`); what they have learned so far plays no part.
    """
    chance, parts = torch.Generator().manual_seed(SALT), []
    for number in range(count):
        picture = pictures.load([number % len(pictures)])[0].numpy().astype(np.float32) / 255
        aged, truth = age(np.random.default_rng([SALT, number]), picture)
        seen, logits = network.look(torch.from_numpy(aged)[None] * 2 - 1)
        around = network.surroundings.around(seen, logits)[0]
        # with padding logits reach farther than the picture
        logits = logits[0, :, : truth.shape[1], : truth.shape[2]].flatten(1)
        labels = torch.from_numpy(truth).flatten(1)
        share = torch.full(labels.shape[1:], OF_OTHERS)
        share[(logits > DOUBT).any(dim=0)] = OF_DOUBT
        share[labels.any(dim=0)] = OF_DAMAGE
        share[labels[CRACK]] = OF_CRACKS
        taken = (torch.rand(share.shape, generator=chance) < share).nonzero()[:, 0]
        down, across = taken // truth.shape[2] // CELL, taken % truth.shape[2] // CELL
        parts.append((
            around[down, across].half(), logits[: len(JUDGED)].T[taken].half(), labels[: len(JUDGED)].T[taken],
            1 / share[taken],
        ))
    return Samples(*(torch.cat(part) for part in zip(*parts)))


def fit(network: DamageNetwork, samples: Samples, steps: int = STEPS) -> float:
    """Teach the network's surroundings, in place, by weighted cross-entropy; returns its mean over the last tenth of the
    steps.
    """
    surroundings = network.surroundings
    around = samples.around.float()
    surroundings.mean.copy_(around.mean(dim=0))
    surroundings.deviation.copy_(around.std(dim=0).clamp(min=LEAST_DEVIATION))
    del around
    weights = samples.weights / samples.weights.mean()
    surroundings.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(surroundings.judge.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    generator, losses = torch.Generator().manual_seed(SALT), []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SALT)
        for _ in range(steps):
            chosen = torch.randint(len(weights), [BATCH], generator=generator)
            gain, shift = surroundings(samples.around[chosen].float())
            moved = samples.logits[chosen].float() * gain + shift
            labels = samples.labels[chosen].float()
            each = F.binary_cross_entropy_with_logits(moved, labels, reduction="none").sum(dim=1)
            loss = (each * weights[chosen]).mean() / len(JUDGED)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    surroundings.eval().requires_grad_(False)
    last = losses[-max(steps // 10, 1) :]
    return sum(last) / len(last)
