import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.capabilities import Movable, StyleGenerator
from studio.errors import SettingError
from studio.models.stylegan3 import (
    StyleGAN3Config,
    StyleGAN3Generator,
    downsample,
    low_pass,
    placement,
    signals,
    upsample,
)

TINY = dict(resolution=16, z_dim=6, w_dim=6, channel_base=64, channel_max=6, layers=4, critical=1, margin=4)


def make(**changes: object) -> StyleGAN3Generator:
    torch.manual_seed(0)
    G = StyleGAN3Generator(StyleGAN3Config(**{**TINY, **changes}))
    with torch.no_grad():
        for name, parameter in G.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.1 * torch.randn_like(parameter))
        G.mapping_network.w_avg.normal_()
    return G.eval().requires_grad_(False)


# --- sizes


@pytest.mark.parametrize(
    "changes, count",
    [({}, 22_313_167), ({"kernel": 1, "channel_base": 65536, "channel_max": 1024, "radial": True}, 15_093_151)],
)
def test_as_many_parameters_as_the_official_one_has(changes: dict, count: int) -> None:
    """What the official program counts for its configurations T and R at 1024 px."""
    with torch.device("meta"):
        G = StyleGAN3Generator(StyleGAN3Config(resolution=1024, **changes))
    assert sum(p.numel() for p in G.parameters()) == count


def test_layers_are_named_and_sized_as_the_official_ones() -> None:
    """Of stylegan3-t-ffhq-1024."""
    names = [
        "L0_36_512", "L1_36_512", "L2_52_512", "L3_52_512", "L4_84_512", "L5_148_512", "L6_148_512", "L7_276_323",
        "L8_276_203", "L9_532_128", "L10_1044_81", "L11_1044_51", "L12_1044_32", "L13_1024_32", "L14_1024_3",
    ]
    with torch.device("meta"):
        assert StyleGAN3Generator(StyleGAN3Config(resolution=1024)).synthesis_network.names == names


def test_frequencies_grow_in_even_steps_and_fit_their_rates() -> None:
    found = signals(StyleGAN3Config(resolution=256))
    assert found[0].cutoff == 2 and [s.cutoff for s in found[-3:]] == pytest.approx([128, 128, 128])
    ratios = [b.cutoff / a.cutoff for a, b in zip(found, found[1:13])]
    assert ratios == pytest.approx([64 ** (1 / 12)] * 12)
    assert all(s.cutoff <= s.rate / 2 for s in found) and found[-1].size == 256


def test_it_can_do_what_a_movable_style_generator_can() -> None:
    G = make(classes=2)
    assert isinstance(G, StyleGenerator) and isinstance(G, Movable)
    picture = G.generate(torch.randn(2, 6), torch.eye(2))
    assert picture.shape == (2, 3, 16, 16) and picture.isfinite().all()
    with pytest.raises(SettingError, match="^noise='loud' is not one of"):
        G.synthesis(torch.zeros(1, G.num_ws, 6), "loud")
    with pytest.raises(SettingError, match="^critical=4 is not below layers=4"):
        StyleGAN3Config(**{**TINY, "critical": 4})


# --- filters


@pytest.mark.parametrize(
    "taps, cutoff, width, rate, half",
    [
        (6, 2.0, 4.5, 16, [0.06370058471449272, 0.17239480262054468, 0.26390461266496257]),
        (
            12, 3.0, 9.0, 32,
            [
                -0.00028159874687444704, 0.006702563589791356, 0.03515120468897054, 0.09116241968010028,
                0.15960649470277727, 0.20765891608523496,
            ],
        ),
    ],
)
def test_filters_are_what_scipys_firwin_gives(
    taps: int, cutoff: float, width: float, rate: float, half: list[float]
) -> None:
    assert low_pass(taps, cutoff, width, rate).tolist() == pytest.approx(half + half[::-1], abs=1e-7)


def test_radial_filters_are_alike_in_all_directions() -> None:
    kernel = low_pass(12, 3.0, 9.0, 32, radial=True)
    assert kernel.shape == (12, 12) and kernel.sum().item() == pytest.approx(1)
    assert torch.allclose(kernel, kernel.T) and torch.allclose(kernel, kernel.flip(0))
    at = (torch.arange(12) - 5.5) / 32

    def response(x: float, y: float) -> float:
        wave = torch.cos(2 * math.pi * (x * at[None, :] + y * at[:, None]))
        return (kernel * wave).sum().item()

    # the same on the axis and on the diagonal; half at the cutoff; nothing far above it
    assert response(3, 0) == pytest.approx(response(3 / math.sqrt(2), 3 / math.sqrt(2)), abs=0.01)
    assert response(3, 0) == pytest.approx(0.5, abs=0.1) and abs(response(12, 0)) < 0.01


