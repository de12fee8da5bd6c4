import numpy as np
import pytest
import torch
from torch import Tensor

from studio.capabilities import Inpainter
from studio.masks import opened
from studio.models.inpaint import (
    WIDE, FourierBlock, InpaintConfig, InpaintNetwork, Mixing, SpectralTransform, wide,
)
from studio.nn.prefill import surface

TINY = InpaintConfig(widths=(4, 4, 8, 8), blocks=2)


@pytest.fixture(scope="module")
def network() -> InpaintNetwork:
    """Tiny, and with a hand that draws: at the start of a training it hardly does."""
    torch.manual_seed(0)
    made = InpaintNetwork(TINY).eval().requires_grad_(False)
    made.draw.weight.mul_(300)
    return made


def hole(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, rows, columns] = 1
    return mask


def test_it_is_an_inpainter(network: InpaintNetwork) -> None:
    assert isinstance(network, Inpainter) and network.multiple == 8


def test_mixing_is_a_convolution_of_one_pixel() -> None:
    layer, x = Mixing(5, 3), torch.randn(2, 5, 4, 6)
    torch.nn.init.normal_(layer.bias)
    expected = torch.nn.functional.conv2d(x, layer.weight[:, :, None, None], layer.bias)
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_the_spectrum_sees_the_whole_picture() -> None:
    """One pixel's change is felt wherever one looks."""
    torch.manual_seed(0)
    layer, x = SpectralTransform(8, 1.0), torch.randn(1, 8, 16, 24)
    changed = x.clone()
    changed[0, :, 0, 0] += 1
    assert ((layer(changed) - layer(x)).abs().amax(dim=1) > 1e-4).all()


def test_a_spectrum_left_alone_is_the_picture_again() -> None:
    """A constant picture comes back twice: beside its spectrum and through it."""
    layer = SpectralTransform(2, 1.0)
    with torch.no_grad():
        for mixing in (layer.enter, layer.frequencies, layer.leave):
            mixing.weight.copy_(torch.eye(*mixing.weight.shape))
    x = torch.zeros(1, 2, 8, 8)
    x[:, 0] = 0.75
    assert torch.allclose(layer(x), 2 * x, atol=1e-6)


def test_local_and_global_channels_hear_each_other() -> None:
    torch.manual_seed(0)
    block = FourierBlock(2, 4, 1.0)
    local, whole = torch.randn(1, 2, 8, 8), torch.randn(1, 4, 8, 8)
    base = block((local, whole))
    assert not torch.allclose(block((local + 1, whole))[1], base[1])
    assert not torch.allclose(block((local, whole + 1))[0], base[0])


def test_only_the_hole_is_painted(network: InpaintNetwork) -> None:
    picture = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = hole(48, 64, slice(8, 30), slice(20, 41)).repeat(2, 1, 1, 1)
    filled = network.fill(picture, mask)
    assert torch.equal(filled[mask.expand_as(filled) == 0], picture[mask.expand_as(picture) == 0])
    drawn = (filled - surface(picture, mask)) * mask
    assert filled.abs().max() <= 1 and drawn.abs().max() > 0.01
    assert torch.equal(network.fill(picture, torch.zeros_like(mask)), picture)


def test_what_is_under_the_mask_does_not_matter(network: InpaintNetwork) -> None:
    picture, mask = torch.rand(1, 3, 32, 32), hole(32, 32, slice(5, 20), slice(3, 9))
    assert torch.equal(network.fill(torch.where(mask > 0, torch.nan, picture), mask), network.fill(picture, mask))


def test_pictures_of_a_batch_do_not_see_each_other(network: InpaintNetwork) -> None:
    pictures, mask = torch.rand(3, 3, 32, 40), hole(32, 40, slice(8, 20), slice(8, 30)).repeat(3, 1, 1, 1)
    alone = torch.cat([network.fill(p[None], mask[:1]) for p in pictures])
    assert torch.allclose(network.fill(pictures, mask), alone, atol=1e-5)


