from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.errors import DataError
from train.squares import MAX_SQUARES, open_squares, random_crops


def ramp(path: Path, width: int, height: int) -> Path:
    """A picture whose red grows along its width and whose green grows along its height."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width)[None]
    pixels[:, :, 1] = np.linspace(0, 255, height)[:, None]
    Image.fromarray(pixels).save(path)
    return path


def test_squares_reach_from_end_to_end(tmp_path: Path) -> None:
    ramp(tmp_path / "wide.png", 400, 160)
    squares = open_squares(tmp_path, 80)
    assert squares.load([0, 1, 2]).shape == (3, 3, 80, 80) and len(squares) == 3
    red = squares.load([0, 1, 2])[:, 0].float().mean(dim=1)
    assert red[0, 0] < 3 and red[2, -1] > 252
    assert red[1].mean().item() == pytest.approx(127.5, abs=2)
    assert squares.summary()["pictures"] == 3


def test_a_tall_picture_is_cut_along_its_height(tmp_path: Path) -> None:
    ramp(tmp_path / "tall.png", 100, 200)
    green = open_squares(tmp_path, 50).load([0, 1])[:, 1].float().mean(dim=2)
    assert green[0, 0] < 3 and green[1, -1] > 252


def test_a_square_picture_is_one_square_and_a_panorama_a_few(tmp_path: Path) -> None:
    ramp(tmp_path / "a.png", 60, 60)
    ramp(tmp_path / "b.png", 1200, 40)
    assert open_squares(tmp_path, 40).names == ["a.png"] + ["b.png"] * MAX_SQUARES


def test_pictures_too_many_for_memory_give_fewer_squares(tmp_path: Path) -> None:
    for i in range(6):
        ramp(tmp_path / f"{i}.png", 90, 30)
    size = 3 * 30 * 30
    assert len(open_squares(tmp_path, 30)) == 18
    assert open_squares(tmp_path, 30, memory_bytes=6 * size).names == [f"{i}.png" for i in range(6)]
    assert open_squares(tmp_path, 30, memory_bytes=3 * size).names == ["0.png", "2.png", "4.png"]


def test_a_bad_file_is_skipped_and_listed(tmp_path: Path) -> None:
    ramp(tmp_path / "a.png", 60, 60)
    (tmp_path / "b.png").write_bytes(b"no picture")
    squares = open_squares(tmp_path, 40)
    assert squares.names == ["a.png"] and [s.name for s in squares.skipped] == ["b.png"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="no readable pictures.*b.png"):
        open_squares(tmp_path, 40)


def test_all_squares_of_a_picture_are_on_one_side_of_the_holdout(tmp_path: Path) -> None:
    for i in range(12):
        ramp(tmp_path / f"{i}.png", 90, 30)
    train, held = (set(open_squares(tmp_path, 30, part=part, holdout=0.5).names) for part in ("train", "held-out"))
    assert train | held == {f"{i}.png" for i in range(12)} and not train & held and train and held


def test_crops_lie_inside_and_their_sizes_vary() -> None:
    x = torch.linspace(-1, 1, 64).expand(3, 64, 64)
    torch.manual_seed(0)
    crops = random_crops(x.expand(200, 3, 64, 64), 16, 16)
    spans = (crops[:, 0, 0, -1] - crops[:, 0, 0, 0]).abs()
    assert crops.abs().max() <= 1
    # a crop of n of 64 columns spans about 2n/64, and half of the doublings from 16 to 64 are below 32
    assert spans.min().item() == pytest.approx(0.5, abs=0.05) and spans.max() > 1.6
    assert (spans < 0.98).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert (crops[:, 0, 0, -1] > crops[:, 0, 0, 0]).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_crops_are_reduced_no_further_than_is_asked_and_stay_in_range() -> None:
    x = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    torch.manual_seed(0)
    crops = random_crops(x, 16, 16, 200, reduction=2)
    spans = (crops[:, 0, 0, -1] - crops[:, 0, 0, 0]).abs()
    assert 0.9 < spans.max() < 1.05
    steps = torch.where(torch.arange(64) % 8 < 4, -1.0, 1.0).expand(1, 3, 64, 64)
    crops = random_crops(steps, 16, 16, 50, kernel="bicubic")
    assert crops.abs().max() == 1  # a bicubic edge goes beyond it


def test_a_crop_at_full_size_is_the_square_or_its_mirror() -> None:
    square = torch.rand(1, 3, 16, 16)
    torch.manual_seed(1)
    crop = random_crops(square, 16, 16)
    assert torch.equal(crop, square) or torch.equal(crop, square.flip(3))
