import pytest
import torch

from studio.flow import estimate, inside, trust, warp, warped_difference
from tests.scenes import Scene


def shifted(x: torch.Tensor, dx: int, dy: int) -> torch.Tensor:
    return torch.roll(x, (dy, dx), (2, 3))


def constant(dx: float, dy: float, height: int = 24, width: int = 32) -> torch.Tensor:
    return torch.tensor([float(dx), float(dy)]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_a_whole_shift_is_exact(mode: str) -> None:
    x = torch.rand(1, 3, 24, 32)
    later = shifted(x, 3, 2)  # what is at (x, y) was at (x - 3, y - 2)
    warped = warp(x, constant(-3, -2), mode)
    assert torch.allclose(warped[:, :, 2:, 3:], later[:, :, 2:, 3:], atol=1e-5)
    assert torch.allclose(warp(x, constant(0, 0), mode), x, atol=1e-5)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    x = torch.rand(1, 1, 4, 8)
    warped = warp(x, constant(0.5, 0, 4, 8), "bilinear")
    assert torch.allclose(warped[..., :-1], (x[..., :-1] + x[..., 1:]) / 2, atol=1e-6)


def test_inside() -> None:
    found = inside(constant(-3, 2, 5, 6))[0, 0]
    assert found.tolist() == [[0, 0, 0, 1, 1, 1]] * 3 + [[0] * 6] * 2


def test_the_difference_of_what_only_moves_is_none() -> None:
    x = torch.rand(2, 3, 24, 32) * 2 - 1
    flow = constant(-3, -2).expand(2, -1, -1, -1)
    assert warped_difference(shifted(x, 3, 2), x, flow) == pytest.approx([0, 0], abs=1e-5)


def test_the_difference_is_the_root_mean_square() -> None:
    x = torch.zeros(1, 3, 10, 10)
    later = x.clone()
    later[:, :, :5] = 0.6
    still = constant(0, 0, 10, 10)
    assert warped_difference(later, x, still).item() == pytest.approx(0.6 * 0.5**0.5, rel=1e-6)
    counted = torch.zeros(1, 1, 10, 10)
    counted[:, :, 4:6] = 1
    counted[:, :, 0] = 0.5
    assert warped_difference(later, x, still, counted).item() == pytest.approx(0.6 * (1.5 / 2.5) ** 0.5, rel=1e-6)
    assert warped_difference(later, x, constant(10, 0, 10, 10)).item() == 0  # nothing was in the picture before


@pytest.mark.parametrize("scene", [Scene(pan=(3.3, -1.6), noise=0.02), Scene(pan=(0, 0), zoom=1.02, noise=0.02)])
def test_flow_is_found(scene: Scene) -> None:
    flow = estimate(scene.frame(4), scene.frame(3))
    apart = (flow - scene.flow(4)).norm(dim=1)[:, 6:-6, 6:-6]
    assert apart.mean() < 0.25 and apart.quantile(0.95) < 0.6


def test_small_pictures_stand_still() -> None:
    scene = Scene(size=(20, 64))
    assert not estimate(scene.frame(1), scene.frame(0)).any()


def known(scene: Scene, t: int) -> torch.Tensor:
    flow, back = estimate(scene.frame(t), scene.frame(t - 1)), estimate(scene.frame(t - 1), scene.frame(t))
    floats = lambda frame: torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 127.5 - 1
    return trust(flow, back, floats(scene.frame(t)), floats(scene.frame(t - 1)))


def test_trust_is_high_where_all_is_as_it_was() -> None:
    assert known(Scene(noise=0.02), 4)[:, :, 6:-6, 6:-6].mean() > 0.85


def test_there_is_no_trust_in_what_comes_into_view() -> None:
    scene = Scene(disc=(-5, 1), pan=(1, 0), noise=0.02)
    for t in (2, 5):
        found, uncovered = known(scene, t), scene.uncovered(t)
        assert uncovered.sum() > 50
        assert (found * uncovered).sum() / uncovered.sum() < 0.25
        assert (found * (1 - uncovered))[:, :, 6:-6, 6:-6].mean() > 0.8
    found = known(Scene(pan=(12, 0), size=(96, 128)), 3)
    assert found[..., -8:].max() < 0.01 and found[..., 10:-24].mean() > 0.7


def test_there_is_no_trust_in_changed_light() -> None:
    x, still = torch.rand(1, 3, 48, 64) * 0.2, constant(0, 0, 48, 64)
    assert trust(still, still, x, x).min() > 0.99
    assert trust(still, still, x + 0.3, x).max() < 0.01


def test_there_is_no_trust_in_a_way_that_does_not_lead_back() -> None:
    x, there = torch.zeros(1, 3, 48, 64), constant(2, 0, 48, 64)
    assert trust(there, -there, x, x)[..., :-4].min() > 0.99
    assert trust(there, there, x, x).max() < 0.01
