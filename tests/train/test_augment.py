import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from train import augment
from train.augment import AdaptiveStrength, ada_augment, diff_augment

KINDS = (  # what ADA draws, in its order
    "flip", "turn", "shift x", "shift y", "size", "rotation", "stretch", "rotation 2", "move x", "move y",
    "gain", "bias", "luma flip", "hue", "saturation",
)
alone = lambda t: t


@pytest.fixture
def force(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tensor]:
    """force(x, {kind: value}): ADA in which only these kinds happen, each with its value."""

    def apply(x: Tensor, forced: dict[str, float]) -> Tensor:
        order = iter(KINDS)

        def neutral(value: Tensor, fill: float) -> Tensor:
            return torch.full(value.shape, forced.get(next(order), fill))

        torch.manual_seed(0)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "full_like", neutral)  # what is taken where a change does not happen
            return ada_augment(x, 1e-9)

    return apply


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


# ADA


@pytest.mark.parametrize("channels", [1, 3])
def test_no_strength_changes_nothing(channels: int) -> None:
    x = noise(4, channels, 16, 16)
    assert torch.equal(ada_augment(x, 0.0), x)


@pytest.mark.parametrize("channels", [1, 3])
def test_full_strength_keeps_the_shape_and_stays_bounded(channels: int) -> None:
    torch.manual_seed(0)
    x = noise(64, channels, 16, 16)
    y = ada_augment(x, 1.0)
    assert y.shape == x.shape and y.dtype == x.dtype and y.isfinite().all()
    changed = (y - x).flatten(1).abs().amax(dim=1) > 0.1
    assert changed.all()
    # gains are 2^(0.5 n), saturations 2^n: far beyond this is no colour change but a mistake
    assert y.abs().max() < 40


def test_how_often_a_picture_is_changed() -> None:
    torch.manual_seed(0)
    x = noise(10_000, 1, 16, 16)
    same = (ada_augment(x, 0.1) - x).flatten(1).abs().amax(dim=1) < 1e-3
    # With 0.1 each: size, stretch, two moves, gain, bias and the two rotations together. Flips are neutral in half of
    # their draws, turns in a quarter, each shift of -2..2 pixels in one of four.
    expected = 0.9**7 * 0.95**2 * 0.925**3
    assert abs(same.float().mean() - expected) < 5 * math.sqrt(expected * (1 - expected) / len(x))


def test_the_gradient_flows_through() -> None:
    torch.manual_seed(0)
    x = noise(8, 3, 8, 8).requires_grad_(True)
    ada_augment(x, 1.0).square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad.flatten(1).abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("forced", "expected"),
    [
        ({}, alone),
        ({"flip": -1.0}, lambda x: x.flip(3)),
        ({"turn": math.pi / 2}, lambda x: x.rot90(1, (2, 3))),
        ({"turn": math.pi}, lambda x: x.flip(2, 3)),
        ({"rotation": math.pi / 2, "rotation 2": -math.pi / 2}, alone),
        ({"gain": 2.0}, lambda x: 2 * x),
        ({"bias": 0.25}, lambda x: x + 0.25),
        ({"bias": 0.25, "gain": 2.0}, lambda x: 2 * (x + 0.25)),  # brightness, then contrast, as in the paper
    ],
    ids=str,
)
def test_exact_changes(force: Callable[..., Tensor], channels: int, forced: dict, expected: Callable) -> None:
    x = noise(2, channels, 8, 8)
    assert torch.allclose(force(x, forced), expected(x), atol=2e-6)


def test_whole_pixel_shifts_reflect_at_the_edge(force: Callable[..., Tensor]) -> None:
    x = noise(1, 1, 8, 8)
    y = force(x, {"shift x": 2 / 8 * 1})  # one pixel: a side is 2 long
    assert torch.allclose(y[..., :7], x[..., 1:], atol=2e-6)
    assert torch.allclose(y[..., 7], x[..., 7], atol=2e-6)
    y = force(x, {"shift y": -2 / 8 * 2})
    assert torch.allclose(y[:, :, 2:], x[:, :, :6], atol=2e-6)
    assert torch.allclose(y[:, :, :2], x[:, :, [1, 0]], atol=2e-6)


