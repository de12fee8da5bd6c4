import pytest
import torch

from studio.capabilities import DamageDetector
from studio.models.damage import CLASSES, FAR, JUDGED, DamageConfig, DamageNetwork, top_hats

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


def judging(network: DamageNetwork) -> DamageNetwork:
    """The same, with a judge of the surroundings that says what chance made it say."""
    torch.manual_seed(1)
    other = DamageNetwork(TINY.replace(surroundings=8)).eval().requires_grad_(False)
    torch.nn.init.normal_(other.surroundings.judge[-1].weight)
    other.surroundings.mean.fill_(-4)
    other.surroundings.deviation.fill_(2)
    other.load_state_dict({**other.state_dict(), **network.state_dict()})
    return other


def test_a_judge_that_has_learned_nothing_moves_nothing(network: DamageNetwork) -> None:
    other, x = DamageNetwork(TINY.replace(surroundings=8)).eval(), torch.rand(1, 3, 40, 40) * 2 - 1
    other.load_state_dict({**other.state_dict(), **network.state_dict()})
    assert torch.equal(other.detect(x), network.detect(x))


def test_the_same_lines_are_judged_by_what_is_around_them(network: DamageNetwork) -> None:
    """Far beyond what the network sees of a place, noise is laid; a detector that judges by the picture notices."""
    other, calm = judging(network), torch.rand(1, 3, 32, 256) * 0.2
    rough = calm.clone()
    rough[..., 160:] = torch.rand(1, 3, 32, 96) * 2 - 1
    near = lambda detector: [detector.detect(x)[..., :64] for x in (calm, rough)]
    assert torch.equal(*near(network)) and not torch.allclose(*near(other), atol=1e-3)


@pytest.mark.parametrize("size", [(64, 64), (37, 50), (1, 1)])
def test_a_judge_takes_pictures_of_any_size(network: DamageNetwork, size: tuple[int, int]) -> None:
    found = judging(network).detect(torch.rand(2, 3, *size))
    assert found.shape == (2, 4, *size) and found.isfinite().all()


def test_what_is_told_of_surroundings_are_shares(network: DamageNetwork) -> None:
    """Of a cell in the left half, all pixels are beyond a crack's levels; of the whole picture, half of them are."""
    other = judging(network)
    logits = torch.full([1, 4, 32, 512], -20.0)
    logits[:, 0, :, :256] = 20
    around = other.surroundings.around(torch.zeros(1, 7, 32, 512), logits).exp()
    assert around.shape == (1, 4, 64, other.surroundings.told)
    nearest, wider, whole = around.chunk(3, dim=-1)
    assert nearest[0, 1, 8, :8].tolist() == pytest.approx([1] * 8, abs=1e-3)
    assert nearest[0, 1, 56, :8].tolist() == pytest.approx([0] * 8, abs=1e-3)
    assert whole[0, :, :, :8].flatten().tolist() == pytest.approx([0.5] * 8 * 4 * 64, abs=1e-3)
    assert nearest[0, 1, 32, 0] == pytest.approx(0.4, abs=1e-3)  # two of five cells
    assert around[..., 8:17].max() < 1e-3  # none of the other kinds anywhere


def test_it_is_told_what_is_thin_and_rough(network: DamageNetwork) -> None:
    """A row in each cell that is brighter by 0.3: an eighth of it is thin and bright, the rest dark between two rows that
    are within the wider window, and three rows are rough by 0.1 or 0.2.
    """
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, :, 3::8] = 0.3
    seen, logits = network.look(picture)
    middle = judging(network).surroundings.around(seen, logits)[0, 4, 4, 17:22].exp().tolist()
    assert middle == pytest.approx([0.3 / 8, 0, 0.3 / 8, 7 * 0.3 / 8, 0.4 / 8], abs=1e-3)


def test_what_is_stranger_than_far_counts_as_far(network: DamageNetwork) -> None:
    judge = judging(network).surroundings
    strange, far = judge.mean + 100, judge.mean + FAR * judge.deviation
    nearer = judge.mean + 0.9 * FAR * judge.deviation
    assert torch.equal(judge(strange)[1], judge(far)[1]) and not torch.equal(judge(nearer)[1], judge(far)[1])


def test_a_judge_is_bounded(network: DamageNetwork) -> None:
    judge = judging(network).surroundings
    torch.nn.init.normal_(judge.judge[-1].weight, std=100)
    gain, shift = judge(torch.randn(50, judge.told) * 1000)
    assert gain.max() <= 2.72 and gain.min() >= 0.36 and shift.abs().max() <= 4


def test_stains_and_folds_are_left_alone(network: DamageNetwork) -> None:
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    moved, plain = judging(network).detect(x), network.detect(x)
    assert CLASSES[:2] == JUDGED and not torch.allclose(moved[:, :2], plain[:, :2])
    assert torch.equal(moved[:, 2:], plain[:, 2:])
