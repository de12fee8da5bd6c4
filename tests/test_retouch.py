import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.canvas import Window
from studio.retouch import Regions, box_mean, detail_radius, detail_reach, feathered, give_back_detail, keep_hue, luma


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def hues(x: Tensor) -> np.ndarray:
    rgb = ((x[0] + 1) / 2).clamp(0, 1).flatten(1).t().tolist()
    return np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in rgb])


def test_luma_of_the_primaries() -> None:
    colours = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    expected = torch.tensor([-1, 1, 0.299 * 2 - 1, 0.587 * 2 - 1, 0.114 * 2 - 1])
    assert torch.allclose(luma(colours.t()[None, :, None])[0, 0, 0], expected, atol=1e-6)


def test_keep_hue_has_the_photos_hues_and_the_paintings_light() -> None:
    photo, painted = noise(1, 3, 40, 40), noise(1, 3, 40, 40, seed=1)
    kept = keep_hue(painted, photo)
    assert kept.abs().max() <= 1 + 1e-5
    assert torch.allclose(luma(kept), luma(painted), atol=1e-5)
    # where light leaves room for some colour, its hue is the photo's
    colourful = ((kept.amax(dim=1) - kept.amin(dim=1)) > 0.02).flatten().numpy()
    turn = np.abs(hues(kept) - hues(photo))[colourful]
    assert colourful.mean() > 0.9 and np.minimum(turn, 1 - turn).max() < 1e-3


def test_keep_hue_of_the_photo_itself_is_the_photo() -> None:
    photo = noise(1, 3, 20, 20)
    assert torch.allclose(keep_hue(photo, photo), photo, atol=1e-5)


def test_box_mean() -> None:
    x = torch.arange(1.0, 6).view(1, 1, 1, 5).repeat(1, 1, 3, 1)
    assert torch.allclose(box_mean(x, 1)[0, 0, 1], torch.tensor([1.5, 2, 3, 4, 4.5]))
    assert torch.allclose(box_mean(x, 9), torch.full_like(x, 3.0))


def test_detail_comes_back_once() -> None:
    """A painting that lost the photo's grain gets it back in full; one that has it is left as it is."""
    areas = torch.where(torch.arange(96) < 48, -0.4, 0.4).expand(1, 3, 96, 96)
    grain = 0.05 * noise(1, 1, 96, 96).sign()
    photo, lost = areas + grain, areas.clone()
    inside = (..., slice(20, 76), slice(10, 38))  # off the edge between the areas
    back = give_back_detail(lost, photo, 1.0, 96)
    found, wanted = (back - lost)[inside].flatten(), grain.expand(1, 3, 96, 96)[inside].flatten()
    assert torch.nn.functional.cosine_similarity(found, wanted, dim=0) > 0.9
    assert 0.7 < (back - lost)[inside].std() / grain.std() < 1.1
    half = give_back_detail(lost, photo, 0.5, 96)
    assert torch.allclose(half - lost, (back - lost) / 2, atol=1e-5)
    again = give_back_detail(photo, photo, 1.0, 96)
    assert (again - photo)[inside].std() < 0.15 * grain.std()


def test_detail_brings_no_halo() -> None:
    """Along a hard edge nothing is given back: neither side gets lighter or darker than it was."""
    photo = torch.where(torch.arange(128) < 64, -0.8, 0.8).expand(1, 3, 128, 128).clone()
    flat = torch.zeros(1, 3, 128, 128)
    added = give_back_detail(flat, photo, 1.0, 1024)
    assert added.abs().max() < 0.05
    lowpass = luma(photo) - box_mean(luma(photo), detail_radius(1024))
    assert lowpass.abs().max() > 0.5  # what taking away a plain mean would have added


def test_detail_is_the_same_in_every_window() -> None:
    photo, painted = noise(1, 3, 150, 200), noise(1, 3, 150, 200, seed=1)
    all_of_it, window = Window(0, 150, 0, 200), Window(60, 90, 70, 120)
    wide = window.grown(detail_reach(256)).within((150, 200))
    found = window.of(give_back_detail(wide.of(painted, all_of_it), wide.of(photo, all_of_it), 1.0, 256), wide)
    expected = window.of(give_back_detail(painted, photo, 1.0, 256), all_of_it)
    assert (found - expected).abs().max() < 1e-4


def test_feathers_lie_inside() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[8:32, 8:32] = 255
    soft = feathered(mask, 4)
    assert (soft[mask == 0] == 0).all() and (soft[mask > 0] > 0).all()
    assert soft[20, 8:14].tolist() == [0.25, 0.5, 0.75, 1, 1, 1]
    assert (soft == soft.T).all() and (soft == soft[::-1]).all()


def test_a_mask_is_not_feathered_where_the_picture_ends() -> None:
    assert (feathered(np.full((9, 9), 255, np.uint8), 4) == 1).all()


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_thin_strokes_are_painted_in_full_in_their_middle(width: int) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 10 : 10 + width] = 255
    soft = feathered(mask, 6)
    assert soft[20, 10 + width // 2] == 1 and (soft[mask == 0] == 0).all()


def test_grey_masks_paint_by_halves() -> None:
    assert np.allclose(feathered(np.full((9, 9), 51, np.uint8), 3), 0.2)


def test_regions_share_a_border_without_a_gap() -> None:
    masks = np.zeros((2, 30, 60), np.uint8)
    masks[0, :, :30], masks[1, :, 30:50] = 255, 255
    painted, shares = Regions(masks, 4).at(Window(0, 30, 0, 60))
    assert painted.shape == (1, 1, 30, 60) and shares.shape == (2, 1, 1, 30, 60)
    assert (painted[..., :46] == 1).all() and (painted[..., 50:] == 0).all()
    assert torch.allclose(shares.sum(dim=0), torch.ones(1, 1, 30, 60))
    row = shares[0, 0, 0, 15]
    assert (row[:26] > 0.999).all() and (row[34:46] < 0.001).all() and (row[26:34].diff() < 0).all()


def test_regions_are_the_same_in_every_window() -> None:
    random = np.random.default_rng(0)
    masks = (random.random((2, 9, 12)) < 0.5).astype(np.uint8).repeat(9, axis=1).repeat(9, axis=2) * 255
    regions = Regions(masks, 5)
    everything, window = Window(0, 81, 0, 108), Window(30, 55, 41, 90)
    for found, expected in zip(regions.at(window), regions.at(everything)):
        assert torch.allclose(found, window.of(expected, everything), atol=1e-4)
