import numpy as np
import pytest

from studio.patches import CELL, CONTEXT, MAX_CONTEXT, plan


def scattered(height: int = 1500, width: int = 2000, count: int = 400) -> np.ndarray:
    random = np.random.default_rng(0)
    mask = np.zeros((height, width), bool)
    for _ in range(count):
        y, x, long = random.integers(0, height - 2), random.integers(0, width - 90), random.integers(5, 90)
        mask[y : y + random.integers(1, 3), x : x + long] = True
    return mask


@pytest.mark.parametrize(
    "mask", [scattered(), scattered(700, 700, 3), np.eye(900, dtype=bool)], ids=["many", "few", "long"]
)
def test_every_place_is_in_the_core_of_its_cell_and_weighs(mask: np.ndarray) -> None:
    weights, cells = np.zeros(mask.shape), np.zeros(mask.shape, int)
    for patch in plan(mask):
        core, cell = patch.core, patch.cell
        weights[core.top : core.bottom, core.left : core.right] += patch.weights()
        cells[cell.top : cell.bottom, cell.left : cell.right] += 1
        assert patch.window.within(mask.shape) == patch.window
        for near, far, edge in ((core.top, patch.window.top, 0), (core.left, patch.window.left, 0)):
            assert near - far >= CONTEXT or far == edge
        assert mask[core.top, core.left : core.right].any() and mask[core.top : core.bottom, core.right - 1].any()
    assert cells.max() == 1 and cells[mask].min() == 1
    assert weights[mask].min() >= 0.24  # where four meet, each has a quarter to say


def test_hundreds_of_cracks_are_put_together() -> None:
    mask = scattered()
    patches = plan(mask)
    assert len(patches) <= 48 and sum(p.pixels for p in patches) < 3 * mask.size


def test_a_speck_costs_little() -> None:
    mask = np.zeros((2000, 2000), bool)
    mask[1000, 1000] = mask[1310, 1330] = True
    assert sum(patch.pixels for patch in plan(mask)) == 2 * (2 * CONTEXT + 1) ** 2
    assert plan(np.zeros((50, 50), bool)) == []


def test_wide_holes_are_looked_at_from_farther() -> None:
    mask = np.zeros((1000, 1000), bool)
    mask[10:60, 10:60] = True
    (patch,) = plan(mask)
    assert patch.window.bottom - patch.core.bottom == min(2 * 50, MAX_CONTEXT)
    assert patch.core.height == 50 and patch.cell.height <= CELL
