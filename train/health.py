"""Signs that a training goes wrong, read from its measurements: collapse, memorisation, a D that knows too much.

Every judgement is a pure function of what progress.jsonl holds; `train.watch` measures and `train.run` rolls back.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.config import Config, setting
from train.metrics import squared_distances

IN_A_ROW = 2  # measurements, before anything is called a collapse: one may be bad luck
FELL_TO = 0.5  # of the best value so far
FLAT = 0.25  # of the diversity of real pictures, without a rise: a collapse from the start
COVERED = 0.2  # a coverage that once was this high can be lost; below, there was none yet
COPY = 0.5  # of the distance from a training picture to its nearest neighbour
COPIES = 0.25  # share of copies from which on a model knows its pictures by heart; of held-out ones 0.01 are
TICKS = 3  # in a row, before D is said to overfit
R_T, P_FULL = 0.9, 0.99  # ADA's sign statistic, at full augmentation
APART = 8.0  # logits between real and generated pictures: D is wrong once in 3,000 times
_AGAIN = (
    "go on from the best snapshot, or start again with a lower --lr, a higher --r1-gamma or the relativistic loss"
)


@dataclass(frozen=True)
class HealthConfig(Config):
    """How a run is watched. Nothing here changes what is learned, save after a loss that is not finite."""

    measure_ticks: int = setting(5, "samples are measured every so many ticks; 0: never", low=0, high=10_000)
    measure_samples: int = setting(
        256, "pictures drawn for it, and as many real ones; eight times as many are searched for copies", low=16,
        high=50_000, advanced=True,
    )
    measure_features: str = setting(
        "auto", "network in which they are compared", choices=["auto", "lite0", "inception"], advanced=True
    )
    patience: int = setting(
        0, "stop after so many measurements without a better KID than the best; 0: never", low=0, high=1000
    )
    rollbacks: int = setting(
        3, "how often a run may go back to its last good state at half the rate, when a loss is not finite", low=0,
        high=3, advanced=True,
    )

    def change(self, changes: Mapping[str, object]) -> "HealthConfig":
        return self.from_dict({**self.to_dict(), **changes})


@dataclass(frozen=True)
class Warned:
    """kind: collapse, memorisation, overfitting, diverged or unmeasured; message: what is seen and what to do."""

    kind: str
    message: str


def diversity(features: Tensor) -> float:
    """Mean distance between two different rows of features [N, dim], N at least 2; in float64."""
    total = sum(float(block.sqrt().sum()) for block in squared_distances(features, features))
    return total / (len(features) * (len(features) - 1))


def nearest(made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of made [N, dim]: how far the nearest row of real [M, dim] is [N], and which it is [N]."""
    blocks = [block.min(dim=1) for block in squared_distances(made, real)]
    return torch.cat([b.values for b in blocks]).sqrt(), torch.cat([b.indices for b in blocks])


def own_distances(real: Tensor) -> Tensor:
    """How far each row of real [M, dim], M at least 2, is from its nearest neighbour [M].

    Of a picture that is there twice this is 0, and nothing could be nearer: it gets the median of the others.
    """
    squared = torch.cat([block.kthvalue(2, dim=1).values for block in squared_distances(real, real)])
    own = squared.sqrt()
    apart = own[own > 0]
    return torch.where(own > 0, own, apart.median() if len(apart) else torch.ones((), dtype=own.dtype))


