import pytest
import torch
from torch import Tensor

from studio.biharmonic import biharmonic


def polynomials(height: int = 90, width: int = 110) -> Tensor:
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)[None]
    return torch.stack([0.3 * x + 0.2 * y, x * x - 0.5 * y * y + 0.3 * x * y, 0.5 * x**3 - 0.4 * x * y * y])[None]


@pytest.mark.parametrize("radius", [1, 4, 15])
def test_polynomials_go_on_as_they_are(radius: int) -> None:
    picture = polynomials()
    mask = torch.zeros(1, 1, 90, 110, dtype=torch.bool)
    mask[:, :, 40 - radius : 40 + radius, 50 - radius : 50 + radius] = True
    mask[:, :, 20, 5:100] = True
    found = biharmonic(torch.where(mask, float("nan"), picture), mask)
    assert (found - picture).abs().max() < 1 / 255  # half a level of 8 bits
    assert torch.equal(found[~mask.expand_as(found)], picture[~mask.expand_as(picture)])


def test_from_an_edge_it_goes_on_too() -> None:
    mask = torch.zeros(1, 1, 90, 110, dtype=torch.bool)
    mask[:, :, :3] = True
    plane = polynomials()[:, :1]
    assert (biharmonic(plane, mask) - plane).abs().max() < 0.05


def test_without_holes_nothing_is_done() -> None:
    picture = polynomials()
    assert biharmonic(picture, torch.zeros(1, 1, 90, 110, dtype=torch.bool)) is picture
