"""BigGAN-deep, against its layers written out one by one."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from studio.capabilities import StyleGenerator
from studio.models.biggan import BigGANGenerator
from tests.formats.foreign import converted, shaken

WIDTH, Z, CLASSES, MEASURED = 8, 4, 3, 51
WIDTHS = (16, 16, 8, 8, 4)  # feature maps, in units of WIDTH / 4; attention stands before the third block


def conv(a: int, b: int, k: int, bias: bool = True) -> nn.Module:
    return spectral_norm(nn.Conv2d(a, b, k, padding=k // 2, bias=bias))


def measured(channels: int, conditional: bool) -> nn.Module:
    layer = nn.Module()
    layer.register_buffer("running_means", torch.zeros(MEASURED, channels))
    layer.register_buffer("running_vars", torch.zeros(MEASURED, channels))
    if conditional:
        layer.scale, layer.offset = (spectral_norm(nn.Linear(2 * Z, channels, bias=False)) for _ in range(2))
    else:
        layer.weight, layer.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
    return layer


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * n // 4 for n in WIDTHS]
        self.embeddings, self.generator = nn.Linear(CLASSES, Z, bias=False), nn.Module()
        G = self.generator
        G.gen_z = spectral_norm(nn.Linear(2 * Z, 16 * widths[0]))
        G.layers = nn.ModuleList()
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            if i == 2:
                attention = nn.Module()
                sizes = {"theta": (a, a // 8), "phi": (a, a // 8), "g": (a, a // 2), "o_conv": (a // 2, a)}
                for name, (p, q) in sizes.items():
                    attention.add_module(f"snconv1x1_{name}", conv(p, q, 1, bias=False))
                attention.gamma = nn.Parameter(torch.zeros(1))
                G.layers.append(attention)
            block, m = nn.Module(), a // 4
            for n, (p, q, k) in enumerate([(a, m, 1), (m, m, 3), (m, m, 3), (m, b, 1)]):
                block.add_module(f"bn_{n}", measured(p, conditional=True))
                block.add_module(f"conv_{n}", conv(p, q, k))
            G.layers.append(block)
        G.bn, G.conv_to_rgb = measured(widths[-1], conditional=False), conv(widths[-1], widths[-1], 3)

    def forward(self, z: Tensor, label: int, step: int) -> Tensor:
        """z [1, Z] already truncated; step: which of the measured truncations."""
        told = torch.cat([z, self.embeddings.weight[None, :, label]], dim=1)
        G = self.generator
        x = G.gen_z(told).view(1, 4, 4, -1).permute(0, 3, 1, 2)
        up = False
        for layer in G.layers:
            if hasattr(layer, "gamma"):
                x = x + layer.gamma * self._attended(layer, x)
                continue
            y = x
            for n in range(4):
                norm = getattr(layer, f"bn_{n}")
                y = F.relu(self._normed(norm, y, step, 1 + norm.scale(told)[0], norm.offset(told)[0]))
                y = F.interpolate(y, scale_factor=2) if up and n == 1 else y
                y = getattr(layer, f"conv_{n}")(y)
            x = x[:, : y.shape[1]]
            x, up = y + (F.interpolate(x, scale_factor=2) if up else x), not up
        return G.conv_to_rgb(F.relu(self._normed(G.bn, x, step, G.bn.weight, G.bn.bias)))[:, :3].tanh()

    @staticmethod
    def _normed(layer: nn.Module, x: Tensor, step: int, scale: Tensor, shift: Tensor) -> Tensor:
        return F.batch_norm(x, layer.running_means[step], layer.running_vars[step], scale, shift, eps=1e-4)

    @staticmethod
    def _attended(layer: nn.Module, x: Tensor) -> Tensor:
        theta = layer.snconv1x1_theta(x)[0].flatten(1)
        phi, g = (F.max_pool2d(getattr(layer, f"snconv1x1_{name}")(x), 2)[0].flatten(1) for name in ("phi", "g"))
        return layer.snconv1x1_o_conv((g @ (theta.T @ phi).softmax(dim=1).T).view(1, -1, *x.shape[2:]))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Deep, BigGANGenerator]:
    theirs = shaken(Deep())
    for name, tensor in theirs.named_buffers():
        if name.endswith("running_vars"):
            tensor.abs_().add_(0.5)
    folder = tmp_path_factory.mktemp("biggan")
    return theirs, converted(theirs.state_dict(), folder, "pytorch_model.bin", "biggan")


def test_settings_follow_from_the_weights(both: tuple[Deep, BigGANGenerator]) -> None:
    G = both[1]
    assert isinstance(G, StyleGenerator) and (G.resolution, G.classes, G.z_dim) == (16, CLASSES, Z)
    config = G.config
    assert (config.width, config.widths, config.attention, config.measured) == (8, (4, 4, 2, 2, 1), 2, MEASURED)


@pytest.mark.parametrize(("psi", "step"), [(1.0, 50), (0.5, 25), (0.02, 1)])
def test_pictures_are_those_of_the_program(both: tuple[Deep, BigGANGenerator], psi: float, step: int) -> None:
    theirs, G = both
    z = torch.randn(1, Z)
    truncated = psi * G.mapping(z, torch.eye(CLASSES)[2:])[0, :, :Z]
    assert torch.allclose(G.generate(z, torch.eye(CLASSES)[2:], psi), theirs(truncated, 2, step), atol=1e-4)
