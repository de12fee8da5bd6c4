import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.nn.layers import EqualConv2d, EqualLinear, downsample, fir, lrelu, normalize_2nd_moment, upsample

TAPS = np.array([1, 3, 3, 1]) / 8
KERNEL = np.outer(TAPS, TAPS)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def signs(*shape: int) -> Tensor:
    """Plus and minus one: an input of exactly unit variance."""
    return torch.randint(0, 2, shape).float() * 2 - 1


def test_lrelu() -> None:
    x = torch.tensor([-1.0, 0.0, 1.0])
    assert lrelu(x).tolist() == pytest.approx([-0.2 * math.sqrt(2), 0, math.sqrt(2)])
    assert lrelu(x, gain=3).tolist() == pytest.approx([-0.6 * math.sqrt(2), 0, 3 * math.sqrt(2)])


def test_normalised_to_a_mean_square_of_one() -> None:
    x = torch.tensor([[3.0, 4.0], [30.0, 40.0], [0.0, 0.0]])
    expected = torch.tensor([3.0, 4.0]) / math.sqrt(12.5)
    assert torch.allclose(normalize_2nd_moment(x), torch.stack([expected, expected, torch.zeros(2)]))


@pytest.mark.parametrize("lr_mult", [1.0, 0.01])
@pytest.mark.parametrize("fan_in", [1, 16, 300, 2000])
def test_linear_keeps_unit_variance_at_any_fan_in(fan_in: int, lr_mult: float) -> None:
    y = EqualLinear(fan_in, 4000, lr_mult=lr_mult)(signs(1, fan_in))
    # 4000 independent samples: the variance's own standard error is sqrt(2 / 4000) = 0.022
    assert y.var().item() == pytest.approx(1, abs=0.1)
    assert y.mean().item() == pytest.approx(0, abs=0.08)


def test_linear_is_its_formula() -> None:
    layer = EqualLinear(5, 3, bias=0.7, lr_mult=0.1)
    x = torch.randn(2, 5)
    expected = x @ layer.weight.T * (0.1 / math.sqrt(5)) + 0.7
    assert torch.allclose(layer(x), expected, atol=1e-6)
    layer.activate = True
    assert torch.allclose(layer(x), F.leaky_relu(expected, 0.2) * math.sqrt(2), atol=1e-6)


def test_lr_mult_slows_the_learning() -> None:
    """The same step of Adam on a weight moves the output by lr_mult / sqrt(fan_in), bias by lr_mult."""
    for lr_mult in (1.0, 0.01):
        layer = EqualLinear(16, 1, lr_mult=lr_mult)
        layer(torch.ones(1, 16)).sum().backward()
        assert layer.weight.grad.tolist() == pytest.approx(np.full((1, 16), lr_mult / 4))
        assert layer.bias.grad.tolist() == pytest.approx([lr_mult])


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("channels", [1, 40])
def test_conv_keeps_unit_variance_at_any_fan_in(channels: int, kernel: int) -> None:
    y = EqualConv2d(channels, 2000, kernel, activate=False)(signs(1, channels, 5, 5))
    assert y[:, :, 2, 2].var().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("gain", [1.0, math.sqrt(0.5)])
