import math

import pytest
import torch
from torch import Tensor

from studio import gatys
from studio.checkpoint import load_network
from studio.gatys import FineSettings, Goal, descend, level_sizes, level_steps, optimise, recolour, variation
from studio.library import BUNDLED
from studio.models.style import colours
from studio.models.vgg import VGGEncoder
from studio.texture import TextureMeter, texture_distance
from tests.test_texture import halves, picture

QUICK = FineSettings(steps=12, side=64)


@pytest.fixture(scope="module")
def vgg() -> VGGEncoder:
    return load_network(BUNDLED / "vgg")


def stripes(height: int, width: int) -> Tensor:
    x = torch.linspace(0, width / 2, width).sin() * 0.8
    return x.expand(1, 3, height, width) * torch.tensor([1.0, 0.5, -0.5]).view(1, 3, 1, 1)


def distance(vgg: VGGEncoder, x: Tensor, style: Tensor) -> float:
    moments = [TextureMeter(vgg, p.shape[2:]).moments(p) for p in (x, style)]
    return texture_distance(*moments).item()


class TestLevels:
    def test_sizes_double_up_to_the_side(self):
        assert level_sizes((300, 600), 768) == [(75, 150), (150, 300), (300, 600)]
        assert level_sizes((3000, 6000), 768) == [(48, 96), (96, 192), (192, 384), (384, 768)]

    def test_small_and_narrow_pictures_are_enlarged(self):
        assert level_sizes((1, 1), 768) == [(32, 32)]
        assert level_sizes((10, 400), 768)[-1] == (32, 400)

    def test_steps_halve(self):
        assert level_steps(3, 221) == [100, 71, 50]
        assert level_steps(1, 70) == [70]
        assert level_steps(4, 1) == [1, 1, 1, 1]


class TestRecolour:
    def test_colours_become_the_styles(self):
        photo, style = picture(0, 40, 40) * 0.3, picture(1, 30, 50) * 0.3 + 0.2
        result = recolour(photo, [style], torch.ones(1, 1))
        for found, wanted in zip(colours(result), colours(style)):
            assert torch.allclose(found, wanted, atol=0.02)

    def test_a_photo_has_its_own_colours_already(self):
        photo = picture(0, 40, 40) * 0.3
        assert torch.allclose(recolour(photo, [photo.flip(3)], torch.ones(1, 1)), photo, atol=1e-4)

    def test_shares_mix_colours(self):
        photo = picture(0, 40, 40) * 0.3
        flat = [torch.full([1, 3, 20, 20], value) for value in (0.4, -0.4)]
        result = recolour(photo, flat, torch.tensor([[0.75, 0.25]]))
        assert torch.allclose(result.mean(dim=(0, 2, 3)), torch.full([3], 0.2), atol=0.01)

    def test_regions_have_colours_of_their_own_and_the_rest_stays(self):
        photo = picture(2, 32, 96) * 0.5
        flat = lambda *c: torch.tensor(c).view(1, 3, 1, 1).expand(1, 3, 16, 16)
        red, blue = flat(0.8, -0.8, -0.8), flat(-0.8, -0.8, 0.8)
        result = recolour(photo, [red, blue], torch.eye(2), halves(32, 96, 32))
        assert torch.equal(result[..., 32:64], photo[..., 32:64])
        left, right = (result[..., part].mean(dim=(0, 2, 3)) for part in (slice(0, 32), slice(64, 96)))
        assert torch.allclose(left, red[0, :, 0, 0], atol=0.05)
        assert torch.allclose(right, blue[0, :, 0, 0], atol=0.05)


def test_variation_of_a_checkerboard_is_four_each_way():
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    assert variation(board).item() == 8
    assert variation(torch.ones(1, 3, 1, 1)) == 0


