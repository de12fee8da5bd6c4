import pytest
import torch

from studio.capabilities import DamageDetector
from studio.models.damage import CLASSES, DamageConfig, DamageNetwork, top_hats

TINY = DamageConfig(widths=(4, 8, 8))


@pytest.fixture(scope="module")
def network() -> DamageNetwork:
    torch.manual_seed(0)
    return DamageNetwork(TINY).eval().requires_grad_(False)


def test_it_is_a_detector_of_four_kinds(network: DamageNetwork) -> None:
    assert isinstance(network, DamageDetector) and network.classes == CLASSES == ("crack", "loss", "stain", "fold")


def test_hats_show_what_is_thin() -> None:
    """A dark line of 2 px and a bright square of 7: the small window sees the line alone, the large one both."""
    picture = torch.full([1, 3, 60, 60], 0.2)
    picture[:, :, 16:18] = -0.3
    picture[:, :, 35:42, 35:42] = 0.9
    bright, dark, bright_wide, dark_wide = top_hats(picture)[0]
    line, square = torch.zeros(60, 60), torch.zeros(60, 60)
    line[16:18], square[35:42, 35:42] = 0.5, 0.7
    for found, expected in ((bright, 0 * line), (dark, line), (bright_wide, square), (dark_wide, line)):
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (37, 50), (1, 1)])
def test_pictures_of_any_size(network: DamageNetwork, size: tuple[int, int]) -> None:
    found = network.detect(torch.zeros(2, 3, *size))
    assert found.shape == (2, 4, *size) and 0 <= found.min() and found.max() <= 1


def test_it_suggests_little_before_it_has_learned() -> None:
    torch.manual_seed(0)
    network = DamageNetwork()
    network(torch.rand(4, 3, 64, 64) * 2 - 1)
    with torch.no_grad():
        assert network.eval().detect(torch.rand(1, 3, 64, 64) * 2 - 1).mean() < 0.2
    assert 0.4e6 < sum(p.numel() for p in network.parameters()) < 0.7e6


def test_each_class_is_for_itself(network: DamageNetwork) -> None:
    """Probabilities need not sum to 1: paint may be cracked and stained."""
    logits = network(torch.rand(1, 3, 32, 32))
    assert torch.allclose(network.detect(torch.zeros(1, 3, 32, 32)), network(torch.zeros(1, 3, 32, 32)).sigmoid())
    assert logits.sigmoid().sum(dim=1).sub(1).abs().max() > 0.1
