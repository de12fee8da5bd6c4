import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.peers import PeerMissing, load
from studio.formats.stylegan2_pytorch import rate_beside
from tests.formats.foreign import converted, shaken
from tests.formats.lucidrains import StyleGAN2

SETTINGS = dict(side=16, w_dim=6, widths=[16, 8, 4], depth=3)


def saved(mapping: nn.Module, synthesis: nn.Module) -> dict[str, object]:
    """As the program saves it, beside the networks in training, which are nought."""
    parts = {"S": mapping.state_dict(), "G": synthesis.state_dict()}
    named = {f"{part}E.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
    nought = {f"{part}.{name}": 0 * tensor for part, state in parts.items() for name, tensor in state.items()}
    return {"GAN": {**nought, "D_aug.D.x": torch.ones(1), **named}, "version": "1.9.0"}


@pytest.mark.parametrize("changes", [{}, {"attend": 8}, {"const": False}])
def test_pictures_are_those_of_the_program(changes: dict[str, object], tmp_path: Path) -> None:
    theirs = shaken(StyleGAN2(**SETTINGS, **changes))
    (tmp_path / ".config.json").write_text(json.dumps({"image_size": 16, "lr_mlp": 0.7}))
    G = converted(saved(theirs.S, theirs.G), tmp_path, "model_3.pt", "stylegan2_pytorch")
    assert (G.resolution, G.num_ws, G.config.capacity, G.config.mapping_rate) == (16, 3, 2, 0.7)
    ws = G.mapping(torch.randn(2, 6))
    ws = torch.cat([ws[:, :1], 2 * ws[:, 1:]], dim=1)
    assert torch.allclose(G.synthesis(ws), theirs(ws, G.grain.T) * 2 - 1, atol=1e-4)
    assert torch.allclose(G.synthesis(ws, "none"), theirs(ws, torch.full([16, 16], 0.5)) * 2 - 1, atol=1e-4)


def test_styles_are_the_programs_and_their_mean_is_where_truncation_leads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = shaken(StyleGAN2(**SETTINGS))
    (tmp_path / ".config.json").write_text('{"lr_mlp": 1.0}')
    G = converted(saved(theirs.S, theirs.G), tmp_path, "model_3.pt", "stylegan2_pytorch")
    z = torch.randn(20_000, 6)
    styles = theirs.style(z, rate=1.0)
    assert torch.allclose(G.mapping(z)[:, 0], styles, atol=1e-5)
    assert ((G.w_avg - styles.mean(dim=0)).abs() < 0.05 * styles.std(dim=0)).all()
    mean, half = G.generate(z[:2], psi=0.0), G.generate(z[:1], psi=0.5)
    assert torch.allclose(mean[0], mean[1], atol=1e-4) and not torch.allclose(mean[:1], half, atol=1e-2)


def test_transparent_pictures_stand_on_white(tmp_path: Path) -> None:
    theirs = shaken(StyleGAN2(**SETTINGS, colours=4))
    G = converted(saved(theirs.S, theirs.G), tmp_path, "model_3.pt", "stylegan2_pytorch")
    ws = G.mapping(torch.randn(1, 6))
    colours, alpha = theirs(ws, G.grain.T).clamp(0, 1).split([3, 1], dim=1)
    assert torch.allclose(G.synthesis(ws), (colours * alpha + 1 - alpha) * 2 - 1, atol=1e-4)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"lr_mlp": "fast"}', '{"lr_mlp": -1}', '{"lr_mlp": 0}', "[" * 100_000]
)
def test_a_rate_that_cannot_be_read_is_the_usual_one(text: str, tmp_path: Path) -> None:
    (tmp_path / ".config.json").write_text(text)
    assert rate_beside(tmp_path / "model_3.pt") == 0.1


def test_pictures_are_those_of_the_package(tmp_path: Path) -> None:
    try:
        package = load("stylegan2_pytorch")
    except PeerMissing as missing:
        pytest.skip(str(missing))
    S = shaken(package.StyleVectorizer(24, 4, lr_mul=0.1))
    synthesis = shaken(package.Generator(32, 24, network_capacity=3, fmap_max=20, attn_layers=[2]))
    G = converted(saved(S, synthesis), tmp_path, "model_3.pt", "stylegan2_pytorch")
    assert G.config.attention == (16,) and G.config.widths == [20, 20, 12, 6]
    z = torch.randn(2, 24)
    ws = G.mapping(z)
    noise = G.grain.T[None, :, :, None].expand(2, -1, -1, -1)
    assert torch.allclose(ws[:, 0], S(z), atol=1e-5)
    assert (G.synthesis(ws) - (synthesis(ws, noise) * 2 - 1)).abs().max() < 1e-4
