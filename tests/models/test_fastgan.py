import pytest
import torch

from studio.capabilities import StyleGenerator
from studio.errors import SettingError
from studio.models.fastgan import Excitation, FastGANConfig, FastGANDiscriminator, FastGANGenerator

TINY = dict(channels=1, z_dim=8, width=4)


@pytest.fixture(scope="module")
def G() -> FastGANGenerator:
    torch.manual_seed(0)
    return FastGANGenerator(FastGANConfig(resolution=64, **TINY)).eval()


def test_widths_of_the_papers_table() -> None:
    config = FastGANConfig(resolution=256)
    with torch.device("meta"):
        G, D = FastGANGenerator(config), FastGANDiscriminator(config)
    assert {side: block.layers[-1].conv.out_channels // 2 for side, block in G.up.items()} == {
        "8": 512, "16": 256, "32": 128, "64": 128, "128": 64, "256": 32,
    }
    assert [len(block.layers) for block in G.up.values()] == [2, 1, 2, 1, 2, 1]
    squeezed = {side: gate.squeeze.in_channels for side, gate in G.excitations.items()}
    assert squeezed == {"64": 1024, "128": 512, "256": 256}
    assert {side: gate.squeeze.in_channels for side, gate in D.excitations.items()} == {"32": 32, "16": 64, "8": 128}


@pytest.mark.parametrize("resolution", [32, 64, 128, 512])
def test_pictures_and_judgements_of_the_sizes_asked_for(resolution: int) -> None:
    config = FastGANConfig(resolution=resolution, **TINY)
    G, D = FastGANGenerator(config).eval(), FastGANDiscriminator(config)
    pictures = G.generate(torch.randn(2, 8))
    assert pictures.shape == (2, 1, resolution, resolution) and pictures.abs().max() <= 1
    logits, middle, last, small = D.look(pictures, None, torch.float32)
    assert logits.shape == (2, 50) and (middle.shape[2], last.shape[2], small.shape[2]) == (16, 8, 8)
    made = D.redraw(middle, last, small, (1, 0))
    side = min(resolution, 128)
    assert made.whole.shape == made.small.shape == made.part.shape == (2, 1, side, side)


def test_a_quarter_is_redrawn_from_its_own_features() -> None:
    D = FastGANDiscriminator(FastGANConfig(resolution=32, **TINY)).eval()
    middle, rest = torch.zeros(1, 32, 16, 16), torch.zeros(1, 64, 8, 8)
    middle[:, :, 8:, :8] = torch.randn(1, 32, 8, 8)
    parts = {q: D.redraw(middle, rest, rest, q).part for q in ((0, 0), (0, 1), (1, 0), (1, 1))}
    assert torch.equal(parts[0, 0], parts[0, 1]) and torch.equal(parts[0, 0], parts[1, 1])
    assert not torch.equal(parts[0, 0], parts[1, 0])


def test_excitation_scales_channels_alike_everywhere() -> None:
    torch.manual_seed(0)
    gate, small = Excitation(3, 5), torch.randn(2, 3, 8, 8)
    ones = gate(small, torch.ones(2, 5, 32, 32))
    assert torch.equal(ones, ones[:, :, :1, :1].expand_as(ones)) and 0 < ones.min() and ones.max() < 1
    assert torch.allclose(gate(small, torch.full([2, 5, 4, 4], 3.0)), 3 * ones[:, :, :4, :4])
    assert not torch.equal(ones[0], ones[1])


def test_the_authors_largest_side_is_not_excited_and_smaller_pictures_have_no_tanh(G: FastGANGenerator) -> None:
    with torch.device("meta"):
        authors = FastGANGenerator(FastGANConfig(resolution=1024, last_excited=512, **TINY))
    assert list(authors.excitations) == ["64", "128", "256", "512"]
    plain = FastGANGenerator(G.config.replace(tanh=False)).eval()
    plain.load_state_dict(G.state_dict())
    z = 9 * torch.randn(2, 8)
    assert torch.equal(plain.generate(z).tanh(), G.generate(z)) and not torch.equal(plain.generate(z), G.generate(z))


def test_other_noise_is_refused(G: FastGANGenerator) -> None:
    with pytest.raises(SettingError, match="noise='loud' is not one of const, random, none"):
        G.synthesis(torch.zeros(1, 1, 8), "loud")


def test_z_is_its_style(G: FastGANGenerator) -> None:
    z = torch.randn(2, 8)
    assert isinstance(G, StyleGenerator)
    assert torch.equal(G.generate(z, psi=0.5), G.generate(z / 2))
    assert not torch.equal(G.generate(z)[0], G.generate(z)[1])


def test_classes() -> None:
    config = FastGANConfig(resolution=32, classes=2, **TINY)
    G, D = FastGANGenerator(config).eval(), FastGANDiscriminator(config).eval()
    pictures = G.generate(torch.randn(1, 8).expand(2, -1), torch.eye(2))
    assert not torch.equal(pictures[0], pictures[1])
    same = pictures[:1].expand(2, -1, -1, -1)
    difference = D(same, torch.eye(2)).diff(dim=0)
    assert difference.abs().min() > 0
    assert torch.allclose(difference, difference[:, :1].expand_as(difference), atol=1e-6)
