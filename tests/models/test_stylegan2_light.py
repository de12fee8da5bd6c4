import pytest
import torch

from studio.capabilities import StyleGenerator
from studio.models.stylegan2_light import LightStyleGAN2Config, LightStyleGAN2Generator

TINY = dict(resolution=16, w_dim=8, mapping_layers=2, mapping_rate=1.0, capacity=2)


def test_feature_maps_double_at_each_halving_up_to_a_limit() -> None:
    config = LightStyleGAN2Config(resolution=128)
    assert dict(zip(config.sides, config.widths)) == {4: 512, 8: 512, 16: 256, 32: 128, 64: 64, 128: 32}


@pytest.mark.parametrize("changes", [{}, {"attention": (8,)}, {"constant": False}, {"transparent": True}])
def test_pictures_and_a_step_that_moves_every_weight(changes: dict[str, object]) -> None:
    torch.manual_seed(0)
    G = LightStyleGAN2Generator(LightStyleGAN2Config(**TINY, **changes))
    assert isinstance(G, StyleGenerator) and G.num_ws == 3
    pictures = G.generate(torch.randn(2, 8))
    assert pictures.shape == (2, 3, 16, 16)
    (pictures * torch.randn(2, 3, 16, 16)).sum().backward()
    assert [name for name, p in G.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_each_style_draws_its_own_side_and_grain_is_weighed() -> None:
    torch.manual_seed(0)
    G = LightStyleGAN2Generator(LightStyleGAN2Config(**TINY)).eval().requires_grad_(False)
    ws = G.mapping(torch.randn(1, 8))
    changed = [G.synthesis(torch.where(torch.arange(3).view(1, 3, 1) == i, ws + 1, ws)) for i in range(3)]
    assert all(not torch.allclose(picture, G.synthesis(ws), atol=1e-3) for picture in changed)
    kinds = ("const", "random", "none")
    assert torch.allclose(G.synthesis(ws, "random"), G.synthesis(ws, "none"))  # of no strength yet
    for block in G.blocks:
        for layer in block.layers:
            layer.strength.fill_(1.0)
    one, other, none = (G.synthesis(ws, kind) for kind in kinds)
    assert not torch.allclose(one, other, atol=1e-2) and not torch.allclose(one, none, atol=1e-2)
    assert torch.equal(one, G.synthesis(ws))
    # grain 0.5 everywhere is a shift by half its strength
    for block in G.blocks:
        for layer in block.layers:
            layer.strength.fill_(0.0), layer.bias.add_(0.5)
    assert torch.allclose(G.synthesis(ws), none, atol=1e-5)
