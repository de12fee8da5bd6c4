import pytest
import torch

from tests.train.toy import Points, ring_pictures
from train.drawing import BATCH, VIEW, fixed_shuffle, generated, real_features, real_views, views


class Echo:
    """Draws its latents and classes."""

    z_dim, classes, resolution, channels = 3, 0, 2, 1

    def generate(self, z: torch.Tensor, c: torch.Tensor | None = None, psi: float = 1.0) -> torch.Tensor:
        return z[:, None, None] if c is None else c[:, None, None]


def test_latents_depend_on_the_seed_alone() -> None:
    draw = lambda count, seed: torch.cat(list(generated(Echo(), count, seed, torch.device("cpu"))))
    assert draw(BATCH + 3, 1).shape == (BATCH + 3, 1, 1, 3)
    assert torch.equal(draw(BATCH + 3, 1), draw(BATCH + 3, 1)) and not torch.equal(draw(4, 1), draw(4, 2))
    assert draw(200, 1).abs().max() == 1.0  # clamped


def test_classes_in_turn() -> None:
    echo = Echo()
    echo.classes = 3
    drawn = torch.cat(list(generated(echo, BATCH + 2, 0, torch.device("cpu")))).flatten(1)
    assert drawn.argmax(dim=1).tolist() == [i % 3 for i in range(BATCH + 2)]


def test_real_pictures_in_a_fixed_order() -> None:
    pictures = ring_pictures(70)
    places = fixed_shuffle(pictures, 50)
    assert places == fixed_shuffle(pictures, 50) == fixed_shuffle(pictures, 99)[:50] and len(set(places)) == 50
    wanted = pictures.load(places).float().flatten(1) / 127.5 - 1
    assert torch.equal(real_features(pictures, places, Points()), wanted)
    assert torch.allclose(real_views(pictures, places), wanted)


def test_a_view_is_the_mean_of_its_part() -> None:
    picture = torch.zeros(1, 3, 64, 32)
    picture[0, 1, :4, :2] = 1.0
    seen = views(picture).view(3, VIEW, VIEW)
    assert seen[1, 0, 0] == 1.0 and seen.sum() == 1.0
    small = torch.rand(2, 1, 8, 4)
    assert torch.equal(views(small), small.flatten(1))


@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_a_noisy_copy_stays_near_its_original(noise: float) -> None:
    torch.manual_seed(0)
    pictures = torch.rand(40, 3, 8, 8).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3) * 2 - 1
    copies = pictures + noise * torch.randn_like(pictures)
    assert torch.cdist(views(copies), views(pictures)).argmin(dim=1).tolist() == list(range(40))
    assert (views(copies) - views(pictures)).norm(dim=1).max() < 0.2 * torch.pdist(views(pictures)).min()