def test_a_wave_below_the_cutoff_passes_upsampling_at_its_size() -> None:
    rate, n = 16, 64
    kernel = low_pass(24, 3.0, 3.0, 2 * rate)
    x = torch.cos(2 * math.pi * 1.0 * torch.arange(n) / rate).expand(1, 1, n, n)
    wide = upsample(x, kernel, 2, (12, 11))  # as long as its input twice, and its samples where theirs were
    assert wide.shape == (1, 1, 2 * n, 2 * n)
    # an even number of taps puts the finer samples a quarter of a coarse sample to either side
    at = (torch.arange(2 * n) - 0.5) / (2 * rate)
    assert torch.allclose(wide[0, 0, n, 20:-20], torch.cos(2 * math.pi * at)[20:-20], atol=0.03)


@pytest.mark.parametrize("padding", [(5, 4), (-3, 2), (14, 20)])
def test_upsampling_by_hand(padding: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x, kernel = torch.randn(1, 2, 9, 9), torch.rand(6)
    stuffed = torch.zeros(1, 2, 18, 18)
    stuffed[:, :, ::2, ::2] = x
    square = (4 * kernel.flip(0)[:, None] * kernel.flip(0)).expand(2, 1, 6, 6)
    expected = F.conv2d(F.pad(stuffed, padding * 2), square, groups=2)
    assert torch.allclose(upsample(x, kernel, 2, padding), expected, atol=1e-5)


@pytest.mark.parametrize("radial", [False, True])
def test_downsampling_by_hand(radial: bool) -> None:
    torch.manual_seed(0)
    x, kernel = torch.randn(1, 2, 15, 15), torch.rand(4, 4) if radial else torch.rand(4)
    square = kernel if radial else kernel[:, None] * kernel
    expected = F.conv2d(x, square.expand(2, 1, 4, 4), groups=2)[:, :, ::2, ::2]
    assert torch.allclose(downsample(x, kernel, 2), expected, atol=1e-5)


# --- movement


def test_nothing_moved_is_the_picture_itself() -> None:
    G = make()
    ws = G.mapping(torch.randn(2, 6))
    assert torch.allclose(G.moved(ws, 0, 0, 0), G.synthesis(ws), atol=1e-6)


def test_a_place_goes_right_down_and_to_the_left_about() -> None:
    """In the plane, x to the right and y down: a quarter turn takes the right end up."""
    there = torch.linalg.inv(placement(0.25, 0.5, 90).double()) @ torch.tensor([1.0, 0.0, 1.0]).double()
    assert there.tolist() == pytest.approx([0.25, -1 + 0.5, 1])


def smooth_generator(**changes: object) -> StyleGAN3Generator:
    """Weak units keep a random network's signals in their band, as training does."""
    return make(resolution=32, layers=6, margin=8, **changes)


def inner(x: Tensor) -> Tensor:
    return x[:, :, 10:-10, 10:-10]


def test_the_picture_shifts_by_what_is_asked() -> None:
    G = smooth_generator()
    ws = G.mapping(torch.randn(1, 6))
    still, moved = G.synthesis(ws), G.moved(ws, 4 / 32, -2 / 32, 0)
    expected = still.roll((-2, 4), (2, 3))
    error, change = (inner(moved - other).square().mean() for other in (expected, still))
    assert error < 0.02 * change


def test_configuration_r_turns_with_its_input() -> None:
    G = smooth_generator(kernel=1, radial=True)
    ws = G.mapping(torch.randn(1, 6))
    still, turned = G.synthesis(ws), G.moved(ws, 0, 0, 90)
    error, change = (inner(turned - other).square().mean() for other in (still.rot90(1, (2, 3)), still))
    assert error < 0.02 * change


def test_the_styles_own_movement_is_that_of_the_caller() -> None:
    """What w says of the place (r_c, r_s, t_x, t_y) and what the caller says are of one kind."""
    G = smooth_generator()
    affine = G.synthesis_network.input.affine
    ws = G.mapping(torch.randn(1, 6))
    affine.weight.zero_()
    affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    by_caller = G.moved(ws, 0.1, 0.2, 0)
    affine.bias.copy_(torch.tensor([2.0, 0.0, 0.2, 0.4]))  # scaled: only the direction and the ratio count
    assert torch.allclose(G.synthesis(ws), by_caller, atol=1e-5)


def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    G = make()
    z = torch.randn(3, 6)
    alone = torch.cat([G.generate(one) for one in z.split(1)])
    assert torch.allclose(G.generate(z), alone, atol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    G = make(classes=2).requires_grad_(True)
    with torch.no_grad():
        G.synthesis_network.input.affine.weight.normal_()
    G.generate(torch.randn(2, 6), torch.eye(2)).square().sum().backward()
    assert [name for name, p in G.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []
