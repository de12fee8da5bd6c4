import pytest
import torch
from torch import nn

from train.muon import Muon, is_matrix, orthogonal


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 24, 3), nn.ReLU(), nn.Conv2d(24, 20, 3), nn.ReLU(), nn.Conv2d(20, 2, 3))


def descend(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int = 0) -> float:
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x = torch.randn(4, 3, 9, 9, generator=random)
        optimizer.zero_grad()
        loss = (module(x) - x[:, :2, 3:-3, 3:-3].sin()).square().mean()
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize("shape", [(20, 90), (90, 20), (24, 24)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    found = orthogonal(matrix)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    assert 0.5 < torch.linalg.svdvals(found).min() and torch.linalg.svdvals(found).max() < 1.3
    turned = left.T @ found @ right.T
    assert (turned - turned.diag().diag()).abs().max() < 1e-3 and (turned.diag() > 0).all()
    assert torch.allclose(orthogonal(1e-4 * matrix), found, atol=1e-4)


def test_nothing_and_a_single_direction_are_borne() -> None:
    assert not orthogonal(torch.zeros(20, 30)).any()
    one = torch.outer(torch.randn(20), torch.randn(30))
    assert orthogonal(one).isfinite().all()


def test_filters_take_steps_of_adams_size_and_the_rest_takes_adams() -> None:
    ours, adams = network(), network()
    assert [is_matrix(p) for p in ours.parameters()] == [True, False, True, False, False, False]
    before = [p.detach().clone() for p in ours.parameters()]
    descend(ours, Muon(ours.parameters(), lr=0.01), 1)
    descend(adams, torch.optim.Adam(adams.parameters(), 0.01, (0.9, 0.99)), 1)
    for old, mine, theirs in zip(before, ours.parameters(), adams.parameters()):
        if is_matrix(mine):
            assert not torch.allclose(mine, theirs)
            assert (mine - old).square().mean().sqrt().item() == pytest.approx(0.002, rel=0.3)
        else:
            assert torch.allclose(mine, theirs, atol=1e-6)


def test_it_learns_and_goes_on_after_a_pause_as_without_one() -> None:
    whole, halves = network(), network()
    optimizer = Muon(whole.parameters(), lr=0.003)
    first = descend(whole, optimizer, 1)
    assert descend(whole, optimizer, 40, seed=1) < 0.5 * first
    descend(whole, optimizer, 5, seed=2)
    optimizer = Muon(halves.parameters(), lr=0.003)
    descend(halves, optimizer, 1)
    descend(halves, optimizer, 40, seed=1)
    kept = optimizer.state_dict()
    optimizer = Muon(halves.parameters(), lr=0.003)
    optimizer.load_state_dict(kept)
    descend(halves, optimizer, 5, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halves.parameters()))


def test_a_layer_without_a_gradient_stays() -> None:
    module = network()
    module[2].requires_grad_(False)
    before = module[2].weight.clone()
    descend(module, Muon(module.parameters(), lr=0.01), 2)
    assert torch.equal(module[2].weight, before)
