import pytest
import torch

from studio.capabilities import StyleGenerator
from studio.errors import SettingError
from studio.models.lightweight_gan import LightweightGANConfig, LightweightGANGenerator

TINY = dict(resolution=16, z_dim=8, widths=(8, 4))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"upsampling": "repeat", "kernel": 3, "grain": False}, {"blur": True, "attention": (4, 8)},
        {"transparent": True},
    ],
)
def test_pictures_and_a_step_that_moves_every_weight(changes: dict[str, object]) -> None:
    torch.manual_seed(0)
    G = LightweightGANGenerator(LightweightGANConfig(**TINY, **changes))
    assert isinstance(G, StyleGenerator) and G.num_ws == 1
    pictures = G.generate(torch.randn(2, 8))
    assert pictures.shape == (2, 3, 16, 16)
    (pictures * torch.randn(2, 3, 16, 16)).sum().backward()
    still = [name for name, p in G.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a bias before batch normalisation is taken away again
    assert [name for name in still if not name.endswith(("conv.bias", "start.bias"))] == []


def test_large_features_are_excited_by_those_of_an_eighth() -> None:
    config = LightweightGANConfig(resolution=256, z_dim=8, widths=(9, 8, 7, 6, 5, 4))
    with torch.device("meta"):
        G = LightweightGANGenerator(config)
    assert {name: (e.squeeze.in_channels, e.excite.out_channels) for name, e in G.excitations.items()} == {
        "128": (8, 5), "256": (7, 4),
    }


def test_what_does_not_go_together_is_refused() -> None:
    said = "widths=8,4 are 2, and 64 px need 4; give one for each doubling from 4 px"
    with pytest.raises(SettingError, match=said):
        LightweightGANConfig(resolution=64, widths=(8, 4))
    with pytest.raises(SettingError, match="transparent pictures have 3 colour channels, not 1; give 3"):
        LightweightGANConfig(**TINY, channels=1, transparent=True)
