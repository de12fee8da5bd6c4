import cv2
import numpy as np
import pytest

import studio.compositing
from studio.compositing import composite, fill_weights, to_levels, to_light


def line(width: int) -> np.ndarray:
    mask = np.zeros((60, 30), bool)
    mask[20 : 20 + width] = True
    return mask


@pytest.mark.parametrize("feather", [0, 1, 2, 4, 16])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_the_middle_of_a_hairline_is_filled_in_full(width: int, feather: int) -> None:
    weights = fill_weights(line(width), feather)[20 : 20 + width, 15]
    assert weights[width // 2] == weights[(width - 1) // 2] == 1
    expected = [0.5, 1, 1, 1, 0.5] if width == 5 and feather else [1] * width
    assert weights.tolist() == expected


def test_a_wide_fill_fades_in_over_the_feather() -> None:
    weights = fill_weights(line(20), 3)[20:40, 15]
    assert weights.tolist() == pytest.approx([0.25, 0.5, 0.75, *[1] * 14, 0.75, 0.5, 0.25])


def test_a_crack_that_leaves_a_loss_stays_in_full() -> None:
    mask = np.zeros((100, 100), bool)
    mask[30:70, 10:50] = True
    mask[50, 50:90] = True
    weights = fill_weights(mask, 8)
    assert (weights[50, 50:90] == 1).all() and weights[30, 30] < 0.2


def test_weights_are_the_masks_and_know_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    specks = (np.random.default_rng(0).random((300, 260)) > 0.98).astype(np.uint8)
    mask = cv2.dilate(specks, np.ones((9, 9), np.uint8)) > 0
    weights = fill_weights(mask, 3)
    assert np.array_equal(weights > 0, mask) and 0 < weights[mask].min() < 1
    monkeypatch.setattr(studio.compositing, "_SIDE", 61)
    assert np.array_equal(fill_weights(mask, 3), weights)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nothing_and_everything_are_exact(dtype: type) -> None:
    full = np.iinfo(dtype).max
    every = np.arange(full + 1, dtype=dtype)[:, None]
    other = every[::-1]
    shown = lambda alpha: composite(every, other, np.full(len(every), alpha, dtype))
    assert np.array_equal(shown(0), every) and np.array_equal(shown(full), other)
    assert np.array_equal(composite(every, every, np.full(len(every), full // 3, dtype)), every)


def test_half_of_white_over_black_is_half_the_light() -> None:
    """By sRGB's curve half the light is level 188, where half the level would be 128."""
    found = composite(np.zeros((1, 3), np.uint8), np.full((1, 3), 255, np.uint8), np.array([128], np.uint8))
    assert found.tolist() == [[188, 188, 188]]


def test_light_of_known_levels() -> None:
    levels = np.array([0, 10, 128, 255], np.uint8)
    assert to_light(levels) == pytest.approx([0, 0.003035, 0.215861, 1], abs=1e-6)
    assert to_levels(to_light(levels), np.uint8).tolist() == levels.tolist()