class TestOptimise:
    def test_the_texture_comes_and_the_shapes_stay(self, vgg):
        photo, style = picture(3, 64, 64), stripes(64, 64)
        *_, last = optimise(vgg, photo, [style], FineSettings(steps=20, side=64))
        free = list(optimise(vgg, photo, [style], FineSettings(steps=20, side=64, content=0.0)))[-1]
        begun = Goal(vgg, photo, [style], QUICK).photo
        assert distance(vgg, last.picture, style) < 0.5 * distance(vgg, begun, style)
        meter = TextureMeter(vgg, (64, 64))
        shapes = lambda x: (meter.shapes(x) - meter.shapes(begun)).square().mean()
        assert shapes(last.picture) < shapes(free.picture)

    def test_a_photo_in_its_own_style_stays(self, vgg, monkeypatch):
        monkeypatch.setattr(gatys, "GRAIN", 0.0)
        photo = picture(4, 48, 48)
        *_, last = optimise(vgg, photo, [photo], FineSettings(steps=10, side=64, smooth=0.0))
        assert (last.picture - photo).abs().mean() < 2 / 127.5

    def test_equal_arguments_give_equal_pictures_and_the_seed_others(self, vgg):
        photo, style = picture(5, 32, 32), stripes(32, 32)
        one, two, other = (list(optimise(vgg, photo, [style], QUICK.replace(seed=s)))[-1].picture for s in (1, 1, 2))
        assert torch.equal(one, two)
        assert not torch.equal(one, other)

    def test_the_same_style_twice_equals_it_once(self, vgg):
        photo, style = picture(6, 32, 32), stripes(32, 32)
        once = list(optimise(vgg, photo, [style], QUICK))[-1].picture
        twice = list(optimise(vgg, photo, [style, style], QUICK, weights=(0.5, 0.5)))[-1].picture
        assert (once - twice).abs().mean() < 2 / 255

    def test_weights_choose(self, vgg):
        photo, one, other = picture(7, 32, 32), stripes(32, 32), picture(8, 32, 32)
        alone = list(optimise(vgg, photo, [one], QUICK))[-1].picture
        chosen = list(optimise(vgg, photo, [one, other], QUICK, weights=(1.0, 0.0)))[-1].picture
        assert (alone - chosen).abs().mean() < 2 / 255

    def test_progress_runs_to_the_end_by_the_work_done(self, vgg):
        seen = list(optimise(vgg, picture(9, 40, 200), [stripes(32, 32)], FineSettings(steps=9, side=200)))
        assert [tuple(p.picture.shape[2:]) for p in seen] == [(32, 100)] * 5 + [(40, 200)] * 4
        assert seen[0].fraction == pytest.approx(3200 / (5 * 3200 + 4 * 8000))
        assert seen[-1].fraction == 1
        assert all(p.picture.abs().max() <= 1 for p in seen)

    def test_the_loss_never_rises_within_a_size(self, vgg):
        settings = FineSettings(steps=15, side=64, optimizer="adam")
        seen = list(optimise(vgg, picture(10, 48, 48), [stripes(48, 48)], settings))
        losses = [p.loss for p in seen]
        assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]

    def test_begins_with_a_painting_that_is_given(self, vgg):
        start = stripes(16, 16)
        first = next(optimise(vgg, picture(11, 32, 32), [stripes(32, 32)], QUICK, start=start))
        assert torch.allclose(first.picture, gatys.resize(start, (32, 32)).clamp(-1, 1), atol=1e-6)

    def test_one_mask_is_the_region_of_all_styles(self, vgg):
        photo, one, other = picture(13, 32, 64), stripes(32, 32), picture(14, 32, 32)
        mask = halves(32, 64, 0)[:1]
        settings = FineSettings(steps=8, side=64)
        weights = {"weights": (1.0, 0.0), "masks": mask}
        masked = list(optimise(vgg, photo, [one, other], settings, **weights))[-1].picture
        alone = list(optimise(vgg, photo, [one], settings, masks=mask))[-1].picture
        assert (masked - alone).abs().mean() < 2 / 255
        assert (masked - photo)[..., :24].abs().mean() > 3 * (masked - photo)[..., 40:].abs().mean()

    def test_each_region_takes_its_own_style(self, vgg):
        photo, masks = picture(12, 48, 96), halves(48, 96, 0)
        red = stripes(48, 48)
        blue = red.flip(1)
        *_, last = optimise(vgg, photo, [red, blue], FineSettings(steps=20, side=96), masks=masks)
        left, right = last.picture[..., :40], last.picture[..., 56:]
        assert distance(vgg, left, red) < distance(vgg, left, blue)
        assert distance(vgg, right, blue) < distance(vgg, right, red)


class _Bowl:
    """|x|^2, which turns into nonsense once, at the look number `at`."""

    def __init__(self, at: int, value: float) -> None:
        self.looks, self.at, self.value = 0, at, value

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.looks += 1
        if self.looks == self.at:
            return torch.tensor(self.value), torch.full_like(x, math.nan)
        return x.detach().square().sum(), 2 * x.detach()


class TestDescend:
    @pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
    @pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
    def test_goes_back_to_the_best_when_lost(self, value, optimizer):
        seen = list(descend(_Bowl(4, value), torch.full([1, 3, 2, 2], 0.5), 30, optimizer))
        assert len(seen) == 30
        losses = [loss for _, loss in seen]
        assert losses == sorted(losses, reverse=True) and losses[-1] < 0.5 * losses[0]
        assert all(x.isfinite().all() for x, _ in seen)

    def test_finds_the_bottom(self):
        *_, (x, loss) = descend(_Bowl(0, 0), torch.full([1, 3, 2, 2], 0.5), 20, "lbfgs")
        assert loss < 1e-6
