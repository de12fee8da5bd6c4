import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from studio.checkpoint import load_network, read_info
from studio.errors import CheckpointError
from studio.formats import convert, recognise
from tests.formats.nvidia_files import tree, write_pickle
from tests.formats.reference import TAPS, Layer, mapping, stylegan2

WIDTHS = {4: 6, 8: 6, 16: 4}
W, Z, CLASSES = 5, 7, 3


def weights(classes: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    r = torch.randn
    found = {"mapping.w_avg": r(W), "mapping.fc0.bias": 50 * r(W)}
    found["mapping.fc0.weight"] = 100 * r(W, Z + (W if classes else 0))
    found |= {"mapping.fc1.weight": 100 * r(W, W), "mapping.fc1.bias": 50 * r(W), "synthesis.b4.const": r(6, 4, 4)}
    if classes:
        found |= {"mapping.embed.weight": r(W, classes), "mapping.embed.bias": r(W)}
    before = 6
    for side, width in WIDTHS.items():
        block = f"synthesis.b{side}"
        found[f"{block}.resample_filter"] = (TAPS[:, None] * TAPS).float()
        layers = {"conv1": (width, width, 3), "torgb": (3, width, 1)}
        if side > 4:
            layers["conv0"] = (width, before, 3)
        for layer, (fan_out, fan_in, kernel) in layers.items():
            name = f"{block}.{layer}"
            found |= {f"{name}.weight": r(fan_out, fan_in, kernel, kernel), f"{name}.bias": r(fan_out)}
            found |= {f"{name}.affine.weight": r(fan_in, W), f"{name}.affine.bias": 1 + r(fan_in)}
            if layer != "torgb":
                found |= {f"{name}.noise_const": r(side, side), f"{name}.noise_strength": r([])}
        before = width
    return found


def expected(found: dict[str, Tensor], z: Tensor, c: Tensor | None, psi: float, lr_mult: float = 0.01) -> Tensor:
    def layer(name: str) -> Layer:
        p = {k.removeprefix(f"synthesis.{name}."): v for k, v in found.items() if k.startswith(f"synthesis.{name}.")}
        gain = 1 / math.sqrt(p["weight"].shape[1]) if name.endswith("torgb") else 1
        grain = p["noise_const"] * p["noise_strength"] if "noise_const" in p else 0.0
        return Layer(p["affine.weight"] / math.sqrt(W), p["affine.bias"], p["weight"] * gain, p["bias"], grain)

    fcs = [(found[f"mapping.fc{i}.weight"], found[f"mapping.fc{i}.bias"]) for i in range(2)]
    fcs = [(a * lr_mult / math.sqrt(a.shape[1]), b * lr_mult) for a, b in fcs]
    parts = [z]
    if c is not None:
        parts.append(c @ found["mapping.embed.weight"].T / math.sqrt(CLASSES) + found["mapping.embed.bias"])
    ws = found["mapping.w_avg"] + psi * (mapping(fcs, *parts) - found["mapping.w_avg"])
    layers = [layer(name) for name in ("b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1")]
    pictures = [layer(f"b{side}.torgb") for side in WIDTHS]
    return torch.stack([stylegan2(found["synthesis.b4.const"], layers, pictures, w) for w in ws]).float()


def saved(path: Path, patch: pytest.MonkeyPatch, found: dict[str, Tensor], said: dict[str, dict[str, Any]]) -> Path:
    return write_pickle(path / "network.pkl", tree(found, said), patch)


@pytest.mark.parametrize("classes", [0, CLASSES])
def test_the_imported_model_draws_what_the_paper_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    found = weights(classes)
    path = saved(tmp_path, monkeypatch, found, {})
    assert recognise(path) == "stylegan2_ada"
    G = load_network(convert(path, tmp_path / "out"))
    z, c = torch.randn(2, Z), torch.eye(CLASSES)[1:] if classes else None
    for psi in (1.0, 0.6):
        made = G.generate(z, c, psi)
        assert made.std() > 0.1 and torch.allclose(made, expected(found, z, c, psi), atol=1e-4, rtol=1e-4)
    info = read_info(tmp_path / "out")
    assert info.model == "stylegan2" and "non-commercial" in info.licence
    config = {k: info.config[k] for k in ("resolution", "channels", "classes", "z_dim", "w_dim", "mapping_layers")}
    sizes = {"resolution": 16, "channels": 3, "classes": classes, "z_dim": Z, "w_dim": W, "mapping_layers": 2}
    assert config == sizes


def test_what_the_file_says_of_clamping_and_learning_rates_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = weights(0)
    rate = {"bias_gain": 0.02, "weight_gain": 0.02}
    said = {"mapping.fc0": rate, "mapping.fc1": rate, "synthesis.b4.conv1": {"conv_clamp": 1e-3}}
    z = torch.randn(2, Z)
    faster = saved(tmp_path, monkeypatch, found, {"mapping.fc0": rate, "mapping.fc1": rate})
    G = load_network(convert(faster, tmp_path / "a"))
    assert torch.allclose(G.generate(z), expected(found, z, None, 1.0, lr_mult=0.02), atol=1e-4, rtol=1e-4)
    G = load_network(convert(saved(tmp_path, monkeypatch, found, said), tmp_path / "b"))
    blurred = G.generate(z)
    assert blurred.abs().max() <= 4e-3 + 1e-6  # three pictures of at most 1e-3 each, enlarged and added


def test_without_noise_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {k: v for k, v in weights(0).items() if "noise" not in k}
    G, z = load_network(convert(saved(tmp_path, monkeypatch, found, {}), tmp_path / "out")), torch.randn(1, Z)
    assert torch.allclose(G.generate(z), expected(found, z, None, 1.0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "changes, said, sentence",
    [
        ({}, {"synthesis.b8": {"architecture": "resnet"}}, "another architecture than skip"),
        ({}, {"synthesis.b8.conv0": {"activation": "relu"}}, "other units than leaky ReLU"),
        ({"synthesis.b8.resample_filter": torch.ones(4, 4) / 16}, {}, "another filter than 1-3-3-1"),
        ({"synthesis.b8.conv1.weight": torch.ones(6, 6, 1, 1)}, {}, "has synthesis_network.b8.conv1.weight of shape"),
        ({"synthesis.b8.conv1.more": torch.ones(1)}, {}, "has the unknown synthesis_network.b8.conv1.more"),
        ({"synthesis.b4.const": torch.full((6, 4, 4), math.nan)}, {}, "holds values that are not finite"),
    ],
)
def test_what_is_not_known_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, said: dict, sentence: str
) -> None:
    path = saved(tmp_path, monkeypatch, {**weights(0), **changes}, said)
    with pytest.raises(CheckpointError, match="^network.pkl") as error:
        convert(path, tmp_path / "out")
    assert sentence in str(error.value) and not (tmp_path / "out").exists()


def test_tensorflows_are_named(tmp_path: Path) -> None:
    network = b"cdnnlib.tflib.network\nNetwork\n)\x81"
    (tmp_path / "old.pkl").write_bytes(b"\x80\x03" + 3 * network + b"\x87.")
    with pytest.raises(CheckpointError, match="TensorFlow version.*legacy.py"):
        convert(tmp_path / "old.pkl", tmp_path / "out")
