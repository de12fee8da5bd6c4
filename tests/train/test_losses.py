import math

import pytest
import torch
from torch import Tensor

from studio.errors import UnknownName
from train.losses.adversarial import LOSSES
from train.losses.regularizers import gradient_penalty, path_lengths

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=F64)


# What G and D play for


def test_undecided_logits_cost_log_two() -> None:
    loss, zero = LOSSES.get("non-saturating"), torch.zeros(3)
    assert torch.allclose(loss.generator(zero, None), torch.full([3], math.log(2)))
    assert torch.allclose(loss.discriminator(zero, zero), torch.full([3], 2 * math.log(2)))


def test_non_saturating_is_the_cross_entropy_of_the_right_labels() -> None:
    loss, real, fake = LOSSES.get("non-saturating"), normal(5), normal(5) * 3
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    one, nought = torch.ones(5, dtype=F64), torch.zeros(5, dtype=F64)
    wanted = bce(real, one, reduction="none") + bce(fake, nought, reduction="none")
    assert torch.allclose(loss.discriminator(real, fake), wanted)
    assert torch.allclose(loss.generator(fake, None), bce(fake, one, reduction="none"))


def test_a_hopeless_generator_still_learns() -> None:
    """The gradient at a logit of -20 is -1, where that of log(1 - D) would be 0."""
    fake = torch.tensor([-20.0], requires_grad=True)
    LOSSES.get("non-saturating").generator(fake, None).sum().backward()
    assert fake.grad.item() == pytest.approx(-1.0)


def test_relativistic_knows_the_difference_only_and_is_symmetric() -> None:
    loss, real, fake = LOSSES.get("relativistic"), normal(5), normal(5) * 3
    assert loss.relative and not LOSSES.get("non-saturating").relative
    # the players' parts changed over
    assert torch.allclose(loss.generator(fake, real), loss.discriminator(fake, real))
    assert torch.allclose(loss.generator(fake + 7, real + 7), loss.generator(fake, real))
    assert torch.allclose(loss.discriminator(real, real), torch.full([5], math.log(2), dtype=F64))
    assert (loss.discriminator(fake + 9, fake) < 0.001).all() and (loss.generator(fake, fake + 9) > 8.9).all()


def test_hinge_stops_at_its_margin() -> None:
    loss = LOSSES.get("hinge")
    values = loss.discriminator(torch.tensor([1.0, 5.0, 0.0]), torch.tensor([-1.0, -5.0, 0.0]))
    assert values.tolist() == [0.0, 0.0, 2.0]
    assert loss.generator(torch.tensor([-3.0, 2.0]), None).tolist() == [3.0, -2.0]


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_game_pulls_the_right_way(name: str) -> None:
    """G wants fakes scored higher; D wants reals higher and fakes lower."""
    loss = LOSSES.get(name)
    real, fake = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    d_real, d_fake = torch.autograd.grad(loss.discriminator(real, fake).sum(), [real, fake])
    (g_fake,) = torch.autograd.grad(loss.generator(fake, real).sum(), [fake])
    assert (d_real < 0).all() and (d_fake > 0).all() and (g_fake < 0).all()


def test_an_unknown_game() -> None:
    says = "no adversarial loss named 'wgan'; known: hinge, non-saturating, relativistic"
    with pytest.raises(UnknownName, match=says):
        LOSSES.get("wgan")


# Penalties


def test_r1_of_a_linear_discriminator_is_its_squared_weight() -> None:
    weight, pictures = normal(2, 4, 4), normal(3, 2, 4, 4).requires_grad_(True)
    penalty = gradient_penalty((pictures * weight).sum(dim=(1, 2, 3)) + 5, pictures)
    assert torch.allclose(penalty, weight.square().sum().expand(3))


def test_r1_of_a_quadratic_discriminator_and_its_own_gradient() -> None:
    """D(x) = a |x|^2 / 2: |grad|^2 = a^2 |x|^2, and d/da of it is 2 a |x|^2."""
    a, pictures = torch.tensor(3.0, dtype=F64, requires_grad=True), normal(4, 1, 2, 2).requires_grad_(True)
    squares = pictures.detach().square().sum(dim=(1, 2, 3))
    penalty = gradient_penalty(a * pictures.square().sum(dim=(1, 2, 3)) / 2, pictures)
    assert torch.allclose(penalty, 9 * squares)
    penalty.sum().backward()
    assert torch.allclose(a.grad, 6 * squares.sum())


def test_path_length_of_a_linear_generator() -> None:
    """G(w) = A w for the first layer alone: J^T y = A^T y / sqrt(HW), and its square is averaged over the layers."""
    A, ws, y = normal(1 * 4 * 4, 5), normal(3, 2, 5).requires_grad_(True), normal(3, 1, 4, 4)
    pictures = (ws[:, 0] @ A.T).view(3, 1, 4, 4)
    wanted = (y.flatten(1) @ A / 4).norm(dim=1) / math.sqrt(2)
    assert torch.allclose(path_lengths(pictures, ws, y), wanted)


def test_path_length_by_default_is_of_a_random_direction() -> None:
    """For an orthogonal G of 16 numbers to 16, the mean square of the length is 16 / (H W) = 1."""
    torch.manual_seed(0)
    ws = normal(4000, 1, 16).requires_grad_(True)
    lengths = path_lengths(ws.view(4000, 1, 4, 4), ws)
    assert lengths.square().mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / 16 / 4000))


def test_path_length_can_be_learned_from() -> None:
    scale = torch.tensor(2.0, dtype=F64, requires_grad=True)
    ws = normal(2, 1, 16).requires_grad_(True)
    path_lengths((ws * scale).view(2, 1, 4, 4), ws, normal(2, 1, 4, 4)).sum().backward()
    assert torch.allclose(scale.grad, normal(2, 1, 4, 4).flatten(1).norm(dim=1).sum() / 4)