def test_an_untrained_network_fills_a_smooth_surface() -> None:
    torch.manual_seed(0)
    picture, mask = torch.rand(1, 3, 32, 32) * 2 - 1, hole(32, 32, slice(8, 24), slice(8, 24))
    with torch.no_grad():
        apart = InpaintNetwork(TINY).paint(picture, mask) - surface(picture, mask)
    assert 0 < apart.abs().max() < 0.05


def test_holes_are_wide_where_they_are_so_both_ways() -> None:
    mask = hole(64, 80, slice(0, 64), slice(4, 4 + WIDE - 1)) + hole(64, 80, slice(20, 20 + WIDE), slice(40, 70))
    assert torch.equal(wide(mask), hole(64, 80, slice(20, 20 + WIDE), slice(40, 70)))
    assert np.array_equal(opened(mask[0, 0].numpy() > 0, WIDE), wide(mask)[0, 0].numpy() > 0)
    corner = hole(64, 80, slice(0, 6), slice(70, 80))
    assert np.array_equal(opened(corner[0, 0].numpy() > 0, WIDE), corner[0, 0].numpy() > 0)
    assert torch.equal(wide(corner), corner), "what is beyond the edge is no more known than a hole"


def test_cracks_have_no_need_of_the_fourier_convolutions(
    network: InpaintNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in their result, nor in time; beside a wide hole they are what they are alone."""
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    crack = hole(64, 96, slice(5, 60), slice(20, 23))
    both = crack + hole(64, 96, slice(20, 40), slice(70, 90))
    beside = network.fill(picture, both)
    with monkeypatch.context() as patch:
        patch.setattr(network.body, "forward", None)
        alone = network.fill(picture, crack)
        with pytest.raises(TypeError):
            network.fill(picture, both)
    assert torch.allclose(alone[..., :48], beside[..., :48], atol=1e-5)


def test_cracks_are_the_mean_of_two_ways_and_wide_holes_are_painted_once(network: InpaintNetwork) -> None:
    torch.manual_seed(1)
    G = InpaintNetwork(TINY).eval().requires_grad_(False)
    G.load_state_dict(network.state_dict())
    G.details[-2].weight.mul_(100)  # the details draw, too
    picture, crack = torch.rand(1, 3, 64, 64) * 2 - 1, hole(64, 64, slice(9, 12), slice(4, 50))
    upright, turned = (torch.where(crack > 0, G.paint(x, m, True).flip(f), picture) for x, m, f in (
        (picture, crack, ()), (picture.flip(2, 3), crack.flip(2, 3), (2, 3)),
    ))
    assert (upright - turned).abs().max() > 0.05
    expected = torch.where(crack > 0, ((upright + turned) / 2).clamp(-1, 1), picture)
    assert torch.allclose(G.fill(picture, crack), expected, atol=1e-5)

    broad = hole(64, 64, slice(24, 56), slice(16, 48))
    assert torch.equal(G.fill(picture, broad), torch.where(broad > 0, G.paint(picture, broad).clamp(-1, 1), picture))
    both = G.fill(picture, broad + crack)
    painted = G.paint(picture, broad + crack).clamp(-1, 1)
    apart = (both - painted).abs().amax(dim=1, keepdim=True)
    assert apart[broad > 0].max() == 0 and apart[crack > 0].max() > 0.02


@pytest.mark.parametrize("widths, blocks, low, high", [
    ((16, 32, 64, 128), 10, 1.7e6, 2.3e6), ((32, 64, 128, 256), 14, 9e6, 11.5e6),
])
def test_sizes_are_as_said(widths: tuple[int, ...], blocks: int, low: float, high: float) -> None:
    with torch.device("meta"):
        made = InpaintNetwork(InpaintConfig(widths=widths, blocks=blocks))
    assert low < sum(p.numel() for p in made.parameters()) < high
    assert InpaintNetwork(TINY).config.widths == (4, 4, 8, 8)
