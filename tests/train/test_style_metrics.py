import pytest
import torch
from torch import Tensor

from studio.checkpoint import load_network
from studio.library import BUNDLED
from train import style_metrics as m


def maps(*channels: float) -> m.Maps:
    """One layer of one 1 x 2 map, both places alike."""
    return [torch.tensor(channels).view(1, -1, 1, 1).expand(1, -1, 1, 2)]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestContentDistance:
    def test_only_directions_count(self):
        assert m.content_distance(maps(1.0, 2.0), maps(3.0, 6.0)).item() == pytest.approx(0, abs=1e-12)

    def test_right_angles_are_at_two_and_opposites_at_four(self):
        assert m.content_distance(maps(1.0, 0.0), maps(0.0, 5.0)).item() == pytest.approx(2)
        assert m.content_distance(maps(1.0, 0.0), maps(-5.0, 0.0)).item() == pytest.approx(4)

    def test_is_the_mean_over_places_and_layers(self):
        a = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 2, 1, 2)
        b = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)  # the second place is turned
        assert m.content_distance([a, a], [b, a]).item() == pytest.approx(0.5)

    def test_where_nothing_responds_is_no_error(self):
        assert m.content_distance(maps(0.0, 0.0), maps(0.0, 0.0)).item() == 0


class TestStyleDistances:
    @pytest.mark.parametrize("distance", [m.gram_distance, m.moment_distance])
    def test_order_and_number_of_places_do_not_count(self, distance):
        x = noise(0, 2, 3, 4, 6)
        shuffled = x.flatten(2)[:, :, torch.randperm(24)].view(2, 3, 8, 3)
        assert torch.allclose(distance([x], [torch.cat([shuffled, shuffled], dim=3)]), torch.zeros(2), atol=1e-5)

    def test_twice_the_response_is_as_far_as_the_gram_matrix_is_long_three_times(self):
        x = noise(1, 1, 3, 4, 4)
        assert m.gram_distance([2 * x], [x]).item() == pytest.approx(3, rel=1e-5)

    def test_moments_of_a_known_map(self):
        found = torch.tensor([1.0, 5.0]).view(1, 1, 1, 2)  # mean 3, deviation 2
        wanted = torch.tensor([4.0, 4.0]).view(1, 1, 1, 2)  # mean 4, deviation 0
        assert m.moment_distance([found], [wanted]).item() == pytest.approx(5**0.5 / 4)

    def test_channels_that_fire_together_differ_in_gram_alone(self):
        together = torch.tensor([[0.0, 2.0], [0.0, 2.0]]).view(1, 2, 1, 2)
        apart = torch.tensor([[0.0, 2.0], [2.0, 0.0]]).view(1, 2, 1, 2)
        assert m.moment_distance([together], [apart]).item() == pytest.approx(0, abs=1e-6)
        assert m.gram_distance([together], [apart]).item() == pytest.approx(1)  # [[2,2],[2,2]] less [[2,0],[0,2]]


class TestArtScore:
    def test_is_the_product(self):
        x = noise(2, 50, 4)
        found = m.art_score(0.5, x + torch.tensor([2.0, 0, 0, 0]), x)  # a shift costs its squared length
        assert found["Lite0-FID"] == pytest.approx(4, rel=1e-5)
        assert found["ArtFID-like"] == pytest.approx(1.5 * 5, rel=1e-5)


@pytest.fixture(scope="module", params=["VGG", "Lite0"])
def eye(request: pytest.FixtureRequest) -> m.Eye:
    if request.param == "VGG":
        return m.VGGEye(load_network(BUNDLED / "vgg"))
    return m.Lite0Eye(m.Lite0())


class TestEyes:
    def test_orders_pictures_rightly(self, eye):
        """A photo's stand-in, the same with grain, and with stripes over it, which are the style."""
        y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
        photo = torch.stack([x, y, x * y])[None]
        stripes = torch.stack([torch.sin(40 * x), torch.sin(40 * x), torch.sin(40 * x)])[None] * 0.5
        near, far = photo + 0.02 * noise(3, *photo.shape), (photo + stripes).clamp(-1, 1)
        wanted = m.Wanted.of(eye, photo, stripes)
        untouched, grained, painted = (m.distances(eye, x, wanted) for x in (photo, near, far))
        assert untouched[f"{eye.name}-content"].item() == pytest.approx(0, abs=1e-6)
        assert grained[f"{eye.name}-content"] < painted[f"{eye.name}-content"]
        for kind in ("gram", "mean-std"):
            assert painted[f"{eye.name}-{kind}"] < untouched[f"{eye.name}-{kind}"]
        own = m.distances(eye, stripes, wanted)
        assert own[f"{eye.name}-gram"].item() == pytest.approx(0, abs=1e-5)
