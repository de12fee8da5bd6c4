import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.peers import PeerMissing, load
from studio.errors import CheckpointError
from studio.formats import convert
from studio.models.lightweight_gan import cosines
from tests.formats.foreign import Noise, converted, shaken
from tests.formats.lucidrains import LightweightGAN

WIDTHS = [8, 7, 6, 5, 4]


def saved(theirs: nn.Module) -> dict[str, object]:
    """As the program saves it: the network in training too, and a discriminator twice over."""
    state = {f"GE.{name}": tensor for name, tensor in theirs.state_dict().items()}
    worse = {f"G.{name}": tensor for name, tensor in shaken(copy.deepcopy(theirs), seed=9).state_dict().items()}
    return {"GAN": {**worse, "D.x": torch.ones(1), **state, "D_aug.D.x": torch.ones(1)}, "version": "1.2.1"}


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        ("1.2", (True, "shuffle", 4, True, True)),
        ("1.0", (True, "narrow", 4, True, True)),
        ("0.21", (True, "bilinear", 3, True, False)),
        ("0.20", (False, "repeat", 3, False, False)),
    ],
)
def test_pictures_are_those_of_the_programs(version: str, settings: tuple[object, ...], tmp_path: Path) -> None:
    theirs = shaken(LightweightGAN(version, 6, WIDTHS, attend=8))
    G = converted(saved(theirs), tmp_path, "model_7.pt", "lightweight_gan")
    assert (G.config.attend_near, G.config.upsampling, G.config.kernel, G.config.grain, G.config.blur) == settings
    for noise, grow in zip([m for m in theirs.modules() if isinstance(m, Noise)], G.up.values()):
        noise.given = grow.grain.const
    z = torch.randn(2, 6)
    assert torch.allclose(G.generate(z), theirs(z) * 2 - 1, atol=1e-4)


def test_transparent_pictures_stand_on_white(tmp_path: Path) -> None:
    theirs = shaken(LightweightGAN("0.20", 6, WIDTHS, channels=4))
    G = converted(saved(theirs), tmp_path, "model_7.pt", "lightweight_gan")
    z = torch.randn(1, 6)
    colours, alpha = theirs(z).clamp(0, 1).split([3, 1], dim=1)
    assert torch.allclose(G.generate(z), (colours * alpha + 1 - alpha) * 2 - 1, atol=1e-4)


def test_waves_are_of_unit_length_and_at_right_angles() -> None:
    waves = cosines(37, 16).flatten(1)
    assert torch.equal(waves[0], waves[1]) and (waves[32:] == 0).all()
    products = waves[:32:2] @ waves[:32:2].T
    assert torch.equal(waves[0], waves[16])  # neither across nor down
    products[0, 8] = products[8, 0] = 0
    assert torch.allclose(products, torch.eye(16), atol=1e-5)
    first = cosines(16, 4)[1]
    assert torch.allclose(first, first[:1].expand(4, 4)) and first[0, 0] > first[0, 1] > 0 > first[0, 2]


def test_older_versions_are_named(tmp_path: Path) -> None:
    state = saved(LightweightGAN("0.20", 6, WIDTHS))
    del state["GAN"]["GE.layers.1.1.to_k.weight"]
    torch.save(state, tmp_path / "model_1.pt")
    with pytest.raises(CheckpointError, match="model_1.pt was written by lightweight-gan before 0.15; give one"):
        convert(tmp_path / "model_1.pt", tmp_path / "out")


@pytest.mark.parametrize("frequency", [False, True])
@pytest.mark.parametrize("antialias", [False, True])
def test_pictures_are_those_of_the_package(
    frequency: bool, antialias: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        package = load("lightweight_gan")
    except PeerMissing as missing:
        pytest.skip(str(missing))
    if not antialias:
        monkeypatch.setattr(package, "Blur", nn.Identity)
    torch.manual_seed(0)
    theirs = package.Generator(
        image_size=128, latent_dim=24, fmap_max=32, fmap_inverse_coef=9, attn_res_layers=[16],
        freq_chan_attn=frequency,
        greyscale=frequency,
    )
    buffers = {name: tensor.clone() for name, tensor in theirs.state_dict().items() if "dct_weights" in name}
    shaken(theirs).load_state_dict(buffers, strict=False)
    G = converted(saved(theirs), tmp_path, "model_7.pt", "lightweight_gan")
    assert G.config.excitation == ("frequency" if frequency else "context") and G.config.blur == antialias
    noises = [module for module in theirs.modules() if isinstance(module, package.Noise)]
    for noise, grow in zip(noises, G.up.values(), strict=True):
        noise.forward = lambda x, noise=noise, grain=grow.grain.const: x + noise.weight * grain
    z = torch.randn(2, 24)
    assert (G.generate(z) - (theirs(z) * 2 - 1)).abs().max() < 1e-4
