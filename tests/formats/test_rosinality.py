import argparse
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from studio.checkpoint import load_network, read_info
from studio.errors import CheckpointError
from studio.formats import convert, recognise
from tests.formats.reference import TAPS, Layer, mapping, stylegan2

W = 5
WIDTHS = (6, 6, 4)  # at 4, 8 and 16 px


def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    r = torch.randn
    found = {"input.input": r(1, 6, 4, 4)}
    for i in (1, 2, 3):
        found |= {f"style.{i}.weight": 100 * r(W, W), f"style.{i}.bias": 50 * r(W)}

    def modulated(name: str, fan_in: int, fan_out: int, kernel: int) -> None:
        found[f"{name}.conv.weight"] = r(1, fan_out, fan_in, kernel, kernel)
        found[f"{name}.conv.modulation.weight"] = r(fan_in, W)
        found[f"{name}.conv.modulation.bias"] = 1 + r(fan_in)

    pairs = [(6, 6), (6, 6), (6, 6), (6, 4), (4, 4)]
    for i, (fan_in, fan_out) in enumerate(pairs):
        name = f"convs.{i - 1}" if i else "conv1"
        modulated(name, fan_in, fan_out, 3)
        found |= {f"{name}.noise.weight": r(1), f"{name}.activate.bias": r(fan_out)}
        side = 4 << (i + 1) // 2
        found[f"noises.noise_{i}"] = r(1, 1, side, side)
        if i % 2:
            found[f"{name}.conv.blur.kernel"] = (4 * TAPS[:, None] * TAPS).float()
    for i, width in enumerate(WIDTHS):
        name = f"to_rgbs.{i - 1}" if i else "to_rgb1"
        modulated(name, width, 3, 1)
        found[f"{name}.bias"] = r(1, 3, 1, 1)
        if i:
            found[f"{name}.upsample.kernel"] = (4 * TAPS[:, None] * TAPS).float()
    return found


def expected(found: dict[str, Tensor], z: Tensor, mean: Tensor, psi: float) -> Tensor:
    def layer(name: str, noise: int | None = None) -> Layer:
        weight = found[f"{name}.conv.weight"][0]
        weight = weight / math.sqrt(weight.shape[1] * weight.shape[2] ** 2)
        bias = found[f"{name}.bias"].flatten() if noise is None else found[f"{name}.activate.bias"]
        grain = 0.0 if noise is None else found[f"{name}.noise.weight"] * found[f"noises.noise_{noise}"][0, 0]
        affine = found[f"{name}.conv.modulation.weight"] / math.sqrt(W)
        return Layer(affine, found[f"{name}.conv.modulation.bias"], weight, bias, grain)

    fcs = [(found[f"style.{i}.weight"] * 0.01 / math.sqrt(W), found[f"style.{i}.bias"] * 0.01) for i in (1, 2, 3)]
    ws = mean + psi * (mapping(fcs, z) - mean)
    layers = [layer("conv1", 0), *(layer(f"convs.{i}", i + 1) for i in range(4))]
    pictures = [layer("to_rgb1"), layer("to_rgbs.0"), layer("to_rgbs.1")]
    return torch.stack([stylegan2(found["input.input"][0], layers, pictures, w) for w in ws]).float()


@pytest.mark.parametrize("old", [False, True])
def test_the_imported_model_draws_what_the_paper_says(tmp_path: Path, old: bool) -> None:
    """Also in torch's format from before 1.6; beside the discriminator, optimisers and the trainer's arguments."""
    found, mean = weights(), torch.randn(W)
    value = {"g_ema": found, "latent_avg": mean, "d": {"x": torch.ones(2)}, "args": argparse.Namespace(size=16)}
    state = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    value["g_optim"] = state
    torch.save(value, tmp_path / "540000.pt", _use_new_zipfile_serialization=not old)
    assert recognise(tmp_path / "540000.pt") == "rosinality"
    G = load_network(convert(tmp_path / "540000.pt", tmp_path / "out"))
    z = torch.randn(2, W)
    for psi in (1.0, 0.6):
        made = G.generate(z, psi=psi)
        assert made.std() > 0.1 and torch.allclose(made, expected(found, z, mean, psi), atol=1e-4, rtol=1e-4)
    config = read_info(tmp_path / "out").config
    assert (config["resolution"], config["mapping_layers"], config["channels"]) == (16, 3, 3)


def test_a_mean_style_is_measured_where_there_is_none(tmp_path: Path) -> None:
    torch.save({"g": weights()}, tmp_path / "a.pt")
    G = load_network(convert(tmp_path / "a.pt", tmp_path / "out"))
    w = G.mapping(torch.randn(4000, W))[:, 0]
    assert torch.allclose(G.w_avg, w.mean(dim=0), atol=6 * w.std().item() / math.sqrt(4000))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    changes = {"convs.1.conv.blur.kernel": torch.ones(4, 4), "convs.9.more": torch.ones(1)}
    for key, sentence in zip(changes, ("another filter than 1-3-3-1", "has convs.9.more")):
        torch.save({"g_ema": {**weights(), key: changes[key]}}, tmp_path / "a.pt")
        with pytest.raises(CheckpointError, match=sentence):
            convert(tmp_path / "a.pt", tmp_path / "out")
