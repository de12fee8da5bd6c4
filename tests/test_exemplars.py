import pytest
import torch
from torch import Tensor

from studio.exemplars import exemplars
from studio.fills import FILLS


def checks(side: int, period: int) -> Tensor:
    """[1, 3, side, side]: a board of squares, red and blue."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    board = ((y // period + x // period) % 2).float() * 1.6 - 0.8
    return torch.stack([board, torch.zeros_like(board), -board])[None]


def hole(side: int, low: int, high: int) -> Tensor:
    mask = torch.zeros(1, 1, side, side, dtype=torch.bool)
    mask[:, :, low:high, low:high] = True
    return mask


def test_a_pattern_goes_on_where_smooth_fills_lose_it() -> None:
    picture, mask = checks(96, 6), hole(96, 36, 60)
    away = lambda found: ((found - picture).abs() * mask).sum().item() / (3 * mask.sum().item())
    assert away(exemplars(picture, mask)) < 0.05
    assert away(FILLS.get("biharmonic")(picture, mask)) > 0.3


def test_what_it_paints_is_in_the_picture() -> None:
    """Of two kinds of texture a hole within one gets that one."""
    torch.manual_seed(0)
    grain = torch.rand(1, 3, 96, 96) * 0.4
    picture = torch.cat([grain[..., :48] - 0.9, grain[..., 48:] + 0.5], dim=3)
    found = exemplars(picture, hole(96, 10, 34))[:, :, 10:34, 10:34]
    assert found.max() < -0.45 and found.std() > 0.4 * grain.std(), "as dark, and nearly as rough"


def test_it_is_the_same_every_time_and_leaves_torchs_numbers_alone() -> None:
    picture, mask = checks(64, 5), hole(64, 20, 40)
    torch.manual_seed(1)
    first, state = exemplars(picture, mask), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(exemplars(picture, mask), first)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (9, 9), (25, 51)])
def test_pictures_too_small_for_a_patch(height: int, width: int) -> None:
    picture = torch.full((1, 3, height, width), 0.25)
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[:, :, : height // 2 + 1, : width // 2] = True
    assert torch.allclose(exemplars(picture, mask), picture, atol=1e-5)


def test_a_hole_at_the_edge_and_one_that_leaves_no_whole_patch() -> None:
    picture = checks(64, 4)
    for mask in (hole(64, 0, 20), ~hole(64, 30, 34), ~hole(64, 0, 7), ~hole(64, 0, 8)):
        found = exemplars(picture, mask)
        assert found.isfinite().all() and torch.equal(torch.where(mask, 0, found), torch.where(mask, 0, picture))
