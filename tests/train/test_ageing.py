from collections.abc import Callable

import numpy as np
import pytest
import torch

from train.ageing import (
    CRACK, FAINT, FOLD, LOSS, NEAR, STAIN, age, age_all, capture, crack, fold, loss, pen_lines, stain, visible,
)


def grey(level: float = 0.6, height: int = 96, width: int = 128) -> np.ndarray:
    return np.full((3, height, width), level, dtype=np.float32)


@pytest.mark.parametrize("damage", [crack, loss, stain, fold])
def test_damage_changes_the_picture_where_it_says(damage: Callable) -> None:
    changes, elsewhere, areas = [], [], []
    for seed in range(12):
        aged, where = damage(np.random.default_rng(seed), grey())
        change = np.abs(aged - grey()).max(axis=0)
        assert aged.dtype == np.float32 and aged.shape == (3, 96, 128) and where.shape == (96, 128)
        assert 0 <= aged.min() and aged.max() <= 1
        if 0 < where.mean() < 1:
            changes.append(change[where].mean())
            elsewhere.append(change[~where].mean())
            areas.append(where.mean())
    assert len(areas) >= 10 and np.mean(changes) > 0.08 and np.mean(changes) > 4 * np.mean(elsewhere)
    assert np.mean(areas) < 0.4


def test_lost_paint_leaves_nothing_of_the_picture() -> None:
    aged, where = loss(np.random.default_rng(2), grey(0.1))
    other, same = loss(np.random.default_rng(2), grey(0.9))
    assert np.array_equal(where, same) and np.array_equal(aged[:, where], other[:, where])
    assert np.array_equal(aged[:, ~where], grey(0.1)[:, ~where])


def test_what_is_not_seen_is_no_damage() -> None:
    before, after = grey(0.5, 20, 30), grey(0.5, 20, 30)
    after[:, 9, 9] += FAINT * 2
    after[:, 0, 0] += FAINT / 2
    seen = visible(before, after)
    assert seen.shape == (20, 30) and seen[8:12, 8:12].all() and seen.sum() == NEAR**2
    assert not visible(before, before).any()


def test_labels_say_what_was_drawn_and_some_pictures_are_whole() -> None:
    found = np.array([age(np.random.default_rng(seed), grey())[1].any(axis=(1, 2)) for seed in range(80)])
    none = (~found.any(axis=1)).mean()
    assert 0.05 < none < 0.35
    often = found.mean(axis=0)
    assert often[CRACK] > 0.4 and (often[[LOSS, STAIN, FOLD]] > 0.12).all()


def test_cracks_end_where_paint_is_lost() -> None:
    both = [age(np.random.default_rng(seed), grey())[1] for seed in range(60)]
    both = [labels for labels in both if labels[LOSS].any() and labels[CRACK].any()]
    assert len(both) > 3 and not any((labels[LOSS] & labels[CRACK]).any() for labels in both)


def test_pen_lines_are_drawn_and_not_labelled() -> None:
    random = np.random.default_rng(0)
    picture = random.random((3, 64, 64), dtype=np.float32)
    drawn = pen_lines(np.random.default_rng(1), picture)
    share = (np.abs(drawn - picture).max(axis=0) > 0.02).mean()
    assert 0.01 < share < 0.5


def test_a_capture_is_the_picture_in_other_light() -> None:
    ramp = np.broadcast_to(np.linspace(0.2, 0.8, 64, dtype=np.float32), (3, 64, 64))
    for seed in range(8):
        found = capture(np.random.default_rng(seed), ramp)
        assert found.shape == ramp.shape and np.abs(found - ramp).max() < 0.35
        assert np.corrcoef(found.mean(axis=(0, 1)), ramp[0, 0])[0, 1] > 0.99


def test_torch_decides_and_a_batch_comes_back() -> None:
    pictures = torch.rand(3, 3, 48, 48) * 2 - 1
    torch.manual_seed(4)
    aged, labels = age_all(pictures)
    torch.manual_seed(4)
    again = age_all(pictures)
    assert torch.equal(aged, again[0]) and torch.equal(labels, again[1])
    assert aged.shape == (3, 3, 48, 48) and aged.dtype == torch.float32 and -1 <= aged.min() and aged.max() <= 1
    assert labels.shape == (3, 4, 48, 48) and set(labels.unique().tolist()) <= {0.0, 1.0}
