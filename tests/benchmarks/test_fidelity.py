import math

import numpy as np
import pytest
import torch

from benchmarks.fidelity import LEVELS, Judge, Tally, direction_distance, psnr, ssim
from train.style_metrics import content_distance


def picture(seed: int = 0, side: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def hole(side: int = 64) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., 20:40, 24:44] = 1
    return mask


def test_psnr_is_of_the_hole_alone() -> None:
    wanted, mask = torch.zeros(1, 3, 64, 64), hole()
    found = wanted + 0.2 * mask + 1.0 * (1 - mask)  # a tenth of the range in the hole, half of it elsewhere
    assert psnr(found, wanted, mask) == pytest.approx(20)
    assert psnr(found, wanted, 1 - mask) == pytest.approx(20 * math.log10(2))
    assert psnr(wanted, wanted, mask) == pytest.approx(10 * math.log10(12 * 255**2))


def test_ssim_is_of_the_hole_alone() -> None:
    wanted, mask = picture(), hole()
    found = torch.where(mask > 0, wanted, -wanted)
    # the window of 11 px reaches 5 px out of the hole: deep inside nothing differs
    deep = torch.zeros_like(mask)
    deep[..., 26:34, 30:38] = 1
    assert ssim(found, wanted, deep) == pytest.approx(1, abs=1e-5)
    assert ssim(found, wanted, mask) < 0.99
    assert ssim(found, wanted, 1 - mask) < 0


def test_ssim_of_two_flat_pictures_compares_their_tones() -> None:
    dark, light = torch.full((1, 3, 32, 32), -0.6), torch.full((1, 3, 32, 32), 0.2)  # 0.2 and 0.6 of the range
    tone = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(dark, light, torch.ones(1, 1, 32, 32)) == pytest.approx(tone, abs=1e-4)


def test_distances_count_the_hole_alone() -> None:
    a, b = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)
    a[:, 0], b[:, 0] = 1, 1
    b[:, :, 2:4, 2:4] = torch.tensor([0.0, 1.0])[None, :, None, None]  # at right angles: a squared distance of 2
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:8, 4:8] = 1
    assert direction_distance([a], [b], mask) == 2
    mask[..., 4:8, 4:16] = 1  # twice as much again where nothing differs
    assert direction_distance([a], [b], mask) == pytest.approx(2 / 3)
    assert direction_distance([a, a], [b, a], mask) == pytest.approx(1 / 3)


def test_over_a_whole_picture_distances_are_those_of_style() -> None:
    judge, found, wanted = Judge(), picture(1), picture(2)
    measured = judge.measure(found, wanted, judge.look(wanted), torch.ones(1, 1, 64, 64))
    assert list(measured) == ["PSNR", "SSIM", "VGG", "Lite0"]
    for eye in judge.eyes:
        a, b = ([eye(x)[layer] for layer in eye.content_layers] for x in (found, wanted))
        assert measured[eye.name] == pytest.approx(float(content_distance(a, b)), rel=1e-4)
    same = judge.measure(wanted, wanted, judge.look(wanted), hole())
    assert same["VGG"] == pytest.approx(0, abs=1e-9) and same["SSIM"] == pytest.approx(1, abs=1e-5)


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
