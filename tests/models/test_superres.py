import pytest
import torch
import torch.nn.functional as F

from studio.capabilities import Upscaler
from studio.errors import SettingError
from studio.models.superres import SuperresConfig, SuperresNetwork

TINY = SuperresConfig(width=8, blocks=2)


@pytest.fixture(scope="module")
def network() -> SuperresNetwork:
    """Tiny, and with a hand that draws: at the start of a training it hardly does."""
    torch.manual_seed(0)
    made = SuperresNetwork(TINY).eval().requires_grad_(False)
    for layer in made.last.values():
        layer.weight.mul_(30)
    return made


def test_it_is_an_upscaler_at_each_of_its_scales(network: SuperresNetwork) -> None:
    assert isinstance(network, Upscaler) and network.scale == 4
    for scale in (1, 2, 4):
        upscaler = network.at(scale)
        assert isinstance(upscaler, Upscaler) and upscaler.scale == scale
        made = upscaler.upscale(torch.rand(2, 3, 9, 12) * 2 - 1, torch.tensor([0.0, 1.0]))
        assert made.shape == (2, 3, 9 * scale, 12 * scale) and made.abs().max() <= 1
    picture = torch.rand(1, 3, 8, 8)
    assert torch.equal(network.upscale(picture, torch.ones(1)), network.at(4).upscale(picture, torch.ones(1)))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_it_begins_with_the_bicubic_enlargement(scale: int) -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 12, 16) * 2 - 1
    expected = picture if scale == 1 else F.interpolate(picture, scale_factor=scale, mode="bicubic")
    with torch.no_grad():
        apart = SuperresNetwork(TINY)(picture, torch.zeros(1), scale) - expected
    assert 0 < apart.abs().max() < 0.15


def test_the_dial_counts(network: SuperresNetwork) -> None:
    picture = torch.rand(1, 3, 8, 8).repeat(2, 1, 1, 1)
    low, high = network.at(1).upscale(picture, torch.tensor([0.0, 1.0]))
    assert not torch.allclose(low, high, atol=1e-3)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_nothing_farther_than_its_reach_matters(network: SuperresNetwork, scale: int) -> None:
    picture = torch.rand(1, 3, 40, 40)
    changed = picture.clone()
    changed[:, :, :, 20:] = 0
    before, after = (network(p, torch.ones(1), scale) for p in (picture, changed))
    apart = (before - after).abs().amax(dim=(0, 1, 2))
    assert network.reach == 12 and apart[: (20 - network.reach) * scale].max() == 0 and apart[20 * scale :].min() > 0


def test_odd_sides_are_cleaned_as_the_even_part_is(network: SuperresNetwork) -> None:
    picture = torch.rand(1, 3, 31, 33)
    wider = F.pad(picture, (0, 1, 0, 1), mode="replicate")
    expected = network(wider, torch.ones(1), 1)[:, :, :31, :33]
    assert torch.allclose(network(picture, torch.ones(1), 1), expected, atol=1e-6)


def test_scales_that_were_not_learned_are_refused(network: SuperresNetwork) -> None:
    with pytest.raises(SettingError, match="scale=3 was not learned by this network; choose one of 1, 2, 4"):
        network.at(3)
    with pytest.raises(SettingError, match=r"scales=\[2, 2\] has none or one twice"):
        SuperresConfig(scales=(2, 2))


def test_sizes_are_as_said() -> None:
    assert 0.25e6 < sum(p.numel() for p in SuperresNetwork().parameters()) < 0.35e6
    assert SuperresNetwork().reach == 28
