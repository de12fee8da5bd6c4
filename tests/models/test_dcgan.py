import pytest
import torch

from studio.capabilities import StyleGenerator
from studio.errors import SettingError
from studio.models.dcgan import DCGANConfig, DCGANDiscriminator, DCGANGenerator


def test_the_papers_network_at_64_px() -> None:
    """Figure 1: 1024, 512, 256 and 128 maps at 4, 8, 16 and 32 px (width 128); 3,576,704 weights at width 64."""
    config = DCGANConfig(width=128)
    assert config.widths == [1024, 512, 256, 128]
    G = DCGANGenerator(DCGANConfig(channels=3))
    weights = sum(p.numel() for p in G.parameters())
    assert weights == 3_576_704 + 3  # PyTorch's example, and the bias of our last layer
    D = DCGANDiscriminator(DCGANConfig(channels=3))
    assert sum(p.numel() for p in D.parameters()) == 2_765_568 + 64 + 1  # likewise, with the first and last bias


def test_weights_start_as_in_the_paper() -> None:
    torch.manual_seed(0)
    G = DCGANGenerator(DCGANConfig())
    assert G.up[0].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert G.norms[0].weight.mean().item() == pytest.approx(1.0, abs=0.01) and (G.norms[0].bias == 0).all()


@pytest.mark.parametrize(("resolution", "channels"), [(16, 1), (32, 3), (64, 3), (128, 1)])
def test_pictures_of_the_size_asked_for(resolution: int, channels: int) -> None:
    config = DCGANConfig(resolution=resolution, channels=channels, z_dim=8, width=2)
    G, D = DCGANGenerator(config).eval(), DCGANDiscriminator(config)
    pictures = G.generate(torch.randn(3, 8) * 100)
    assert pictures.shape == (3, channels, resolution, resolution) and pictures.abs().max() <= 1
    assert D(pictures).shape == (3,)


def test_z_is_its_style_and_truncation_ends_at_the_mean() -> None:
    G = DCGANGenerator(DCGANConfig(resolution=16, channels=1, z_dim=8, width=2)).eval()
    z = torch.randn(2, 8)
    assert isinstance(G, StyleGenerator) and (G.num_ws, G.w_dim) == (1, 8)
    assert torch.equal(G.mapping(z)[:, 0], z)
    assert torch.equal(G.generate(z, psi=0.0), G.generate(torch.zeros(2, 8)))
    assert torch.equal(G.generate(z, psi=0.5), G.generate(z / 2))
    assert not torch.equal(G.generate(z)[0], G.generate(z)[1])


def test_a_class_changes_the_picture_and_the_judgement() -> None:
    config = DCGANConfig(resolution=16, channels=1, z_dim=8, width=2, classes=3)
    G, D = DCGANGenerator(config).eval(), DCGANDiscriminator(config)
    z, c = torch.randn(1, 8).expand(3, -1), torch.eye(3)
    pictures = G.generate(z, c)
    assert not torch.equal(pictures[0], pictures[1]) and not torch.equal(pictures[1], pictures[2])
    # at the mean all classes are as likely as one another
    assert torch.allclose(G.generate(z, c, psi=0.0), G.generate(z, c.flip(0), psi=0.0))
    same = pictures[:1].expand(3, -1, -1, -1)
    assert len(set(D(same, c).tolist())) == 3
    with pytest.raises(SettingError, match="this model has 3 classes and none was given; choose one"):
        G.generate(z)
