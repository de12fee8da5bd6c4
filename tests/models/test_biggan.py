import math

import pytest
import torch

from studio.errors import SettingError
from studio.models.biggan import BigGANConfig, BigGANGenerator, FixedNorm

TINY = dict(resolution=16, classes=3, z_dim=8, width=8, widths=(4, 4, 2, 2, 1), attention=2, measured=3)


@pytest.fixture(scope="module")
def G() -> BigGANGenerator:
    torch.manual_seed(0)
    G = BigGANGenerator(BigGANConfig(**TINY)).eval().requires_grad_(False)
    for module in G.modules():
        if hasattr(module, "mean"):
            module.mean.copy_(torch.randn_like(module.mean))
    return G


def test_the_papers_networks() -> None:
    """Table 7 to 9: 16, 8, 4, 2 and 1 times 128 feature maps; 50.4, 55.9 and 56.2 million weights as published."""
    widths = {128: (16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1), 256: (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1)}
    widths[512] = (*widths[256], 1, 1)
    for resolution, millions in ((128, 50.4), (256, 55.9), (512, 56.2)):
        config = BigGANConfig(resolution=resolution, widths=widths[resolution])
        with torch.device("meta"):
            G = BigGANGenerator(config)
        spare = 125 * (128 * 9 + 1)  # of the published last layers, which make 128 channels of which 3 are shown
        assert (sum(p.numel() for p in G.parameters()) + spare) / 1e6 == pytest.approx(millions, abs=0.06)


def test_noise_is_squeezed_between_two_deviations(G: BigGANGenerator) -> None:
    torch.manual_seed(0)
    z = torch.randn(50_000, 8)
    squeezed = G.mapping(z, torch.eye(3)[:1].expand(len(z), -1))[:, 0, :8]
    assert squeezed.abs().max() < 2
    inside = math.erf(math.sqrt(2))
    variance = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / inside  # of a normal variable between -2 and 2
    assert squeezed.var().item() == pytest.approx(variance, abs=0.005)
    assert ((squeezed > 0) == (z > 0)).all()


def test_truncation_leaves_the_class(G: BigGANGenerator) -> None:
    """Where z is 0 all truncations measured alike give the same picture."""
    c, z = torch.eye(3)[1:2], torch.zeros(1, 8)
    kept = {name: buffer.clone() for name, buffer in G.named_buffers() if name.endswith(".mean")}
    for name, buffer in G.named_buffers():
        if name in kept:
            buffer.copy_(buffer[:1].expand_as(buffer))
    pictures = [G.generate(z, c, psi) for psi in (1.0, 0.3, -0.5, 1.8)]
    for name, buffer in G.named_buffers():
        if name in kept:
            buffer.copy_(kept[name])
    assert all(torch.allclose(picture, pictures[0], atol=1e-5) for picture in pictures)
    assert not torch.allclose(pictures[0], G.generate(z, torch.eye(3)[:1]), atol=1e-2)
    assert G.generate(z, c, 0.0).isfinite().all()


def test_what_was_measured_is_interpolated_towards_the_nearer() -> None:
    norm, x = FixedNorm(1, 3), torch.zeros(5, 1, 1, 1)
    norm.mean.copy_(torch.tensor([[0.0], [-1.0], [-4.0]]))
    told = type("Told", (), {"truncation": torch.tensor([0.0, 0.125, 0.5, 0.75, 7.0])})
    with torch.no_grad():
        assert torch.allclose(norm(x, told).flatten(), torch.tensor([0.0, 0.25, 1.0, 2.5, 4.0]), atol=1e-3)


def test_a_class_is_needed_and_widths_lead_to_the_resolution(G: BigGANGenerator) -> None:
    with pytest.raises(SettingError, match="this model has 3 classes and none was given; choose one"):
        G.generate(torch.zeros(1, 8))
    with pytest.raises(SettingError, match="widths has 5 values, and 32 px need 7; give so many"):
        BigGANConfig(**{**TINY, "resolution": 32})
    with pytest.raises(SettingError, match="widths=1,2,1,1,1 grow; give ones that do not"):
        BigGANConfig(**{**TINY, "widths": (1, 2, 1, 1, 1)})
