import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.capabilities import Styler
from studio.models.style import (
    StyleCode, StyleNetwork, balanced, blend, colour, colours, grain, moments, recolour, settling, upsampling,
    whiten,
)
from tests.tiny_style import CONFIG, make_network


@pytest.fixture(scope="module")
def network() -> StyleNetwork:
    return make_network()


@pytest.fixture
def noise() -> Callable[..., Tensor]:
    """noise(*shape): the same numbers in [-1, 1] every time."""
    random = torch.Generator().manual_seed(1)
    return lambda *shape: torch.rand(shape, generator=random) * 2 - 1


def test_it_is_a_styler(network: StyleNetwork) -> None:
    assert isinstance(network, Styler)


def test_upsampling_is_bilinear_then_the_kernel(noise: Callable) -> None:
    x, kernel = noise(2, 3, 5, 7), noise(4, 3, 3, 3)
    mirrored = F.pad(x, (1, 1, 1, 1), mode="reflect")
    expected = F.conv2d(F.interpolate(mirrored, scale_factor=2, mode="bilinear"), kernel)[:, :, 1:-1, 1:-1]
    found = upsampling(mirrored, kernel)
    assert found.shape == (2, 4, 10, 14) and torch.allclose(found, expected, atol=1e-5)


def test_grain_belongs_to_its_place() -> None:
    at = lambda *n: torch.tensor(n)
    whole = grain(40, 60, at(0), at(0))
    assert torch.equal(grain(9, 11, at(20, 5), at(30, 2))[0], whole[0, 20:29, 30:41])
    assert torch.equal(grain(9, 11, at(20, 5), at(30, 2))[1], whole[0, 5:14, 2:13])


def test_grain_is_random() -> None:
    """Mean 0 and variance 1, and nothing of a number tells its neighbour, on any side or of the same place."""
    numbers = grain(200, 200, torch.tensor([1000]), torch.tensor([5000]))[0]
    assert abs(numbers.mean()) < 0.01 and numbers.var() == pytest.approx(1, abs=0.02) and numbers.abs().max() < 1.75
    for other in (numbers.roll(1, 0), numbers.roll(1, 1), numbers.roll((1, 1), (0, 1)), numbers.roll(1, 2)):
        assert (numbers * other).mean(dim=(0, 1)).abs().max() < 0.025


def test_a_window_has_the_grain_of_its_place(network: StyleNetwork, noise: Callable) -> None:
    """A flat picture, whose every pixel is the same, is painted differently everywhere,
    and the same through a window.
    """
    code = network.encode(noise(1, 3, 40, 40))
    other, flat = noise(1, 3, 64, 64), torch.zeros(1, 3, 400, 400)
    mean, root = colours(other)
    statistics = network.paint(whiten(other, mean, root), code.texture)[1]
    with torch.inference_mode():
        folded = network.fold(code, statistics, mean, root)
        whole, part = folded(flat), folded(flat[:, :, :240, :200], 96, 160)
    reach = folded.reach
    inside = part[:, :, reach:-reach, reach:-reach]
    assert inside.std() > 0.01
    assert (inside - whole[:, :, 96 + reach : 336 - reach, 160 + reach : 360 - reach]).abs().max() < 1e-4


def test_colours_of_two_colours() -> None:
    """Half of the picture black, half red: red has variance 1, and 0.01 is added to all."""
    picture = -torch.ones(1, 3, 4, 4)
    picture[:, 0, :2] = 1
    mean, root = colours(picture)
    assert torch.allclose(mean, torch.tensor([[0.0, -1.0, -1.0]]))
    assert torch.allclose(root, torch.diag(torch.tensor([1.01, 0.01, 0.01]).sqrt())[None], atol=1e-6)


