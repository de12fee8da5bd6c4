import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.checkpoint import load_network, read_info
from studio.errors import CheckpointError
from studio.formats import convert, recognise
from tests.formats.nvidia_files import tree, write_pickle
from tests.formats.reference import mapping

W, Z, LAYERS, RESOLUTION, MARGIN = 5, 7, 4, 16, 4
GIVEN = {"num_critical": 1, "margin_size": MARGIN, "channel_base": 64, "channel_max": 6, "conv_clamp": 1.5}
# What the settings above come to, by hand: cutoff (2, 8 in even steps), stop band, rate, size, maps
CUTOFFS = [2 * 4 ** (min(i, 3) / 3) for i in range(5)]
STOPS = [2**2.1 * (8 * 2**0.3 / 2**2.1) ** (min(i, 3) / 3) for i in range(5)]
RATES, SIZES, WIDTHS = [16] * 5, [24, 24, 24, 16, 16], [6, 6, 6, 4, 3]


def kaiser(taps: int, width: float, rate: float) -> Tensor:
    ripple = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    beta = 0.1102 * (ripple - 8.7) if ripple > 50 else 0.5842 * (ripple - 21) ** 0.4 + 0.07886 * (ripple - 21)
    return torch.from_numpy(np.kaiser(taps, beta if ripple > 21 else 0.0))


def low_pass(cutoff: float, half_width: float, rate: int, radial: bool = False) -> Tensor:
    at, window = (torch.arange(12).double() - 5.5) / rate, kaiser(12, 2 * half_width, rate)
    if not radial:
        kernel = 2 * cutoff * torch.sinc(2 * cutoff * at) * window
    else:
        r = torch.hypot(at[:, None], at[None, :])
        kernel = torch.special.bessel_j1(2 * math.pi * cutoff * r) / r * window[:, None] * window
    return (kernel / kernel.sum()).float()