@pytest.mark.parametrize("activate", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_is_its_formula(kernel: int, activate: bool, gain: float) -> None:
    layer = EqualConv2d(3, 4, kernel, activate=activate)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 6, 6)
    expected = F.conv2d(x, layer.weight / math.sqrt(3 * kernel**2), layer.bias, padding=kernel // 2)
    if activate:
        expected = F.leaky_relu(expected, 0.2) * math.sqrt(2)
    assert torch.allclose(layer(x, gain), expected * gain, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_down_filters_then_takes_every_other_sample(kernel: int) -> None:
    """Against the filtered picture's convolution at full size: sample n of the output lies between 2n and 2n + 1."""
    layer = EqualConv2d(2, 3, kernel, down=True, bias=False, activate=False)
    x = torch.randn(1, 2, 8, 8)
    wide = F.pad(x, (6, 6, 6, 6)).numpy()
    filtered = np.zeros((1, 2, 17, 17))  # filtered[n] is centred between n - 6 + 1 and n - 6 + 2 of x
    for i in range(17):
        for j in range(17):
            filtered[..., i, j] = (wide[..., i : i + 4, j : j + 4] * KERNEL).sum(axis=(2, 3))
    weight = layer.weight.detach() / math.sqrt(2 * kernel**2)
    full = F.conv2d(torch.from_numpy(filtered).float(), weight)
    start = 5 - kernel // 2  # of the sample whose centre lies between 0 and 1 of x
    expected = full[:, :, start::2, start::2][:, :, :4, :4]
    assert torch.allclose(layer(x), expected, atol=1e-5)


@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_fir_of_an_impulse_is_the_kernel(gain: float) -> None:
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 3, 3] = 1
    y = fir(x, padding=0, gain=gain)
    assert y[0, 0].numpy() == pytest.approx(KERNEL * gain)
    assert y.sum().item() == pytest.approx(gain)


def test_a_constant_picture_stays_constant_inside() -> None:
    x = torch.full((2, 3, 8, 8), 0.7)
    assert torch.allclose(fir(x, padding=2)[:, :, 2:-2, 2:-2], torch.tensor(0.7))
    assert torch.allclose(upsample(x)[:, :, 2:-2, 2:-2], torch.tensor(0.7))
    assert torch.allclose(downsample(x)[:, :, 1:-1, 1:-1], torch.tensor(0.7))


def test_channels_are_filtered_apart() -> None:
    x = torch.zeros(1, 3, 8, 8)
    x[:, 1] = 1
    for y in (fir(x, padding=2), upsample(x), downsample(x)):
        assert y[:, 0].abs().max() == y[:, 2].abs().max() == 0
        assert y[:, 1].max() > 0.9


def test_upsample_by_hand() -> None:
    """Zeros between the samples, then the filter times 4; light falls on both sides of a centre alike."""
    x = torch.randn(1, 2, 3, 5)
    stuffed = np.zeros((1, 2, 6, 10))
    stuffed[:, :, ::2, ::2] = x
    wide = np.pad(stuffed, ((0, 0), (0, 0), (2, 1), (2, 1)))
    expected = np.zeros((1, 2, 6, 10))
    for i in range(6):
        for j in range(10):
            expected[:, :, i, j] = 4 * (wide[:, :, i : i + 4, j : j + 4] * KERNEL).sum(axis=(2, 3))
    assert upsample(x).numpy() == pytest.approx(expected, abs=1e-6)


def test_downsample_by_hand() -> None:
    x = torch.randn(2, 1, 6, 4)
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = np.zeros((2, 1, 3, 2))
    for i in range(3):
        for j in range(2):
            expected[:, :, i, j] = (wide[:, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] * KERNEL).sum(axis=(2, 3))
    assert downsample(x).numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("resize", [upsample, downsample])
def test_resizing_does_not_shift_the_picture(resize: object) -> None:
    """A ramp stays the ramp through the pixels' centres."""
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    y = resize(ramp)[0, 0, 8 if resize is upsample else 4]
    scale = 16 / len(y)
    expected = (torch.arange(len(y)) + 0.5) * scale - 0.5
    assert torch.allclose(y[3:-3], expected[3:-3], atol=1e-5)


@pytest.mark.parametrize("make", [lambda: EqualConv2d(2, 2, 3, down=True), lambda: EqualLinear(4, 2, activate=True)])
def test_differentiable_twice(make: object) -> None:
    """R1 and path length need the gradient of a gradient."""
    layer = make().double()
    shape = (1, 2, 4, 4) if isinstance(layer, EqualConv2d) else (2, 4)
    assert torch.autograd.gradgradcheck(layer, torch.randn(shape, dtype=torch.float64, requires_grad=True))
