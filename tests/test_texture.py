import pytest
import torch
from torch import Tensor

from studio import texture
from studio.checkpoint import load_network
from studio.library import BUNDLED
from studio.models.vgg import VGGEncoder
from studio.texture import TextureMeter, mix, texture_distance


@pytest.fixture(scope="module")
def vgg() -> VGGEncoder:
    return load_network(BUNDLED / "vgg")


def picture(seed: int, height: int, width: int) -> Tensor:
    """Blots of several px, in [-1, 1]."""
    coarse = torch.rand(1, 3, height // 6 + 2, width // 6 + 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")


def halves(height: int, width: int, gap: int) -> Tensor:
    """Two masks [2, 1, H, W]: left and right, `gap` px apart."""
    masks = torch.zeros(2, 1, height, width)
    masks[0, ..., : (width - gap) // 2] = 1
    masks[1, ..., (width + gap) // 2 :] = 1
    return masks


def close(a: texture.Moments, b: texture.Moments) -> bool:
    return all(torch.allclose(x, y, rtol=1e-4, atol=1e-5) for one, other in zip(a, b) for x, y in zip(one, other))


class TestTextureDistance:
    def moments(self, mean: list[float], product: list[list[float]]) -> texture.Moments:
        return [(torch.tensor([mean]), torch.tensor([product]))] * 5

    def test_is_nothing_to_itself_and_one_to_nothing(self):
        wanted = self.moments([10.0, 20.0], [[200.0, 190.0], [190.0, 500.0]])
        nothing = self.moments([0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]])
        assert texture_distance(wanted, wanted) == 0
        assert texture_distance(nothing, wanted).item() == pytest.approx(1, rel=1e-4)

    def test_is_relative_and_of_covariances(self):
        wanted = self.moments([100.0, 0.0], [[10_100.0, 0.0], [0.0, 0.0]])  # mean (100, 0), variances 100 and 0
        found = self.moments([110.0, 0.0], [[12_300.0, 0.0], [0.0, 0.0]])  # mean (110, 0), variances 200 and 0
        # (10 / 100)^2 for the mean and (100 / 100)^2 for the covariance
        assert texture_distance(found, wanted).item() == pytest.approx((0.01 + 1) / 2, rel=1e-3)

    def test_the_place_of_a_texture_does_not_count(self, vgg):
        x = picture(0, 64, 64)
        meter = TextureMeter(vgg, (64, 64))
        there, turned = meter.moments(x), meter.moments(x.flip(0, 2, 3).flip(2, 3))
        other = meter.moments(picture(1, 64, 64))
        assert close(there, turned)
        assert texture_distance(other, there) > 0.01


class TestMix:
    def test_shares_of_pictures(self):
        one, other = ([(torch.full([1, 2], v), torch.full([1, 2, 2], v))] for v in (1.0, 5.0))
        (mean, product), = mix([one, other], torch.tensor([[0.75, 0.25], [0.0, 1.0]]))
        assert mean.tolist() == [[2.0, 2.0], [5.0, 5.0]]
        assert product[:, 0, 0].tolist() == [2.0, 5.0]


class TestTextureMeter:
    def test_moments_are_means_over_places(self, vgg):
        """relu1_1 of a flat picture is one number a channel: mean m, product m m^T."""
        (mean, product), *_ = TextureMeter(vgg, (20, 24)).moments(torch.full([1, 3, 20, 24], 0.3))
        weight, bias = vgg.relu1_1_weight, vgg.relu1_1_bias
        expected = (weight.sum(dim=(2, 3)) @ torch.full([3], 0.3) + bias).relu()
        assert torch.allclose(mean[0], expected, rtol=1e-4, atol=1e-5)
        assert torch.allclose(product[0], torch.outer(expected, expected), rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("size", [(64, 96), (75, 53)])
    def test_tiles_give_the_same_as_the_whole(self, vgg, monkeypatch, size, masked):
        x, style = picture(2, *size), picture(3, 40, 40)
        masks = halves(*size, 0) if masked else None
        wanted = mix([TextureMeter(vgg, (40, 40)).moments(style)], torch.ones(2 if masked else 1, 1))
        whole = TextureMeter(vgg, size, masks)
        shapes = whole.shapes(x * 0.5)
        moments, (loss, gradient) = whole.moments(x), whole.loss(x, wanted, shapes, 2.0)
        assert len(whole.tiles) == 1
        monkeypatch.setattr(texture, "TILE", 32)
        tiled = TextureMeter(vgg, size, masks)
        assert len(tiled.tiles) == 6
        assert close(tiled.moments(x), moments)
        assert torch.allclose(tiled.shapes(x * 0.5), shapes, rtol=1e-3, atol=1e-3)
        tiled_loss, tiled_gradient = tiled.loss(x, wanted, shapes, 2.0)
        assert tiled_loss.item() == pytest.approx(loss.item(), rel=1e-4)
        assert (tiled_gradient - gradient).abs().max() < 1e-3 * gradient.abs().max()

    def test_the_gradient_is_the_losss(self, vgg):
        """Along a random direction, against the difference of two losses."""
        x, direction = picture(4, 32, 32), picture(5, 32, 32)
        wanted = TextureMeter(vgg, (32, 32)).moments(picture(6, 32, 32))
        meter = TextureMeter(vgg, (32, 32))
        shapes = meter.shapes(picture(7, 32, 32))
        value = lambda by: meter.loss(x + by * direction, wanted, shapes, 0.5)[0].item()
        slope = (meter.loss(x, wanted, shapes, 0.5)[1] * direction).sum().item()
        assert slope == pytest.approx((value(1e-2) - value(-1e-2)) / 2e-2, rel=0.02)

    def test_regions_do_not_see_each_other(self, vgg):
        masks, x = halves(32, 96, 32), picture(8, 32, 96)
        changed = x.clone()
        changed[..., 64:] = picture(9, 32, 32)
        before, after = (TextureMeter(vgg, (32, 96), masks).moments(p) for p in (x, changed))
        left, right = ([(mean[[i]], product[[i]]) for mean, product in before] for i in (0, 1))
        left_after, right_after = ([(mean[[i]], product[[i]]) for mean, product in after] for i in (0, 1))
        assert close(left, left_after)
        assert not close(right, right_after)

    def test_a_mask_of_everything_is_no_mask(self, vgg):
        x = picture(10, 32, 40)
        masked = TextureMeter(vgg, (32, 40), torch.ones(1, 1, 32, 40))
        assert close(masked.moments(x), TextureMeter(vgg, (32, 40)).moments(x))

    def test_no_frame_is_drawn(self, vgg):
        """A flat picture's responses are as flat at its border as in the middle."""
        shapes = TextureMeter(vgg, (48, 48)).shapes(torch.full([1, 3, 48, 48], -0.4))
        assert torch.allclose(shapes, shapes[:, :, 6:7, 6:7].expand_as(shapes), atol=1e-3)
