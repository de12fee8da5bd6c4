import pytest
import torch

from train.losses.inpainting import at_size, hole_distance, hole_mean, hole_psnr_loss, perceptual_distance


def test_a_hole_of_one_pixel_is_a_hole_at_every_size() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[0, 0, 5, 9] = 1
    small = at_size(mask, torch.zeros(1, 2, 4, 4))
    assert small.sum() == 1 and small[0, 0, 1, 2] == 1


def test_the_hole_alone_counts_and_its_size_does_not() -> None:
    wanted, found = torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, 0, 0, 0], masks[1, 0, :4] = 1, 1
    found[0, :, 0, 0], found[1, :, :4] = 0.5, 0.5
    assert hole_distance(found, wanted, masks).tolist() == [0.5, 0.5]
    assert hole_distance(found + 1 - masks, wanted, masks).tolist() == [0.5, 0.5]
    assert hole_mean(found, torch.zeros_like(masks)).tolist() == [0, 0]


def test_psnr_as_a_loss_makes_pictures_count_alike_and_bears_what_is_right() -> None:
    wanted, masks = torch.zeros(3, 3, 4, 4), torch.ones(3, 1, 4, 4)
    masks[:, :, 3] = 0
    found = torch.zeros(3, 3, 4, 4)
    found[0], found[1] = 0.2, 0.02
    found[:2, :, 3] = 1  # outside
    found.requires_grad_(True)
    losses = hole_psnr_loss(found, wanted, masks)
    # 2 / 0.2 and 2 / 0.02 as ratios are 20 and 40 dB
    assert losses.tolist() == pytest.approx([-2, -4, -5.6], abs=0.02)
    losses.sum().backward()
    pull = (found.grad * found).sum(dim=(1, 2, 3)).tolist()
    assert pull[0] == pytest.approx(pull[1], rel=0.05) and pull[0] > 0
    assert found.grad.isfinite().all() and found.grad[2].abs().max() == 0


def test_perceptual_distance_is_relative_and_local() -> None:
    torch.manual_seed(0)
    wanted, mask = {"a": torch.rand(1, 4, 4, 4) + 100}, torch.zeros(1, 1, 8, 8)
    mask[:, :, :4] = 1
    assert perceptual_distance(wanted, wanted, mask).item() == 0
    found = {"a": wanted["a"].clone()}
    found["a"][:, :, 2:] *= 3  # outside
    assert perceptual_distance(found, wanted, mask).item() == 0
    found["a"][:, :, :2] *= 1.1
    assert perceptual_distance(found, wanted, mask).item() == pytest.approx(0.1, rel=0.02)
