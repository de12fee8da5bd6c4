import pytest
import torch

from train.grids import grid_count, sample_grid


@pytest.mark.parametrize(
    ("side", "count"), [(16, 64), (192, 64), (256, 64), (257, 49), (512, 16), (683, 4), (1024, 4), (4096, 4)]
)
def test_as_many_as_fit_within_2048_px(side: int, count: int) -> None:
    assert grid_count(side) == count


def test_a_grid_shows_the_first_of_the_samples() -> None:
    samples = torch.arange(64.0)[:, None, None, None].expand(64, 1, 512, 512)
    picture = sample_grid(samples)
    assert picture.shape == (1, 2048, 2048)
    assert picture[0, ::512, ::512].flatten().tolist() == list(range(16))


@pytest.mark.parametrize(
    ("count", "size"), [(1, (16, 16)), (3, (32, 32)), (5, (32, 48)), (64, (128, 128)), (80, (128, 128))]
)
def test_columns_follow_from_the_number_of_pictures(count: int, size: tuple[int, int]) -> None:
    assert sample_grid(torch.zeros(count, 3, 16, 16)).shape == (3, *size)
