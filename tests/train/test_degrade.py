import math

import pytest
import torch
from torch import Tensor

from train.degrade import (
    KERNEL, MAX_SIGMA, blur, degrade, degrade_one, gaussian, gaussian_noise, jpeg, noise, resize, scan, weave,
)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def ramp(height: int = 48, width: int = 48) -> Tensor:
    return torch.linspace(0.2, 0.8, width).expand(1, 3, height, width)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_pictures_become_smaller_and_stay_pictures(scale: int) -> None:
    worn = degrade(torch.rand(6, 3, 48, 64) * 2 - 1, torch.linspace(0, 1, 6), scale)
    assert worn.shape == (6, 3, 48 // scale, 64 // scale) and worn.abs().max() <= 1 and worn.isfinite().all()


def test_at_strength_0_nothing_is_added() -> None:
    """A picture of its own size stays itself but for JPEG at its best; a smaller one is a softer ramp."""
    for _ in range(8):
        assert (degrade_one(ramp(), 0.0, 1) - ramp()).abs().max() < 0.02
        small = degrade_one(ramp(), 0.0, 4)
        assert (small - resize(ramp(), (12, 12)))[..., 2:-2].abs().max() < 0.03


def test_the_dial_says_how_much_noise_there_is() -> None:
    flat = torch.full([400, 3, 16, 16], 0.0)
    strengths = 0.2, 0.4, 0.8
    worn = [degrade(flat, torch.full([400], s), 1) / 2 for s in strengths]
    found = [w.flatten(1).std(dim=1).median().item() for w in worn]
    assert found == pytest.approx([s * MAX_SIGMA for s in strengths], rel=0.25)
    assert gaussian_noise(torch.zeros(1, 3, 200, 200), 0.1).std().item() == pytest.approx(0.1, rel=0.02)


def test_kernels_have_a_sum_of_1_and_the_width_asked_for() -> None:
    kernel = gaussian(2.0, 1.0, 0.0)
    places = torch.arange(KERNEL) - KERNEL // 2
    assert kernel.sum().item() == pytest.approx(1)
    assert (kernel.sum(dim=0) * places**2).sum().item() == pytest.approx(4, rel=0.05)  # along x
    assert (kernel.sum(dim=1) * places**2).sum().item() == pytest.approx(1, rel=0.05)
    turned = gaussian(2.0, 1.0, math.pi / 2)
    assert torch.allclose(turned, kernel.T, atol=1e-6)


def test_blur_leaves_flat_pictures() -> None:
    assert torch.allclose(blur(torch.full([1, 3, 20, 20], 0.3), 2.0), torch.full([1, 3, 20, 20], 0.3), atol=1e-6)
    spot = torch.zeros(1, 3, 31, 31)
    spot[:, :, 15, 15] = 1
    assert blur(spot, 2.0).max() < 1 and blur(spot, 2.0).sum().item() == pytest.approx(3, rel=1e-4)


def test_noise_has_no_mean_and_grows_with_its_strength() -> None:
    flat = torch.full([1, 3, 128, 128], 0.5)
    for strength in (0.1, 0.8):
        for _ in range(6):
            apart = noise(flat, strength) - flat
            assert abs(apart.mean()) < 0.02 * strength
            assert apart.std().item() == pytest.approx(strength * MAX_SIGMA, rel=0.1)


def test_jpeg_is_nearly_the_picture_and_worse_where_stronger() -> None:
    sharp = (torch.arange(32) % 5 > 2).float().expand(1, 3, 32, 32) * 0.6 + 0.2
    good, bad = ((jpeg(sharp, s) - sharp).abs().mean().item() for s in (0.0, 1.0))
    assert good < 0.01 < bad < 0.2


def test_threads_repeat_and_keep_the_tone() -> None:
    flat = torch.full([1, 3, 96, 96], 0.5)
    woven = weave(flat, 1.0)
    assert woven.mean().item() == pytest.approx(0.5, abs=0.02) and woven.std() > 0.005
    assert torch.equal(weave(flat, 0.0), flat)


def test_a_scan_has_stripes_along_one_side() -> None:
    apart = scan(torch.full([1, 3, 64, 64], 0.5), 1.0) - 0.5
    along, across = (apart.median(dim=d).values.std().item() for d in (2, 3))
    assert max(along, across) > 0.002 and min(along, across) < 0.2 * max(along, across)


def test_torch_decides() -> None:
    pictures, strength = torch.rand(2, 3, 32, 32) * 2 - 1, torch.tensor([0.3, 0.9])
    torch.manual_seed(7)
    first = degrade(pictures, strength, 2)
    torch.manual_seed(7)
    assert torch.equal(degrade(pictures, strength, 2), first)
