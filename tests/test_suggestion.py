import numpy as np
import pytest
import torch

import studio.suggestion
from studio.canvas import Pixels
from studio.errors import UnknownName
from studio.suggestion import Suggestion, SuggestSettings, detect
from tests.tiny_restore import DarkDetector
from tests.tiny_style import blobs

CPU = torch.device("cpu")


def suggestion() -> Suggestion:
    levels = np.zeros((2, 20, 30), np.uint8)
    levels[0, 5, 4:20] = 255
    levels[0, 12, 4:20] = 153  # 60%
    levels[1, 15:18, 22:26] = 204  # 80%
    levels[1, 1, 1] = 255  # a speck
    return Suggestion(("crack", "stain"), levels)


def test_the_threshold_decides() -> None:
    bare = SuggestSettings(rim=0)
    assert suggestion().mask(bare).sum() == 2 * 16 + 12
    assert suggestion().mask(bare.replace(threshold=0.7)).sum() == 16 + 12
    assert suggestion().mask(bare.replace(threshold=0.9)).sum() == 16


def test_a_crack_is_not_left_in_pieces() -> None:
    """A line that is sure but for 7 px, where it nearly is; and one like these 7 px far from any that is sure."""
    levels = np.zeros((2, 20, 60), np.uint8)
    levels[0, 5, :40] = 255
    levels[0, 5, 20:27] = levels[0, 15, 20:27] = 100
    levels[1, 6, 20:27] = 100  # of another kind
    mask = Suggestion(("crack", "stain"), levels).mask(SuggestSettings(rim=0))
    assert mask[5, :40].all() and mask.sum() == 40
    assert Suggestion(("crack", "stain"), levels).mask(SuggestSettings(rim=0, threshold=0.9)).sum() == 33
    (crack,) = Suggestion(("crack", "stain"), levels).found()
    assert (crack.name, crack.regions, crack.area_px, crack.confidence) == ("crack", 1, 40, 1)


def test_classes_are_chosen_by_name() -> None:
    mask = suggestion().mask(SuggestSettings(classes=("stain",), rim=0))
    assert np.argwhere(mask).min(axis=0).tolist() == [15, 22] and mask.sum() == 12
    with pytest.raises(UnknownName, match=r"no kind of damage named 'dust'; known: crack, stain"):
        suggestion().mask(SuggestSettings(classes=("dust",)))


def test_a_rim_is_added_and_specks_are_left_out() -> None:
    mask = suggestion().mask(SuggestSettings(classes=("crack",), threshold=0.9, rim=1))
    assert mask.sum() == 16 + 2 * 16 + 2 and not mask[:3].any()


def test_what_was_found_is_counted() -> None:
    crack, stain = suggestion().found()
    assert (crack.name, crack.regions, crack.area_px) == ("crack", 2, 32) and crack.confidence == pytest.approx(0.8)
    assert (stain.name, stain.regions, stain.area_px) == ("stain", 1, 12)
    assert Suggestion(("crack",), np.zeros((1, 9, 9), np.uint8)).found() == ()
    assert not Suggestion(("crack",), np.zeros((1, 9, 9), np.uint8)).mask().any()


def test_tiles_suggest_what_one_pass_does(monkeypatch: pytest.MonkeyPatch) -> None:
    canvas, counted = Pixels(blobs(150, 170), CPU), []
    whole = detect(canvas, DarkDetector(), counted.append)
    assert counted == [150 * 170] and whole.classes == ("crack", "stain")
    dark = (255 - canvas.array.max(axis=2).astype(int)) / 255
    assert np.abs(whole.levels[0] / 255 - dark).max() <= 0.5 / 255 + 1e-6
    monkeypatch.setattr(studio.suggestion, "TILE", 50)
    tiled = detect(canvas, DarkDetector(), counted.append)
    assert np.array_equal(tiled.levels, whole.levels) and len(counted) == 13
