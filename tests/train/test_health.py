from dataclasses import dataclass

import pytest
import torch

from studio.config import Config, setting
from studio.errors import SettingError
from train.health import HealthConfig, closeness, copies, diversity, gentler, judge, nearest, own_distances


def measured(*ratios: float, **others: list[float]) -> list[dict[str, float]]:
    lines = [{"diversity": ratio} for ratio in ratios]
    for name, values in others.items():
        for line, value in zip(lines, values, strict=True):
            line[name] = value
    return lines


def kinds(lines: list[dict], ticks: list[dict] = [], loss: str = "") -> list[str]:
    return [warned.kind for warned in judge(lines, ticks, loss)]


def test_diversity_of_a_triangle() -> None:
    """Sides 3, 4 and 5: on average 4; twice as large, twice as much; of one point, nothing."""
    triangle = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert diversity(triangle) == pytest.approx(4.0)
    assert diversity(2 * triangle) == pytest.approx(8.0)
    assert diversity(torch.ones(5, 3)) == 0.0


def test_nearest_and_own() -> None:
    real = torch.tensor([[0.0], [1.0], [5.0]])
    distances, places = nearest(torch.tensor([[0.25], [4.0]]), real)
    assert distances.tolist() == pytest.approx([0.25, 1.0]) and places.tolist() == [0, 2]
    assert own_distances(real).tolist() == pytest.approx([1.0, 1.0, 4.0])


def test_a_picture_that_is_there_twice_has_the_usual_distance() -> None:
    assert own_distances(torch.tensor([[0.0], [0.0], [7.0], [9.0], [20.0]])).tolist() == pytest.approx(
        [2, 2, 2, 2, 11]
    )
    assert own_distances(torch.zeros(3, 2)).tolist() == [1.0, 1.0, 1.0]


def test_copies_are_closer_than_half_of_the_way_to_a_neighbour() -> None:
    real = torch.tensor([[0.0], [1.0], [5.0]])
    near, places = closeness(torch.tensor([[0.1], [-0.6], [6.5], [8.0]]), real, own_distances(real))
    assert near.tolist() == pytest.approx([0.1, 0.6, 0.375, 0.75]) and places.tolist() == [0, 0, 2, 2]
    assert copies(near) == 0.5


@pytest.mark.parametrize(
    ("ratios", "alarm"),
    [
        ([0.9, 0.95, 1.0, 0.97], False),
        ([0.9, 0.4], False),  # one may be bad luck
        ([0.9, 0.4, 0.44], True),
        ([0.9, 0.4, 0.46], False),  # back above half of the best
        ([0.05, 0.1, 0.2, 0.5], False),  # the beginning of a training
        ([0.1, 0.1], True),  # flat from the start
        ([0.3, 0.3, 0.3], False),  # poor, and no collapse
    ],
)
def test_collapse(ratios: list[float], alarm: bool) -> None:
    assert kinds(measured(*ratios)) == (["collapse"] if alarm else [])


def test_what_a_collapse_says() -> None:
    (warned,) = judge(measured(0.8, 0.3, 0.2), [])
    assert warned.message.startswith(
        "the samples look alike: their diversity is 0.20 of the real pictures' (it was 0.80); go on"
    )


@pytest.mark.parametrize(
    ("coverages", "alarm"),
    [([0.1, 0.6, 0.2, 0.25], True), ([0.1, 0.6, 0.2, 0.31], False), ([0.19, 0.01, 0.01], False), ([0.6, 0.2], False)],
)
def test_kinds_that_go_missing(coverages: list[float], alarm: bool) -> None:
    """Two modes out of eight, opposite each other, are as far apart as all eight: only coverage sees it."""
    lines = measured(*[1.0] * len(coverages), coverage=coverages)
    assert kinds(lines) == (["collapse"] if alarm else [])


def test_both_signs_of_a_collapse_are_one_warning() -> None:
    assert kinds(measured(0.9, 0.1, 0.1, coverage=[0.8, 0.1, 0.1])) == ["collapse"]


@pytest.mark.parametrize(("shares", "alarm"), [([0.1, 0.5, 0.6], True), ([0.5, 0.2], False), ([0.9], False)])
def test_memorisation(shares: list[float], alarm: bool) -> None:
    assert kinds(measured(*[1.0] * len(shares), copies=shares)) == (["memorisation"] if alarm else [])


def test_a_discriminator_that_knows_too_much() -> None:
    sure = {"ada_rt": 0.95, "ada_p": 1.0}
    assert kinds([], [sure] * 3) == ["overfitting"] and kinds([], [sure] * 2) == []
    assert kinds([], [sure, {"ada_rt": 0.95, "ada_p": 0.5}, sure]) == []  # augmentation has not done all it can
    assert kinds([], [sure, {"ada_rt": 0.8, "ada_p": 1.0}, sure]) == []
    apart = {"score_real": 5.0, "score_fake": -4.0}
    assert kinds([], [apart] * 3) == ["overfitting"] and kinds([], [apart] * 3, "wasserstein") == []
    assert kinds([], [{"score_real": 3.0, "score_fake": -4.0}] * 3) == []
    assert "it scores real and generated pictures 9.0 apart, over 8" in judge([], [apart] * 3)[0].message


@dataclass(frozen=True)
class Rates(Config):
    lr: float = setting(0.002, low=1e-7, high=1)
    d_lr: float | None = setting(None, low=1e-7, high=1)


@dataclass(frozen=True)
class NoRates(Config):
    kimg: float = 1.0


def test_half_the_rate() -> None:
    assert gentler(Rates()) == {"lr": 0.001}
    assert gentler(Rates(d_lr=0.008)) == {"lr": 0.001, "d_lr": 0.004}
    assert gentler(Rates(lr=1e-7)) == {} and gentler(NoRates()) == {}


def test_settings() -> None:
    assert HealthConfig().change({"patience": 4}) == HealthConfig(patience=4)
    with pytest.raises(SettingError, match="rollbacks=4 is outside 0..3"):
        HealthConfig(rollbacks=4)
    with pytest.raises(SettingError, match="no setting named 'kimg'"):
        HealthConfig().change({"kimg": 4})
