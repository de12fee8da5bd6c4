import math

import numpy as np
import pytest
import torch

from train.restoration_metrics import LEVELS, Tally, psnr


def test_psnr_is_of_the_hole_alone() -> None:
    wanted, mask = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 24:44] = 1
    found = wanted + 0.2 * mask + 1.0 * (1 - mask)  # a tenth of the range in the hole, half of it elsewhere
    assert psnr(found, wanted, mask) == pytest.approx(20)
    assert psnr(found, wanted, 1 - mask) == pytest.approx(20 * math.log10(2))
    assert psnr(wanted, wanted, mask) == pytest.approx(10 * math.log10(12 * 255**2))


def test_a_tally_knows_every_threshold() -> None:
    levels = np.array([[0, 100, 128, 255], [0, 0, 200, 250]], np.uint8)
    truth = np.array([[0, 1, 1, 1], [0, 0, 0, 0]], bool)
    tally = Tally()
    tally.add(levels, truth)
    # of 128 and more: two of three are damaged, and two are not
    assert tally.scores(128) == {"precision": 0.5, "recall": pytest.approx(2 / 3), "F1": pytest.approx(4 / 7)}
    assert tally.scores(100)["recall"] == 1
    assert 100 >= tally.best_level() and tally.scores(tally.best_level())["F1"] == pytest.approx(0.75)
    tally.add(levels, truth)
    assert tally.scores(128)["F1"] == pytest.approx(4 / 7)


def test_a_tally_forgives_what_is_near() -> None:
    levels, truth = np.zeros((9, 9), np.uint8), np.zeros((9, 9), bool)
    levels[:, 2] = levels[0, 8] = 200  # a line beside the crack, and a pixel far from it
    truth[:, 4] = True
    scores = {}
    for tolerance in (0, 1, 2):
        tally = Tally(tolerance)
        tally.add(levels, truth)
        scores[tolerance] = tally.scores(128)
    assert scores[0]["F1"] == scores[1]["F1"] == 0
    assert scores[2]["precision"] == pytest.approx(0.9) and scores[2]["recall"] == 1


def test_a_tally_of_nothing_has_nothing_wrong() -> None:
    tally = Tally()
    tally.add(np.zeros((4, 4), np.uint8), np.zeros((4, 4), bool))
    assert set(tally.scores(LEVELS // 2).values()) == {1.0}
    tally.add(np.zeros((4, 4), np.uint8), np.ones((4, 4), bool))
    assert tally.scores(LEVELS // 2) == {"precision": 1.0, "recall": 0.0, "F1": 0.0}
