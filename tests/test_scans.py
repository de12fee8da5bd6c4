import pytest
import torch
from torch import Tensor

from studio.scans import inside_margins
from tests.test_texture import picture


def framed(top: int, bottom: int, left: int, right: int, colour: float = -1.0) -> Tensor:
    """A painting of 300 x 200 px with margins of these widths, in px, drawn over it."""
    x = picture(0, 200, 300)
    x[:, :, :top] = x[:, :, 200 - bottom :] = colour
    x[..., :left] = x[..., 300 - right :] = colour
    return x


@pytest.mark.parametrize("colour", [-1.0, 1.0, 0.3])
def test_margins_go_with_their_rims(colour: float) -> None:
    x = framed(5, 8, 4, 11, colour)
    noise = 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    result = inside_margins(x + noise)
    assert torch.equal(result, (x + noise)[:, :, 5 + 4 : 200 - 8 - 4, 4 + 6 : 300 - 11 - 6])


def test_one_side_alone() -> None:
    x = framed(0, 0, 6, 0)
    assert torch.equal(inside_margins(x), x[..., 12:])


def test_a_painting_without_margins_stays() -> None:
    x = picture(1, 200, 300)
    assert inside_margins(x) is not None and torch.equal(inside_margins(x), x)


def test_a_sky_of_one_colour_is_no_margin() -> None:
    assert inside_margins(framed(90, 0, 0, 0, 0.5)).shape[2:] == (188, 300)
    assert inside_margins(torch.zeros(1, 3, 100, 100)).shape[2:] == (88, 88)


def test_tiny_pictures_stay() -> None:
    x = torch.zeros(1, 3, 1, 40)
    assert torch.equal(inside_margins(x), x)
