import math

import pytest
import torch

from train.losses.segmentation import cross_entropy, dice_loss, f1_score


def test_cross_entropy_of_knowing_nothing_is_log_2_and_what_is_rare_counts_more() -> None:
    logits, labels = torch.zeros(2, 4, 2, 2), torch.zeros(2, 4, 2, 2)
    labels[1] = 1
    assert cross_entropy(logits, labels).tolist() == pytest.approx([math.log(2)] * 2)
    assert cross_entropy(logits, labels, rarity=3).tolist() == pytest.approx([math.log(2), 3 * math.log(2)])


def test_dice_is_nought_for_the_labels_and_one_for_their_opposite() -> None:
    labels = torch.zeros(2, 3, 20, 20)
    labels[0, 0, :10], labels[:, 1] = 1, 1
    sure = (labels * 2 - 1) * 40
    assert dice_loss(sure, labels).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    opposite = dice_loss(-sure, labels).tolist()
    assert opposite[0] > 0.99 and opposite[1] > 0.99 and opposite[2] > 0.99  # nothing there, and all found


def test_f1_of_half_found() -> None:
    labels = torch.zeros(1, 2, 4, 4)
    labels[0, 0, :2] = 1
    found = torch.zeros(1, 2, 4, 4)
    found[0, 0, 0], found[0, 0, 3] = 0.9, 0.9  # 4 of 8 found, 4 too many
    assert f1_score(found, labels).tolist() == pytest.approx([0.5, 1.0])
