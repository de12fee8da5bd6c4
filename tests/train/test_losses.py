import math

import pytest
import torch
from torch import Tensor

from studio.errors import UnknownName
from train.losses.adversarial import LOSSES, losses
from train.losses.regularizers import (
    between,
    clip_weights,
    gradient_penalty,
    lipschitz_penalty,
    normalize_spectrally,
    path_lengths,
)

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
    says = "no adversarial loss named 'wgan'; known: hinge, least-squares, minimax, non-saturating, relativistic"
    with pytest.raises(UnknownName, match=says):
        LOSSES.get("wgan")


def test_minimax_is_one_value_that_one_raises_and_the_other_lowers() -> None:
    """G's part of log D(x) + log(1 - D(G(z))) with its sign; where G is hopeless, it learns nothing."""
    loss, fake = LOSSES.get("minimax"), normal(5)
    assert torch.allclose(loss.generator(fake, None), (1 - fake.sigmoid()).log())
    lost = torch.tensor([-20.0], requires_grad=True)
    loss.generator(lost, None).sum().backward()
    assert abs(lost.grad.item()) < 1e-8


def test_least_squares_pulls_to_one_and_minus_one() -> None:
    loss = LOSSES.get("least-squares")
    values = loss.discriminator(torch.tensor([1.0, 3.0, 0.0]), torch.tensor([-1.0, -1.0, 1.0]))
    assert values.tolist() == [0.0, 2.0, 2.5]
    assert loss.generator(torch.tensor([1.0, 3.0, 0.0]), None).tolist() == [0.0, 2.0, 0.5]


def test_wasserstein_is_the_difference_and_says_how_its_slope_is_held() -> None:
    clip, penalty = LOSSES.get("wasserstein-clip"), LOSSES.get("wasserstein-gp")
    for loss in (clip, penalty):
        assert loss.discriminator(torch.tensor([3.0]), torch.tensor([-2.0])).tolist() == [-5.0]
        assert loss.generator(torch.tensor([-2.0]), None).tolist() == [2.0]
    assert (clip.weight_clip, clip.gp_weight, penalty.weight_clip, penalty.gp_weight) == (0.01, 0.0, None, 10.0)
    assert set(losses()) - set(losses(clipping=False)) == {"wasserstein-clip"}


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


def test_slope_of_a_linear_discriminator_is_compared_with_one() -> None:
    weight, pictures = normal(2, 4, 4), normal(3, 2, 4, 4).requires_grad_(True)
    penalty = lipschitz_penalty((pictures * weight).sum(dim=(1, 2, 3)), pictures)
    assert torch.allclose(penalty, (weight.norm() - 1).square().expand(3))
    unit = weight / weight.norm()
    assert lipschitz_penalty((pictures * unit).sum(dim=(1, 2, 3)), pictures).abs().max() < 1e-12


def test_a_flat_discriminator_can_still_be_pushed() -> None:
    """At a gradient of 0 the norm has no derivative; the penalty's is 0, not nan."""
    scale, pictures = torch.zeros([], requires_grad=True), normal(2, 1, 2, 2).float().requires_grad_(True)
    lipschitz_penalty((pictures * scale).sum(dim=(1, 2, 3)), pictures).sum().backward()
    assert scale.grad.item() == 0.0


def test_points_lie_on_the_line_between_a_real_and_its_fake() -> None:
    torch.manual_seed(0)
    points = between(torch.zeros(500, 1, 2, 2), torch.ones(500, 1, 2, 2))
    assert points.requires_grad and torch.equal(points, points[:, :, :1, :1].expand_as(points))
    assert 0 <= points.min() < 0.05 and 0.95 < points.max() <= 1


def test_weights_are_brought_into_their_box() -> None:
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.005]]))
        layer.bias.fill_(-3.0)
    clip_weights(layer, 0.01)
    assert torch.allclose(layer.weight, torch.tensor([[0.01, -0.005]])) and layer.bias.item() == pytest.approx(-0.01)


def test_spectral_normalisation_leaves_no_direction_longer() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4, 2))
    with torch.no_grad():
        network[2].weight.mul_(100)
    normalize_spectrally(network)
    for _ in range(50):
        network(torch.zeros(1, 3, 3, 3))
    for layer in (network[0], network[2]):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=1e-3)
