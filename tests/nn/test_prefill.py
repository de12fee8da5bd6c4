import pytest
import torch
from torch import Tensor

from studio.biharmonic import biharmonic
from studio.nn.prefill import bend, diffuse, laplacian, surface


def hole(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, rows, columns] = 1
    return mask


def test_diffusion_of_one_colour_is_that_colour() -> None:
    picture = torch.tensor([0.25, -0.5, 1.0])[None, :, None, None].expand(1, 3, 40, 56)
    assert torch.allclose(diffuse(picture, hole(40, 56, slice(4, 30), slice(10, 56))), picture, atol=1e-6)


def test_diffusion_goes_on_between_two_sides() -> None:
    """A ramp with a gap one pixel wide: the gap gets the middle of its neighbours."""
    picture = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    filled = diffuse(picture, hole(64, 64, slice(None), slice(31, 32)))
    assert torch.allclose(filled, picture, atol=0.012)
    wide = diffuse(picture, hole(64, 64, slice(16, 48), slice(24, 40)))
    assert torch.allclose(wide, picture, atol=0.2) and (wide[0, 0, 32, 24:40].diff() >= -1e-6).all()


def test_diffusion_leaves_what_is_known_and_never_looks_under_the_mask() -> None:
    torch.manual_seed(0)
    picture, mask = torch.rand(2, 3, 33, 47), (torch.rand(2, 1, 33, 47) < 0.3).float()
    filled = diffuse(picture, mask)
    assert torch.equal(torch.where(mask > 0, 0.0, filled), torch.where(mask > 0, 0.0, picture))
    assert torch.equal(diffuse(torch.where(mask > 0, torch.nan, picture), mask), filled)
    assert torch.equal(diffuse(picture, torch.ones(2, 1, 33, 47)), torch.zeros(2, 3, 33, 47))


def test_cracks_are_filled_as_by_biharmonic_inpainting() -> None:
    torch.manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), size=(96, 96), mode="bicubic")
    mask = torch.clamp(hole(96, 96, slice(10, 90), slice(30, 34)) + hole(96, 96, slice(50, 52), slice(0, 96)), max=1)
    exact = biharmonic(picture, mask.bool())
    away = lambda filled: ((filled - exact) * mask).abs().max().item()
    assert away(surface(picture, mask)) < 0.02 < 0.1 < away(diffuse(picture, mask))


def test_bending_leaves_the_known_and_does_not_run_away_in_wide_holes() -> None:
    picture, mask = torch.rand(2, 3, 80, 64) * 2 - 1, hole(80, 64, slice(8, 72), slice(4, 64)).repeat(2, 1, 1, 1)
    filled = bend(diffuse(picture, mask), mask)
    assert torch.equal(torch.where(mask > 0, 0.0, filled), torch.where(mask > 0, 0.0, picture))
    assert filled.abs().max() < 2


@pytest.mark.parametrize("side", [1, 2, 9])
def test_the_laplacian_of_one_colour_is_nothing(side: int) -> None:
    assert torch.allclose(laplacian(torch.full((1, 3, side, 9), 0.7)), torch.zeros(1, 3, side, 9), atol=1e-6)
    assert torch.equal(surface(torch.ones(1, 3, side, 9), torch.ones(1, 1, side, 9)), torch.zeros(1, 3, side, 9))
