from pathlib import Path

import pytest
import torch
from torch import nn

from studio.errors import CheckpointError
from studio.formats import convert
from tests.formats.foreign import converted, shaken


def example(z_dim: int = 10, width: int = 4, channels: int = 3, sizes: int = 5, bias: bool = False) -> nn.Sequential:
    layers, inside = [], z_dim
    for i in reversed(range(sizes - 1)):
        stride, padding = (1, 0) if inside == z_dim else (2, 1)
        out = width * 2**i
        layers += [nn.ConvTranspose2d(inside, out, 4, stride, padding, bias=bias), nn.BatchNorm2d(out), nn.ReLU()]
        inside = width * 2**i
    return nn.Sequential(*layers, nn.ConvTranspose2d(inside, channels, 4, 2, 1, bias=bias), nn.Tanh())


@pytest.mark.parametrize("prefix", ["main", "model"])
@pytest.mark.parametrize("bias", [False, True])
def test_pictures_are_those_of_the_example(prefix: str, bias: bool, tmp_path: Path) -> None:
    theirs = shaken(nn.Sequential(*example(bias=bias)))
    state = {f"{prefix}.{name}": tensor for name, tensor in theirs.state_dict().items()}
    G = converted(state, tmp_path, "netG.pth", "dcgan")
    z = torch.randn(3, 10)
    assert (G.resolution, G.channels, G.config.width) == (64, 3, 4)
    assert torch.allclose(G.generate(z), theirs(z[:, :, None, None]), atol=1e-5)


def test_of_two_networks_the_generator_is_taken(tmp_path: Path) -> None:
    theirs = shaken(example(channels=1, sizes=4))
    D = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 1, 4))
    named = lambda network: {f"module.main.{name}": tensor for name, tensor in network.state_dict().items()}
    G = converted({"epoch": 3, "netD": named(D), "netG": named(theirs)}, tmp_path, "both.pth", "dcgan")
    z = torch.randn(2, 10)
    assert G.resolution == 32 and torch.allclose(G.generate(z), theirs(z[:, :, None, None]), atol=1e-5)


def test_another_shape_is_refused_with_its_figures(tmp_path: Path) -> None:
    layers = example()
    layers[6] = nn.ConvTranspose2d(16, 12, 4, 2, 1, bias=False)
    layers[7], layers[9] = nn.BatchNorm2d(12), nn.ConvTranspose2d(12, 4, 4, 2, 1, bias=False)
    torch.save({f"main.{name}": tensor for name, tensor in layers.state_dict().items()}, tmp_path / "odd.pth")
    said = "odd.pth has 32, 16, 12, 4 feature maps and 4 normalisations; a DCGAN has 32, 16, 8, 4"
    with pytest.raises(CheckpointError, match=said):
        convert(tmp_path / "odd.pth", tmp_path / "out")