def closeness(made: Tensor, real: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """How close each made row is to its nearest real one, in units of that one's own distance, and which it is.

    made [N, dim] and real [M, dim] are `train.drawing.views`, own [M] is `own_distances(real)`. As in Alaa et al.
    2022, "How Faithful is your Synthetic Data?", section 3.3, where a sample below 1 is not authentic. Many of a
    perfect model's are below 1, so a copy is one below COPY.
    """
    distances, places = nearest(made, real)
    return distances / own[places], places


def copies(closeness: Tensor) -> float:
    """The share of copies, 0..1."""
    return float((closeness < COPY).double().mean())


def judge(
    measured: Sequence[Mapping[str, float]], ticks: Sequence[Mapping[str, float]], loss: str = ""
) -> list[Warned]:
    """What is wrong, by all measurements and the latest ticks, both lines of progress.jsonl in order.

    loss: the adversarial loss's name; scores of a Wasserstein critic have no scale, and are not judged.
    """
    found = [_collapsed(measured), _lost_modes(measured), _memorised(measured), _overfitted(ticks, loss)]
    kinds: dict[str, Warned] = {}
    for warned in found:
        if warned is not None:
            kinds.setdefault(warned.kind, warned)
    return list(kinds.values())


def _collapsed(measured: Sequence[Mapping[str, float]]) -> Warned | None:
    ratios = [line["diversity"] for line in measured]
    last = ratios[-IN_A_ROW:]
    if len(last) < IN_A_ROW:
        return None
    fell = max(last) < FELL_TO * max(ratios)
    flat = max(last) < FLAT and last[-1] <= 1.1 * last[0]
    if not (fell or flat):
        return None
    before = f" (it was {max(ratios):.2f})" if fell else ""
    return Warned(
        "collapse",
        f"the samples look alike: their diversity is {ratios[-1]:.2f} of the real pictures'{before}; {_AGAIN}",
    )


def _lost_modes(measured: Sequence[Mapping[str, float]]) -> Warned | None:
    covered = [line["coverage"] for line in measured if "coverage" in line]
    best = max(covered, default=0.0)
    if len(covered) <= IN_A_ROW or best < COVERED or max(covered[-IN_A_ROW:]) >= FELL_TO * best:
        return None
    return Warned(
        "collapse",
        f"kinds of pictures have gone missing: samples cover {covered[-1]:.0%} of the real pictures, and covered "
        f"{best:.0%}; {_AGAIN}",
    )


def _memorised(measured: Sequence[Mapping[str, float]]) -> Warned | None:
    shares = [line["copies"] for line in measured if "copies" in line][-IN_A_ROW:]
    if len(shares) < IN_A_ROW or min(shares) < COPIES:
        return None
    return Warned(
        "memorisation",
        f"{shares[-1]:.0%} of the samples are nearly training pictures (see nearest.jpg; from {COPIES:.0%} on a "
        "model knows them by heart); bring more pictures, use --augment ada, or take an earlier snapshot",
    )


def _overfitted(ticks: Sequence[Mapping[str, float]], loss: str) -> Warned | None:
    last = ticks[-TICKS:]
    if len(last) < TICKS:
        return None
    if all(line.get("ada_rt", 0.0) > R_T and line.get("ada_p", 0.0) >= P_FULL for line in last):
        seen = f"r_t is {last[-1]['ada_rt']:.2f} at full augmentation, over {R_T}"
    elif "wasserstein" not in loss and all(_apart(line) > APART for line in last):
        seen = f"it scores real and generated pictures {_apart(last[-1]):.1f} apart, over {APART:g}"
    else:
        return None
    return Warned(
        "overfitting",
        f"D tells all real pictures from the generated ones ({seen}), and G learns nothing from it; bring more "
        "pictures, raise --r1-gamma, or take an earlier snapshot",
    )


def _apart(line: Mapping[str, float]) -> float:
    return line.get("score_real", 0.0) - line.get("score_fake", 0.0)


def gentler(config: Config) -> dict[str, float]:
    """Half the learning rates of a recipe's settings, by name; empty for one that has none or is at its lowest."""
    names = {field.name: field.metadata.get("low") for field in dataclasses.fields(config)}
    rates = {name: getattr(config, name, None) for name in ("lr", "d_lr") if name in names}
    halves = {name: rate / 2 for name, rate in rates.items() if rate is not None}
    if "lr" not in halves or any(names[name] is not None and half < names[name] for name, half in halves.items()):
        return {}
    return halves
