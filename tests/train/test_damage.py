import numpy as np
import pytest
import torch

from train.damage import (
    MAX_AREA, SHARES, blobs, boxes, cover, craquelure, displace, draw_kind, draw_mask, draw_masks, net, smooth_noise,
    strokes, taper,
)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_straight_line_covers_its_width() -> None:
    """Ten pixels long and two wide, along the middle of row 8 and row 9's border: twenty pixels of ink."""
    line = [(np.array([[5.0, 9.0], [15.0, 9.0]]), np.array([2.0]))]
    found = cover(line, 20, 24)
    assert found.shape == (20, 24)
    assert found.sum() == pytest.approx(20, abs=2.5)
    assert found[8:10, 6:14].min() >= 0.5 and found[:7].max() == 0 and found[11:].max() == 0


def test_a_hairline_covers_half_a_pixel() -> None:
    found = cover([(np.array([[0.0, 4.0], [20.0, 4.0]]), np.array([0.5]))], 8, 20)
    assert found.max() == pytest.approx(0.5, abs=0.01) and (found > 0).any(axis=0).all()
    assert (found > 0).sum(axis=0).max() == 1


def test_fractal_lines_keep_their_ends_and_halve_their_steps(random: np.random.Generator) -> None:
    ends = random.uniform(0, 50, (3, 2, 2))
    straight = displace(random, ends, depth=2, roughness=0)
    assert straight.shape == (3, 5, 2)
    np.testing.assert_allclose(straight, ends[:, :1] + np.linspace(0, 1, 5)[:, None] * (ends[:, 1:] - ends[:, :1]))
    rough = displace(random, ends, depth=2, roughness=0.2)
    np.testing.assert_array_equal(rough[:, [0, -1]], ends)
    assert np.abs(rough - straight).max() > 0.5


def test_the_middle_is_moved_at_a_right_angle(random: np.random.Generator) -> None:
    line = displace(random, np.array([[[0.0, 0.0], [10.0, 0.0]]]), depth=1, roughness=0.2)
    assert line[0, 1, 0] == 5 and line[0, 1, 1] != 0


def test_cracks_taper_to_half_a_pixel(random: np.random.Generator) -> None:
    widths = taper(random, 9, 4.0, sure=True)
    assert widths[0] == 4 and widths[-1] == 0.5 and (np.diff(widths) < 0).all()


def test_cracks_are_thin_and_a_net_of_them_is_bounded(random: np.random.Generator) -> None:
    for _ in range(20):
        assert all(0.5 <= w.min() and w.max() <= 5.5 for _, w in craquelure(random, 128, 128))
        assert len(net(random, 2000, 2000)) <= 130


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_blobs_have_the_area_asked_for(random: np.random.Generator, share: float) -> None:
    assert blobs(random, 90, 60, share).mean() == pytest.approx(share, abs=0.002)


def test_noise_is_smooth(random: np.random.Generator) -> None:
    field = smooth_noise(random, 120, 80, 4)
    assert field.shape == (120, 80) and field.std() > 0.2
    assert np.abs(np.diff(field, axis=0)).max() < 0.3


def test_strokes_and_boxes_stay_inside(random: np.random.Generator) -> None:
    for draw in (strokes, boxes):
        assert all(draw(random, 40, 70).shape == (40, 70) for _ in range(20))
    mask = boxes(np.random.default_rng(3), 64, 64)
    assert 0 < mask.mean() < 1


@pytest.mark.parametrize("size", [(64, 64), (33, 90)])
def test_no_mask_is_empty_or_nearly_all(size: tuple[int, int]) -> None:
    for seed in range(60):
        mask = draw_mask(np.random.default_rng(seed), *size)
        assert mask.shape == size and mask.dtype == bool and 0 < mask.mean() <= MAX_AREA


def test_kinds_differ_in_what_a_pixel_is_far_from_the_edge() -> None:
    """No pixel of a crack is deep inside; most of a box is."""
    def deep(kind: str) -> float:
        masks = [draw_kind(kind, np.random.default_rng(seed), 96, 96) for seed in range(12)]
        inner = [m[6:-6, 6:-6] & m[:-12, 6:-6] & m[12:, 6:-6] & m[6:-6, :-12] & m[6:-6, 12:] for m in masks]
        return sum(m.sum() for m in inner) / sum(m.sum() for m in masks)

    shares = {kind: deep(kind) for kind in SHARES}
    assert shares["craquelure"] < 0.02 and shares["boxes"] > 0.3
    assert shares["craquelure"] < shares["mixed"] < shares["boxes"]


def test_torch_decides_which_masks() -> None:
    torch.manual_seed(5)
    first, second = draw_masks(3, 48, 64), draw_masks(3, 48, 64)
    torch.manual_seed(5)
    assert first.shape == (3, 1, 48, 64) and set(first.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(draw_masks(3, 48, 64), first) and not torch.equal(first, second)