def test_shifts_are_drawn_in_whole_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third and fourth draws, as far as an eighth of the side."""
    drawn = []
    translate = augment._translate

    def spy(x: Tensor, y: Tensor) -> Tensor:
        drawn.append((x, y))
        return translate(x, y)

    monkeypatch.setattr(augment, "_translate", spy)
    torch.manual_seed(0)
    ada_augment(noise(500, 1, 32, 16), 1.0)
    (x, y), _ = drawn
    pixels_x, pixels_y = x * 16 / 2, y * 32 / 2
    assert torch.allclose(pixels_x, pixels_x.round(), atol=1e-5) and pixels_x.abs().max() == 2
    assert torch.allclose(pixels_y, pixels_y.round(), atol=1e-5) and pixels_y.abs().max() == 4


def test_hue_and_saturation_keep_grey(force: Callable[..., Tensor]) -> None:
    grey = noise(4, 1, 8, 8).expand(4, 3, 8, 8)
    for forced in ({"hue": 2.0}, {"saturation": 3.0}, {"hue": -1.0, "saturation": 0.1}):
        assert torch.allclose(force(grey, forced), grey, atol=2e-6)


def test_colours_turn(force: Callable[..., Tensor]) -> None:
    x = noise(2, 3, 8, 8)
    mean = x.mean(dim=1, keepdim=True)
    third = force(x, {"hue": 2 * math.pi / 3})
    assert torch.allclose(third, x.roll(1, dims=1), atol=2e-6)  # red becomes green, green blue, blue red
    assert torch.allclose(force(x, {"saturation": 0.0}), mean.expand_as(x), atol=2e-6)
    assert torch.allclose(force(x, {"saturation": 2.0}), mean + 2 * (x - mean), atol=2e-6)
    assert torch.allclose(force(x, {"luma flip": -1.0}), x - 2 * mean, atol=2e-6)  # lightness turned, hue kept
    assert torch.allclose(force(x[:, :1], {"luma flip": -1.0}), -x[:, :1], atol=2e-6)


# DiffAugment


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tensor]:
    """draw(x, name=value): DiffAugment with these uniform numbers, and neutral ones for the rest."""

    def apply(x: Tensor, **given: float) -> Tensor:
        # as they are when nothing is changed: the cutout's centre is 100 pictures away
        neutral = dict(brightness=0.5, saturation=0.5, contrast=0.5, down=0.5, right=0.5, cut_y=100.0, cut_x=100.0)
        values = {**neutral, **given}
        if x.shape[1] == 1:
            del values["saturation"]
        order = iter(values.values())
        with monkeypatch.context() as patch:
            patch.setattr(torch, "rand", lambda *shape, device: torch.full(shape, next(order)))
            return diff_augment(x)

    return apply


@pytest.mark.parametrize("channels", [1, 3])
def test_translation_moves_pixels_exactly(draw: Callable[..., Tensor], channels: int) -> None:
    x = noise(2, channels, 16, 16)
    x = x - x.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(draw(x), x, atol=1e-6)
    down = draw(x, down=1.0)  # 16 / 8 = 2 pixels
    assert torch.allclose(down[:, :, 2:], x[:, :, :-2], atol=1e-6) and (down[:, :, :2] == 0).all()
    left = draw(x, right=0.0)
    assert torch.allclose(left[..., :-2], x[..., 2:], atol=1e-6) and (left[..., -2:] == 0).all()


def test_colour_changes(draw: Callable[..., Tensor]) -> None:
    x = noise(2, 3, 16, 16)
    grey, mean = x.mean(dim=1, keepdim=True), x.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(draw(x, brightness=1.0), x + 0.5, atol=1e-6)
    assert torch.allclose(draw(x, saturation=0.0), grey.expand_as(x), atol=1e-6)
    assert torch.allclose(draw(x, contrast=1.0), mean + 1.5 * (x - mean), atol=1e-6)


def test_cutout_is_half_the_side(draw: Callable[..., Tensor]) -> None:
    x = torch.ones(1, 1, 16, 16)
    assert draw(x, cut_y=0.5, cut_x=0.5).eq(0).sum() == 8 * 8
    corner = draw(x, cut_y=0.0, cut_x=0.0).eq(0)[0, 0]
    assert corner[:4, :4].all() and corner.sum() == 16


def test_diff_augment_lets_the_gradient_through() -> None:
    torch.manual_seed(0)
    x = noise(4, 3, 16, 16).requires_grad_(True)
    y = diff_augment(x)
    y.square().sum().backward()
    assert y.shape == x.shape and x.grad.isfinite().all() and (x.grad.flatten(1).abs().sum(dim=1) > 0).all()


# Adaptive strength


def steps(strength: AdaptiveStrength, logits: Tensor, count: int, batch: int = 10, first: int = 1) -> None:
    for step in range(first, first + count):
        strength.observe(logits)
        strength.adjust(step, batch, alone)


def test_strength_rises_at_its_pace_and_stops_at_one() -> None:
    strength = AdaptiveStrength(target=0.6, kimg=0.4)
    sure = torch.ones(10)
    steps(strength, sure, 3)
    assert strength.p == 0.0  # looked at every fourth step
    steps(strength, sure, 1, first=4)
    assert strength.p == pytest.approx(40 / 400) and strength.r_t == 1.0
    steps(strength, sure, 36, first=5)
    assert strength.p == pytest.approx(1.0)  # 0.4 kimg seen
    steps(strength, sure, 8, first=41)
    assert strength.p == 1.0


def test_strength_falls_and_stops_at_zero() -> None:
    strength = AdaptiveStrength(target=0.6, kimg=0.4)
    strength.p = 0.15
    guessing = torch.tensor([1.0, -1.0])
    steps(strength, guessing, 4)
    assert strength.p == pytest.approx(0.05) and strength.r_t == 0.0
    steps(strength, guessing, 4, first=5)
    assert strength.p == 0.0


def test_strength_rests_at_its_target() -> None:
    strength = AdaptiveStrength(target=0.5, kimg=0.4)
    strength.p = 0.3
    steps(strength, torch.tensor([9.0, 0.1, 3.0, -2.0]), 4)
    assert strength.r_t == 0.5 and strength.p == 0.3


def test_the_sign_counts_and_all_steps_since_the_last_look() -> None:
    strength = AdaptiveStrength(target=0.6, kimg=0.4)
    for step, logits in enumerate([[100.0, 100.0], [-0.1, -0.1], [-0.1, -0.1], [-0.1, 0.0]], 1):
        strength.observe(torch.tensor(logits))
        strength.adjust(step, 2, alone)
    assert strength.r_t == pytest.approx((2 - 2 - 2 - 1) / 8)


def test_strength_goes_on_where_it_was() -> None:
    one, other = AdaptiveStrength(0.6, 0.4), AdaptiveStrength(0.6, 0.4)
    steps(one, torch.tensor([1.0, 1.0, -1.0]), 6)
    other.load_scalars(one.scalars())
    for strength in (one, other):
        steps(strength, torch.tensor([1.0, -1.0, -1.0]), 2, first=7)
    assert one.scalars() == other.scalars() and one.r_t == pytest.approx(0.0)
