import math

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.latent.walk import lerp, slerp, spline, z_from_seed


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_seed_gives_the_numbers_it_gives_elsewhere() -> None:
    """The first normals of numpy's generator at seed 0, as known since it exists."""
    z = z_from_seed(0, 512)
    assert z.shape == (1, 512) and z.dtype == torch.float32
    assert z[0, :3].tolist() == pytest.approx([1.76405235, 0.40015721, 0.97873798])
    assert z.equal(z_from_seed(0, 512))
    assert not z.equal(z_from_seed(1, 512))


def test_the_largest_seed() -> None:
    assert z_from_seed(2**32 - 1, 4).isfinite().all()


def test_lerp() -> None:
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -2.0]])
    assert lerp(a, b, 0).tolist() == [[1, 2]]
    assert lerp(a, b, 0.25).tolist() == [[1.5, 1]]
    assert lerp(a, b, 1).tolist() == [[3, -2]]


def test_slerp_begins_and_ends_at_its_ends() -> None:
    a, b = torch.randn(3, 64), 5 * torch.randn(3, 64)
    assert torch.allclose(slerp(a, b, 0), a, atol=1e-5)
    assert torch.allclose(slerp(a, b, 1), b, atol=1e-5)


def test_slerp_of_orthogonal_unit_vectors() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    half = math.sqrt(0.5)
    assert slerp(a, b, 0.5).tolist() == [pytest.approx([half, half])]
    for t in (0.1, 1 / 3, 0.9):
        assert slerp(a, b, t).tolist() == [
            pytest.approx([math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)], abs=1e-6)
        ]


def test_slerp_goes_from_length_to_length_at_even_pace() -> None:
    a, b = torch.randn(2, 64), 3 * torch.randn(2, 64)
    points = [slerp(a, b, i / 8) for i in range(9)]
    for i, point in enumerate(points):
        expected = a.norm(dim=1) + (b.norm(dim=1) - a.norm(dim=1)) * i / 8
        assert torch.allclose(point.norm(dim=1), expected, rtol=1e-5)
    angles = [torch.cosine_similarity(p, q).clamp(-1, 1).acos() for p, q in zip(points, points[1:])]
    assert torch.allclose(torch.stack(angles), angles[0], atol=1e-3)


def test_slerp_does_not_cut_through_the_middle() -> None:
    a, b = torch.randn(1, 512), torch.randn(1, 512)
    assert slerp(a, b, 0.5).norm() > 0.95 * a.norm()
    assert lerp(a, b, 0.5).norm() < 0.8 * a.norm()


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_slerp_of_parallel_and_opposite_vectors_is_the_line(factor: float) -> None:
    a = torch.randn(1, 8)
    for t in (0, 0.3, 1):
        assert torch.allclose(slerp(a, factor * a, t), lerp(a, factor * a, t), atol=1e-6)


@pytest.mark.parametrize("zero", [torch.zeros(1, 8), torch.full((1, 8), 1e-30)])  # whose squares vanish
def test_slerp_of_a_vector_without_direction_is_the_line(zero: Tensor) -> None:
    a = torch.randn(1, 8)
    for t in (0, 0.3, 1):
        assert torch.allclose(slerp(a, zero, t), (1 - t) * a) and torch.allclose(slerp(zero, a, t), t * a)
        assert slerp(zero, zero, t).abs().max() < 1e-20


def test_slerp_of_each_row_for_itself() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    b = torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])
    assert torch.allclose(slerp(a, b, 0.5), torch.tensor([[math.sqrt(0.5)] * 2, [2.0, 0.0], [0.0, 2.0]]))


def velocity(keys: Tensor, t: float, loop: bool, side: int) -> Tensor:
    """One-sided difference quotient: side -1 looks back, +1 ahead."""
    step = 1e-5 * side
    return (spline(keys, t + step, loop) - spline(keys, t, loop)) / step


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_spline_passes_through_its_keys(count: int, loop: bool) -> None:
    keys = torch.randn(count, 6, 8)
    spans = count if loop else count - 1
    for i in range(spans + 1):
        assert torch.allclose(spline(keys, i / spans, loop), keys[i % count], atol=1e-5)


@pytest.mark.parametrize("loop", [False, True])
def test_a_spline_has_no_corners(loop: bool) -> None:
    keys = torch.randn(5, 3, dtype=torch.float64)
    spans = 5 if loop else 4
    for i in range(1, spans):
        ahead, back = (velocity(keys, i / spans, loop, side) for side in (1, -1))
        chord = (keys[(i + 1) % 5] - keys[i - 1]) / 2 * spans
        assert torch.allclose(ahead, chord, atol=1e-2) and torch.allclose(back, chord, atol=1e-2)


def test_a_loop_ends_as_it_began() -> None:
    keys = torch.randn(4, 3, dtype=torch.float64)
    assert torch.allclose(spline(keys, 1.0, True), spline(keys, 0.0, True))
    leaving, arriving = velocity(keys, 0.0, True, 1), velocity(keys, 1.0, True, -1)
    assert torch.allclose(leaving, arriving, atol=1e-2)
    assert torch.allclose(leaving, (keys[1] - keys[3]) / 2 * 4, atol=1e-2)
    assert leaving.norm() > 0.1


def test_a_spline_through_points_of_a_line_is_the_line() -> None:
    keys = torch.arange(5.0)[:, None] * torch.tensor([1.0, -2.0])
    for t in np.linspace(0.25, 0.75, 9):  # the inner spans: the outer ones come to rest
        assert torch.allclose(spline(keys, float(t), False), 4 * float(t) * torch.tensor([1.0, -2.0]), atol=1e-5)


@pytest.mark.parametrize("loop", [False, True])
def test_one_key_stands_still(loop: bool) -> None:
    key = torch.randn(1, 3)
    for t in (0.0, 0.4, 1.0):
        assert torch.allclose(spline(key, t, loop), key[0])
