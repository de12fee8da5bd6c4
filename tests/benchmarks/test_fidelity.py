import pytest
import torch

from benchmarks.fidelity import Judge, direction_distance, ssim
from train.style_metrics import content_distance


def picture(seed: int = 0, side: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def hole(side: int = 64) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., 20:40, 24:44] = 1
    return mask


def test_ssim_is_of_the_hole_alone() -> None:
    wanted, mask = picture(), hole()
    found = torch.where(mask > 0, wanted, -wanted)
    # the window of 11 px reaches 5 px out of the hole: deep inside nothing differs
    deep = torch.zeros_like(mask)
    deep[..., 26:34, 30:38] = 1
    assert ssim(found, wanted, deep) == pytest.approx(1, abs=1e-5)
    assert ssim(found, wanted, mask) < 0.99
    assert ssim(found, wanted, 1 - mask) < 0


def test_ssim_of_two_flat_pictures_compares_their_tones() -> None:
    dark, light = torch.full((1, 3, 32, 32), -0.6), torch.full((1, 3, 32, 32), 0.2)  # 0.2 and 0.6 of the range
    tone = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(dark, light, torch.ones(1, 1, 32, 32)) == pytest.approx(tone, abs=1e-4)


def test_distances_count_the_hole_alone() -> None:
    a, b = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)
    a[:, 0], b[:, 0] = 1, 1
    b[:, :, 2:4, 2:4] = torch.tensor([0.0, 1.0])[None, :, None, None]  # at right angles: a squared distance of 2
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:8, 4:8] = 1
    assert direction_distance([a], [b], mask) == 2
    mask[..., 4:8, 4:16] = 1  # twice as much again where nothing differs
    assert direction_distance([a], [b], mask) == pytest.approx(2 / 3)
    assert direction_distance([a, a], [b, a], mask) == pytest.approx(1 / 3)


def test_over_a_whole_picture_distances_are_those_of_style() -> None:
    judge, found, wanted = Judge(), picture(1), picture(2)
    measured = judge.measure(found, wanted, judge.look(wanted), torch.ones(1, 1, 64, 64))
    assert list(measured) == ["PSNR", "SSIM", "VGG", "Lite0"]
    for eye in judge.eyes:
        a, b = ([eye(x)[layer] for layer in eye.content_layers] for x in (found, wanted))
        assert measured[eye.name] == pytest.approx(float(content_distance(a, b)), rel=1e-4)
    same = judge.measure(wanted, wanted, judge.look(wanted), hole())
    assert same["VGG"] == pytest.approx(0, abs=1e-9) and same["SSIM"] == pytest.approx(1, abs=1e-5)
