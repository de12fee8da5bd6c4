"""Blur, channels, transparency and normalisation by the picture."""

import torch

from studio.nn.blur import blurred
from studio.nn.channels import as_colours, take_channels
from studio.nn.picture_norm import PictureNorm
from studio.nn.transparency import on_white


def test_a_point_is_blurred_into_nine() -> None:
    x = torch.zeros(1, 2, 5, 5)
    x[:, :, 2, 2] = 16
    expected = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    assert torch.equal(blurred(x)[0, 1, 1:4, 1:4], expected)
    assert torch.allclose(blurred(torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 3, 3))


def test_grey_is_weighed_as_the_eye_does() -> None:
    colours = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
    assert torch.allclose(take_channels(colours, 1), torch.full([1, 1, 1, 1], 0.299 - 0.114))
    assert take_channels(colours, 3) is colours
    assert as_colours(torch.ones(2, 1, 4, 4)).shape == as_colours(torch.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)


def test_what_is_transparent_is_white() -> None:
    picture = torch.full([1, 4, 1, 3], 0.2)
    picture[0, 3] = torch.tensor([[-1.0, 0.5, 9.0]])
    assert torch.allclose(on_white(picture)[0, 0], torch.tensor([[1.0, 0.6, 0.2]]))


def test_each_picture_is_normalised_by_itself() -> None:
    x = torch.randn(2, 3, 6, 5) * torch.tensor([1.0, 9.0]).view(2, 1, 1, 1) + 4
    norm = PictureNorm(3, affine=True)
    with torch.no_grad():
        norm.weight.fill_(2.0), norm.bias.fill_(1.0)
    y = norm(x)
    assert torch.allclose(y.mean(dim=(2, 3)), torch.ones(2, 3), atol=1e-5)
    assert torch.allclose(y.std(dim=(2, 3), unbiased=False), torch.full([2, 3], 2.0), atol=1e-3)
    assert torch.equal(PictureNorm(3, affine=False)(torch.randn(1, 3, 1, 1)), torch.zeros(1, 3, 1, 1))