def test_whitened_pictures_have_no_colours(noise: Callable) -> None:
    mixed = torch.einsum("ij,njhw->nihw", noise(3, 3), noise(2, 3, 20, 30)) + 0.3
    mean, root = colours(mixed)
    flat = whiten(mixed, mean, root).flatten(2)
    assert flat.mean(dim=2).abs().max() < 1e-5
    covariance = flat @ flat.transpose(1, 2) / flat.shape[2]
    assert torch.linalg.eigvalsh(covariance).max() <= 1 and torch.allclose(root, root.transpose(1, 2), atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_colour_undoes_whiten(noise: Callable, count: int) -> None:
    pictures = noise(count, 3, 9, 11)
    mean, root = colours(noise(count, 3, 8, 8))
    white = whiten(pictures, mean, root)
    assert not torch.allclose(white, pictures, atol=0.1)
    assert torch.allclose(colour(white, mean, root), pictures, atol=1e-5)


def test_balanced_has_the_colours_wanted(noise: Callable) -> None:
    """Whatever is drawn, of whatever strength, mean and variances come out as they are in the other picture."""
    drawn = noise(2, 3, 40, 40) * torch.tensor([2.0, 1.0, 3.0])[:, None, None] + 0.5
    other = noise(2, 3, 30, 50) * torch.tensor([0.9, 0.5, 0.3])[:, None, None]
    mean, root = colours(other)
    found = colour(balanced(drawn, moments(drawn), root), mean, root)
    assert torch.allclose(found.mean(dim=(2, 3)), mean, atol=1e-5)
    assert torch.allclose(found.std(dim=(2, 3)), other.std(dim=(2, 3)), rtol=0.1)


def test_a_picture_in_its_own_colours_is_balanced(noise: Callable) -> None:
    picture = noise(1, 3, 40, 40) * torch.tensor([0.9, 0.2, 0.05])[:, None, None] + 0.1
    mean, root = colours(picture)
    white = whiten(picture, mean, root)
    assert torch.allclose(colour(balanced(white, moments(white), root), mean, root), picture, atol=0.01)


def test_noise_is_not_blown_up() -> None:
    """What is all but grey gets three times its colour at most."""
    _, root = colours(torch.rand(1, 3, 40, 40) * 2 - 1)
    faint = torch.randn(1, 3, 40, 40) * 0.001
    assert balanced(faint, moments(faint), root).std() < 0.0035


def test_moments(noise: Callable) -> None:
    x = noise(2, 3, 4, 6) * 5 + 2
    mean, deviation = moments(x)
    expected, expected_mean = torch.std_mean(x, dim=(2, 3), keepdim=True, correction=0)
    assert torch.allclose(mean, expected_mean) and torch.allclose(deviation, expected)
    mean, deviation = moments(x, together=True)
    expected, expected_mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
    assert mean.shape == (1, 3, 1, 1)
    assert torch.allclose(mean, expected_mean) and torch.allclose(deviation, expected)


def test_flat_pictures_have_gradients() -> None:
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    mean, deviation = moments(x)
    (mean.sum() + deviation.sum()).backward()
    assert x.grad.isfinite().all() and float(deviation.detach().max()) < 1e-5


def test_a_blend_of_equals_is_the_same(network: StyleNetwork, noise: Callable) -> None:
    code = network.encode(noise(1, 3, 40, 40))
    twice = StyleCode(*(torch.cat([getattr(code, name)] * 2) for name in ("mean", "root", "texture")))
    for weights in ([0.5, 0.5], [0.9, 0.1], [3.0, 1.0]):
        mixed = blend(twice, torch.tensor(weights))
        for name in ("mean", "root", "texture"):
            assert torch.allclose(getattr(mixed, name), getattr(code, name), atol=1e-6)


def test_a_blend_of_one_and_nothing_is_the_one(network: StyleNetwork, noise: Callable) -> None:
    codes = network.encode(noise(2, 3, 40, 40))
    assert torch.allclose(blend(codes, torch.tensor([0.0, 2.0])).texture, codes.texture[1:])
    half = blend(codes, torch.tensor([1.0, 1.0]))
    assert torch.allclose(half.mean[0], codes.mean.mean(dim=0)) and len(half) == 1


def test_a_texture_in_other_colours(network: StyleNetwork, noise: Callable) -> None:
    one, other = network.encode(noise(1, 3, 40, 40)), network.encode(noise(1, 3, 40, 40) * 0.5)
    both = one.colours_of(other)
    assert both.mean is other.mean and both.root is other.root and both.texture is one.texture


def test_emphasis_is_of_a_layer(network: StyleNetwork, noise: Callable) -> None:
    told = StyleNetwork(dataclasses.replace(CONFIG, emphasis=(1, 1, 2, 1, 0.5)))
    told.load_state_dict(network.state_dict())
    style = noise(1, 3, 32, 32)
    vector = network.scaled_vector(style).clone()
    vector[:, 256:512] *= 2  # of relu2_1: after two layers of 64 channels, means and deviations of 128
    vector[:, 768:] *= 0.5  # of relu3_1
    assert torch.equal(told.encode(style).texture, network.code(vector))
    assert torch.equal(told.scaled_vector(style), network.scaled_vector(style))


def test_given_its_own_statistics_it_paints_the_same(network: StyleNetwork, noise: Callable) -> None:
    white, code = noise(2, 3, 32, 40), network.encode(noise(1, 3, 40, 40))
    painted, statistics = network.paint(white, code.texture)
    again, same = network.paint(white, code.texture, statistics)
    assert torch.allclose(painted, again, atol=1e-5)
    assert all(a is b for pair, other in zip(statistics, same) for a, b in zip(pair, other))
    assert len(statistics) == 4 + 2 * CONFIG.blocks + 3 + 2 + 1


def test_samples_together_count_as_one_picture(network: StyleNetwork, noise: Callable) -> None:
    """Twice the same sample has the statistics of one; two different ones share theirs."""
    texture = network.encode(noise(1, 3, 40, 40)).texture
    sample, other = noise(1, 3, 32, 32), noise(1, 3, 32, 32) * 2
    alone = network.paint(sample, texture)[1]
    twice = network.paint(torch.cat([sample, sample]), texture, together=True)[1]
    both = network.paint(torch.cat([sample, other]), texture, together=True)[1]
    for (mean, deviation), (mean2, deviation2), (mean3, _) in zip(alone, twice, both):
        assert mean2.shape == mean.shape == mean3.shape
        assert torch.allclose(mean, mean2, atol=1e-5) and torch.allclose(deviation, deviation2, atol=1e-5)
    assert not torch.allclose(alone[0][1], both[0][1], rtol=0.1)


@pytest.mark.parametrize("size", [(16, 16), (48, 64)])
def test_folded_it_paints_the_same(network: StyleNetwork, noise: Callable, size: tuple[int, int]) -> None:
    picture, code = noise(1, 3, *size), network.encode(noise(1, 3, 40, 40))
    mean, root = colours(picture)
    painted, statistics = network.paint(whiten(picture, mean, root), code.texture)
    expected = colour(balanced(painted, statistics[-1], code.root), code.mean, code.root)
    settled = recolour(expected, *settling(expected.clamp(-1, 1), code.mean, code.root)).clamp(-1, 1)
    assert torch.allclose(settled, network(picture, code), atol=1e-6)
    with torch.inference_mode():
        found = network.fold(code, statistics, mean, root)(picture)
    assert (found - expected).abs().max() < 1e-4 and expected.std() > 0.1


def test_folded_it_paints_other_pictures_the_same(network: StyleNetwork, noise: Callable) -> None:
    """With statistics and colours of another picture, as for tiles and frames."""
    given, code = noise(1, 3, 64, 64), network.encode(noise(1, 3, 40, 40))
    mean, root = colours(given)
    statistics = network.paint(whiten(given, mean, root), code.texture)[1]
    picture = noise(1, 3, 24, 40) * 0.5 + 0.2
    white = whiten(picture, mean, root)
    painted, used = network.paint(white, code.texture, statistics)
    expected = colour(balanced(painted, used[-1], code.root), code.mean, code.root)
    with torch.inference_mode():
        assert (network.fold(code, statistics, mean, root)(picture) - expected).abs().max() < 1e-4


def test_it_sees_as_far_as_it_says(network: StyleNetwork, noise: Callable) -> None:
    """What is painted at a place changes with a pixel up to `reach` px away, and with none beyond."""
    picture, code = noise(1, 3, 192, 192), network.encode(noise(1, 3, 40, 40))
    mean, root = colours(picture)
    statistics = network.paint(whiten(picture, mean, root), code.texture)[1]
    farthest = 0
    with torch.inference_mode():
        folded = network.fold(code, statistics, mean, root)
        before = folded(picture)
        for y, x in [(96, 96), (99, 101), (95, 90), (103, 103), (98, 97)]:
            changed = picture.clone()
            changed[:, :, y, x] += 5
            places = (folded(changed) != before).any(dim=1)[0].nonzero() - torch.tensor([y, x])
            farthest = max(farthest, int(places.abs().max()))
    assert folded.reach - 8 < farthest <= folded.reach


def test_the_original_is_not_touched(network: StyleNetwork, noise: Callable) -> None:
    before = copy.deepcopy(network.state_dict())
    picture, code = noise(1, 3, 16, 16), network.encode(noise(1, 3, 40, 40))
    mean, root = colours(picture)
    statistics = network.paint(whiten(picture, mean, root), code.texture)[1]
    with torch.inference_mode():
        network.fold(code, statistics, mean, root)(picture)
    after = network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_settling_leaves_a_painting_in_its_own_colours_alone() -> None:
    pictures = torch.rand(2, 3, 24, 32) * 1.6 - 0.8
    matrix, term = settling(pictures, *colours(pictures))
    assert torch.allclose(recolour(pictures, matrix, term), pictures, atol=1e-4)


def test_settling_brings_mixed_up_colours_to_the_wanted_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = (
        (torch.rand(1, 3, 24, 32, generator=generator) * 2 - 1) * torch.tensor([1.0, 0.6, 0.9])[None, :, None, None]
    )
    mixed = recolour(
        wanted, torch.tensor([[[0.5, 0.6, 0.0], [0.1, 0.9, 0.2], [0.0, -0.3, 0.8]]]), torch.full((1, 3, 1), 0.2)
    )
    settled = recolour(mixed, *settling(mixed, *colours(wanted)))
    spread = lambda pictures: torch.cov(pictures[0].flatten(1))
    apart = lambda pictures: (spread(pictures) - spread(wanted)).norm() / spread(wanted).norm()
    assert apart(settled) < 0.6 * apart(mixed)
    assert torch.allclose(settled.mean(dim=(2, 3)), wanted.mean(dim=(2, 3)), atol=1e-4)


def test_settling_does_not_blow_up_what_hardly_varies() -> None:
    strong, flat = torch.rand(1, 3, 24, 32) * 2 - 1, torch.full((1, 3, 24, 32), 0.3) + 1e-3 * torch.randn(1, 3, 24, 32)
    settled = recolour(flat, *settling(flat, *colours(strong)))
    assert settled.std(dim=(2, 3)).max() < 0.02
