import pytest
import torch

from studio.capabilities import StyleGenerator
from studio.models.vae import VAE, VAEConfig

TINY = dict(resolution=16, channels=1, z_dim=8, channel_max=8)


@pytest.mark.parametrize(("resolution", "channels"), [(16, 1), (32, 3), (64, 1)])
def test_pictures_and_codes_of_the_sizes_asked_for(resolution: int, channels: int) -> None:
    G = VAE(VAEConfig(**{**TINY, "resolution": resolution, "channels": channels})).eval()
    pictures = G.generate(torch.randn(3, 8))
    assert pictures.shape == (3, channels, resolution, resolution) and pictures.abs().max() <= 1
    mean, log_variance = G.encode(pictures)
    assert mean.shape == log_variance.shape == (3, 8)


def test_z_is_its_style() -> None:
    G, z = VAE(VAEConfig(**TINY)).eval(), torch.randn(2, 8)
    assert isinstance(G, StyleGenerator)
    assert torch.equal(G.generate(z, psi=0.5), G.generate(z / 2))
    assert not torch.equal(G.generate(z)[0], G.generate(z)[1])


def test_a_picture_does_not_depend_on_its_company() -> None:
    G, z = VAE(VAEConfig(**TINY)), torch.randn(4, 8)
    assert torch.allclose(G.generate(z)[:1], G.generate(z[:1]), atol=1e-6)


def test_a_code_of_anything_stays_finite() -> None:
    G = VAE(VAEConfig(**TINY))
    _, log_variance = G.encode(torch.randn(2, 1, 16, 16) * 1e6)
    assert log_variance.abs().max() <= 10


def test_classes_tell_encoder_and_decoder() -> None:
    G, z = VAE(VAEConfig(**TINY, classes=2)), torch.randn(1, 8).expand(2, -1)
    pictures = G.generate(z, torch.eye(2))
    assert not torch.equal(pictures[0], pictures[1])
    mean, _ = G.encode(pictures[:1].expand(2, -1, -1, -1), torch.eye(2))
    assert not torch.equal(mean[0], mean[1])
