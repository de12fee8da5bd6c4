import math

import pytest
import torch

from train.losses.variational import divergence, draw_code, likeness


def test_divergence_of_normal_distributions() -> None:
    """0 for the normal distribution itself; 1/2 for a mean of 1; (e - 2) / 2 for a variance of e: summed."""
    mean, log_variance = (
        torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
        torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]),
    )
    assert divergence(mean, log_variance).tolist() == pytest.approx([0.0, 1.0, (math.e - 2) / 2])


def test_codes_are_drawn_from_their_distribution_and_can_be_learned_through() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.full([20000, 1], 3.0, requires_grad=True), torch.full([20000, 1], math.log(4.0))
    z = draw_code(mean, log_variance)
    assert z.mean().item() == pytest.approx(3.0, abs=0.08) and z.std().item() == pytest.approx(2.0, abs=0.06)
    z.sum().backward()
    assert torch.equal(mean.grad, torch.ones_like(mean))


def test_half_the_error_is_worth_log_two() -> None:
    wanted = torch.zeros(2, 1, 4, 4)
    assert (likeness(wanted + 0.4, wanted) - likeness(wanted + 0.2, wanted)).item() == pytest.approx(
        math.log(2), abs=1e-4
    )
