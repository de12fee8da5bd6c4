"""Both programs that write FastGANs."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from studio.errors import CheckpointError
from studio.formats import convert
from studio.formats._carry import put_together
from studio.models.fastgan import FastGANGenerator
from tests.formats.foreign import FastGAN, Noise, converted, shaken


@pytest.fixture(scope="module")
def authors() -> FastGAN:
    return shaken(FastGAN("authors", 256, width=8, z_dim=12))


def give_noise(theirs: FastGAN, ours: FastGANGenerator) -> None:
    """Theirs adds the noise that is constant in ours."""
    grains = [layer.grain for block in ours.up.values() for layer in block.layers if len(block.layers) == 2]
    noises = [module for module in theirs.modules() if isinstance(module, Noise)]
    assert len(grains) == len(noises) > 0
    for noise, grain in zip(noises, grains):
        noise.given = grain.const


def difference(theirs: FastGAN, ours: FastGANGenerator, z: Tensor) -> float:
    give_noise(theirs, ours)
    return (theirs(z) - ours.generate(z)).abs().max().item()


def test_pictures_are_those_of_the_authors_program(authors: FastGAN, tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in authors.state_dict().items()}
    G = converted({"g": state, "d": {"x": torch.zeros(2)}}, tmp_path, "5000.pth", "fastgan")
    assert (G.resolution, G.z_dim, G.config.width, G.config.tanh) == (256, 12, 8, False)
    assert difference(authors, G, torch.randn(2, 12)) < 1e-4


def test_a_moving_average_without_names_is_taken(authors: FastGAN, tmp_path: Path) -> None:
    average = [2 * tensor for tensor in authors.parameters()]
    G = converted({"g": authors.state_dict(), "d": {}, "g_ema": average}, tmp_path, "all_5000.pth", "fastgan")
    twice = FastGAN("authors", 256, width=8, z_dim=12).eval().requires_grad_(False)
    twice.load_state_dict({**authors.state_dict(), **{n: 2 * p for n, p in authors.named_parameters()}})
    assert difference(twice, G, torch.randn(1, 12)) < 1e-4
    torch.save({"g": authors.state_dict(), "g_ema": average[1:]}, tmp_path / "all_1.pth")
    with pytest.raises(CheckpointError, match=r"average of \d+ weights, and they do not fit the \d+ of its"):
        convert(tmp_path / "all_1.pth", tmp_path / "other")


def test_pictures_are_those_of_huggans_program(tmp_path: Path) -> None:
    theirs = shaken(FastGAN("silentz", 1024, width=8, z_dim=12))
    G = converted(theirs.state_dict(), tmp_path, "pytorch_model.bin", "huggan_fastgan")
    assert (G.resolution, G.config.last_excited, G.config.tanh) == (1024, 512, True)
    assert difference(theirs, G, torch.randn(1, 12)) < 1e-4


def test_what_is_missing_and_what_is_too_much_is_named(authors: FastGAN, tmp_path: Path) -> None:
    state = dict(authors.state_dict())
    norm = state.pop("feat_16.2.running_var")
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(CheckpointError, match="less.pth lacks feat_16.2.running_var; get it again"):
        convert(tmp_path / "less.pth", tmp_path / "out")
    torch.save({**state, "feat_16.2.running_var": norm, "extra.weight": torch.ones(1)}, tmp_path / "more.pth")
    with pytest.raises(CheckpointError, match=r"more.pth has 1 weights that are unknown here \(extra.weight\)"):
        convert(tmp_path / "more.pth", tmp_path / "out")


def test_normed_weights_are_divided_by_their_largest_singular_value() -> None:
    for make in (nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm):
        layer, up = make(nn.Conv2d(4, 6, 3)).train(), make(nn.ConvTranspose2d(5, 5, 3), dim=1).train()
        for _ in range(100):
            layer(torch.zeros(1, 4, 3, 3)), up(torch.zeros(1, 5, 3, 3))
        state = {f"{name}.{key}": t for name, l in (("a", layer), ("b", up)) for key, t in l.state_dict().items()}
        made = put_together(state, transposed=["b"])
        assert set(made) == {"a.weight", "a.bias", "b.weight", "b.bias"}
        for weight in (made["a.weight"].flatten(1), made["b.weight"].transpose(0, 1).flatten(1)):
            assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-4)
