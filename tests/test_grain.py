"""What a soft fill lacks is taken from the same picture; what it knows stays."""

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.canvas import Whole
from studio.errors import Cancelled
from studio.grain import AMOUNT, with_grain
from studio.holes import Filled, fill_again
from tests.test_exemplars import hole


def sand(side: int, low: float, high: float) -> Tensor:
    """[1, 3, side, side]: grain all over, on a ground that grows lighter from left to right."""
    grain = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0)).expand(1, 3, -1, -1) * 0.1
    return grain + torch.linspace(low, high, side)


def test_a_smooth_fill_becomes_as_rough_as_its_surroundings_and_keeps_its_colours() -> None:
    picture, mask = sand(160, -0.6, 0.6), hole(160, 50, 110)
    smooth = torch.where(mask, torch.linspace(-0.6, 0.6, 160).expand_as(picture), picture)
    smooth[:, 0] += 0.3 * mask[0]  # a red that no patch of the picture has
    found = with_grain(smooth, mask)
    assert torch.equal(torch.where(mask, 0, found), torch.where(mask, 0, smooth))
    inside = (found - smooth)[:, :, 54:106, 54:106]
    assert 0.5 * AMOUNT * 0.1 < inside.std() < 1.2 * AMOUNT * 0.1
    assert inside.mean(dim=(0, 2, 3)).abs().max() < 0.01, "of the same colour"


def test_nothing_changes_where_no_patch_is_whole() -> None:
    picture = sand(300, -0.5, 0.5)
    assert torch.allclose(with_grain(picture, ~hole(300, 140, 144)), picture, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (9, 9), (25, 51)])
def test_pictures_too_small_for_a_patch(height: int, width: int) -> None:
    picture = torch.full((1, 3, height, width), 0.25)
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[:, :, : height // 2 + 1, : width // 2] = True
    assert torch.allclose(with_grain(picture, mask), picture, atol=1e-5)


def test_it_stops_where_it_is_told_to() -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        with_grain(sand(64, 0, 0), hole(64, 20, 40), stop)


def test_a_part_is_filled_again_by_what_sees_the_first_fill() -> None:
    picture = torch.zeros(1, 3, 500, 640)
    mask, part = np.zeros((500, 640), bool), np.zeros((500, 640), bool)
    mask[20:480, 30:33] = mask[100:300, 200:500] = True
    part[100:300, 200:500] = True
    places = np.flatnonzero(mask)
    first = Filled(places, np.repeat(np.linspace(0, 1, len(places), dtype=np.float32)[:, None], 3, axis=1))
    settled = []

    def brighter(x: Tensor, holes: Tensor) -> Tensor:
        return torch.where(holes, x + 0.5, 9.0)

    found = fill_again(Whole(picture), mask, first, part, brighter, settled.append)
    again = part.ravel()[places]
    assert np.array_equal(found.places, places) and sum(settled) == part.sum()
    assert np.allclose(found.colours[again], first.colours[again] + 0.5, atol=1e-6)
    assert np.array_equal(found.colours[~again], first.colours[~again])