def weights(kernel: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    r = torch.randn
    found = {"mapping.w_avg": r(W)}
    for i, fan_in in enumerate((Z, W)):
        found |= {f"mapping.fc{i}.weight": 100 * r(W, fan_in), f"mapping.fc{i}.bias": 50 * r(W)}
    name = "synthesis.input"
    found |= {f"{name}.weight": r(6, 6), f"{name}.affine.weight": r(4, W), f"{name}.affine.bias": r(4)}
    found |= {f"{name}.freqs": 6 * torch.rand(6, 2) - 3, f"{name}.phases": torch.rand(6)}
    found[f"{name}.transform"] = torch.tensor([[1, 0, 0.1], [0, 1, -0.05], [0, 0, 1]])
    for i in range(5):
        name, before = f"synthesis.L{i}_{SIZES[i]}_{WIDTHS[i]}", WIDTHS[max(i - 1, 0)]
        side = 1 if i == LAYERS else kernel
        found |= {f"{name}.weight": r(WIDTHS[i], before, side, side), f"{name}.bias": r(WIDTHS[i])}
        found |= {f"{name}.affine.weight": r(before, W), f"{name}.affine.bias": 1 + r(before)}
        found[f"{name}.magnitude_ema"] = 0.5 + torch.rand([])
        if i < LAYERS:
            j, halves = max(i - 1, 0), [max(stop, 8) - cut for stop, cut in zip(STOPS, CUTOFFS)]
            found[f"{name}.up_filter"] = low_pass(CUTOFFS[j], halves[j], 32)
            found[f"{name}.down_filter"] = low_pass(CUTOFFS[i], halves[i], 32, radial=kernel == 1 and i < 3)
    return found


def picture(found: dict[str, Tensor], w: Tensor) -> Tensor:
    """One picture from w [W], as the paper has it: sums over sines, zero-stuffed signals, whole filters."""
    p = {k.removeprefix("synthesis."): v.double() for k, v in found.items()}

    def affine(name: str) -> Tensor:
        return p[f"{name}.affine.weight"] / math.sqrt(W) @ w + p[f"{name}.affine.bias"]

    c, s, right, down = affine("input").tolist()
    length = math.hypot(c, s)
    c, s, right, down = c / length, s / length, right / length, down / length
    size = SIZES[0]
    at = (torch.arange(size).double() + 0.5 - size / 2) / RATES[0]
    moved = p["input.transform"]
    y, x = torch.meshgrid(at + moved[1, 2] - down, at + moved[0, 2] - right, indexing="ij")
    x, y = c * x - s * y, s * x + c * y
    fx, fy = p["input.freqs"][:, 0, None, None], p["input.freqs"][:, 1, None, None]
    waves = torch.sin(2 * math.pi * (fx * x + fy * y + p["input.phases"][:, None, None]))
    fade = 1 - (p["input.freqs"].norm(dim=1) - CUTOFFS[0]) / (RATES[0] / 2 - CUTOFFS[0])
    waves = waves * fade.clamp(0, 1)[:, None, None]
    x = torch.einsum("oi,ihw->ohw", p["input.weight"] / math.sqrt(6), waves)
    for i in range(LAYERS):
        name = f"L{i}_{SIZES[i]}_{WIDTHS[i]}"
        styles, weight = affine(name), p[f"{name}.weight"]
        weight = weight / weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        weight = weight * (styles / styles.square().mean().sqrt())[None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        side = weight.shape[-1]
        x = F.conv2d(x[None], weight / p[f"{name}.magnitude_ema"].sqrt(), padding=side - 1)
        x = x + p[f"{name}.bias"][:, None, None]
        stuffed = torch.zeros(1, x.shape[1], 2 * x.shape[2], 2 * x.shape[3]).double()
        stuffed[:, :, ::2, ::2] = x
        up, down_ = p[f"{name}.up_filter"], p[f"{name}.down_filter"]
        down_ = down_ if down_.dim() == 2 else down_[:, None] * down_
        short = 2 * SIZES[i] - 1 + 22 - stuffed.shape[2]  # of what both filters take away
        before = (short + 2) // 2
        padded = F.pad(stuffed, (before, short - before) * 2)
        maps = x.shape[1]
        x = F.conv2d(padded, (4 * up[:, None] * up).expand(maps, 1, 12, 12), groups=maps)
        x = (F.leaky_relu(x, 0.2) * math.sqrt(2)).clamp(-1.5, 1.5)
        x = F.conv2d(x, down_.expand(maps, 1, 12, 12), groups=maps)[0, :, ::2, ::2]
    name = f"L{LAYERS}_{RESOLUTION}_3"
    weight = p[f"{name}.weight"] * affine(name)[None, :, None, None] / math.sqrt(WIDTHS[3])
    x = F.conv2d(x[None], weight / p[f"{name}.magnitude_ema"].sqrt())[0] + p[f"{name}.bias"][:, None, None]
    return x.clamp(-1.5, 1.5) / 4


def saved(folder: Path, patch: pytest.MonkeyPatch, found: dict[str, Tensor], **given: object) -> Path:
    said = {"": {"_init_args": (), "_init_kwargs": {"z_dim": Z, "w_dim": W, **GIVEN, **given}}}
    return write_pickle(folder / "network.pkl", tree(found, said), patch)


@pytest.mark.parametrize("kernel", [3, 1])
def test_the_imported_model_draws_what_the_paper_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: int
) -> None:
    """Configurations T and R."""
    found = weights(kernel)
    path = saved(tmp_path, monkeypatch, found, conv_kernel=kernel, use_radial_filters=kernel == 1)
    assert recognise(path) == "stylegan3"
    G, z = load_network(convert(path, tmp_path / "out")), torch.randn(2, Z)
    fcs = [(found[f"mapping.fc{i}.weight"], found[f"mapping.fc{i}.bias"] * 0.01) for i in range(2)]
    ws = mapping([(a * 0.01 / math.sqrt(a.shape[1]), b) for a, b in fcs], z)
    for psi in (1.0, 0.6):
        made = G.generate(z, psi=psi)
        expected = [picture(found, found["mapping.w_avg"] + psi * (w - found["mapping.w_avg"])) for w in ws]
        assert made.std() > 0.05 and torch.allclose(made, torch.stack(expected).float(), atol=1e-4)
    info = read_info(tmp_path / "out")
    assert (info.model, info.config["kernel"], info.config["radial"]) == ("stylegan3", kernel, kernel == 1)
    assert "non-commercial" in info.licence


def test_settings_that_the_filters_belie_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, monkeypatch, weights(3), last_stopband_rel=1.1)
    with pytest.raises(CheckpointError, match="filters are of other settings than it says"):
        convert(path, tmp_path / "out")


def test_giant_settings_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, monkeypatch, weights(3), channel_base=262_144, channel_max=4096)
    with pytest.raises(CheckpointError, match="does not fit the kind|other settings"):
        convert(path, tmp_path / "out")
