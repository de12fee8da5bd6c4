"""Generators built again from what is known of other programs, of plain torch modules under the names they use there.

They share nothing with the studio's own networks, and are what its conversions are compared with.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from studio.checkpoint import load_network
from studio.formats import convert, recognise


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in eval mode, with numbers in which nothing is zero, one, or the same twice."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point() or name.endswith((".filt", ".f")):
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            elif name.endswith(("_u", "_v")):
                continue
            elif tensor.dim() > 1:
                tensor.copy_(noise * tensor[0].numel() ** -0.5)
            else:
                tensor.add_(0.3 * noise)
        for layer in network.modules():
            if hasattr(layer, "weight_orig"):
                _estimate(layer)
    return network.eval().requires_grad_(False)


def _estimate(layer: nn.Module) -> None:
    """Singular vectors of a layer's weight as training leaves them, close to those of its largest value."""
    weight = layer.weight_orig.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight_orig
    u, _, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    layer.weight_u.copy_(F.normalize(u[:, 0] + 0.1 * u[:, -1], dim=0))
    layer.weight_v.copy_(v[0])


def converted(value: object, folder: Path, name: str, format: str) -> nn.Module:
    """What a file with this in it becomes: written, recognised as `format`, converted, and loaded."""
    torch.save(value, folder / name)
    assert recognise(folder / name) == format
    return load_network(convert(folder / name, folder / "out"))


class Noise(nn.Module):
    """Adds noise; `given` is what is added, where a test knows it."""

    def __init__(self, name: str = "weight") -> None:
        super().__init__()
        self.name, self.given = name, None
        self.register_parameter(name, nn.Parameter(torch.zeros(1)))

    def forward(self, x: Tensor) -> Tensor:
        assert self.given is not None
        return x + getattr(self, self.name) * self.given


class Named(nn.Module):
    """A module one level down, as some programs wrap each layer."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        super().__init__()
        self.add_module(name, layer)
        self.inner = lambda: layer

    def forward(self, x: Tensor) -> Tensor:
        return self.inner()(x)


class FastGAN(nn.Module):
    """The generator of either of two programs, which call the same things by different names."""

    def __init__(self, program: str, side: int, width: int, z_dim: int) -> None:
        super().__init__()
        silentz = program == "silentz"
        self.names = _SILENTZ if silentz else _AUTHORS
        self.side, self.tanh = side, side == 1024
        wrap = (lambda layer: Named("_conv", layer)) if silentz else lambda layer: layer
        noise = (lambda: Noise("_weight")) if silentz else Noise
        table = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}
        maps = {s: int(times * width) for s, times in table.items()}
        conv = lambda a, b, k: wrap(spectral_norm(nn.Conv2d(a, b, k, padding=1 if k == 3 else 0, bias=False)))
        first = wrap(spectral_norm(nn.ConvTranspose2d(z_dim, 2 * maps[4], 4, bias=False)))
        self._add("start", 4, first, nn.BatchNorm2d(2 * maps[4]), nn.GLU(1))
        for i, s in enumerate(self._sides()):
            a, b = maps[s // 2], maps[s]
            layers = [nn.Upsample(scale_factor=2), conv(a, 2 * b, 3), nn.BatchNorm2d(2 * b), nn.GLU(1)]
            if i % 2 == 0:
                layers.insert(2, noise())
                layers += [conv(b, 2 * b, 3), noise(), nn.BatchNorm2d(2 * b), nn.GLU(1)]
            self._add("up", s, *layers)
            if 64 <= s <= 512:
                c = maps[s // 16]
                self._add("excite", s, nn.AdaptiveAvgPool2d(4), conv(c, b, 4), nn.SiLU(), conv(b, b, 1), nn.Sigmoid())
        for part, s, kernel in (("small", 128, 1), ("picture", side, 3)):
            layer = conv(maps[s], 3, kernel)
            self.add_module(self.names[part].format(s), nn.Sequential(layer) if silentz else layer)

    def _sides(self) -> list[int]:
        return [2**i for i in range(3, self.side.bit_length())]

    def _add(self, part: str, side: int, *layers: nn.Module) -> None:
        name, _, inner = self.names[part].format(side).partition(".")
        self.add_module(name, Named(inner, nn.Sequential(*layers)) if inner else nn.Sequential(*layers))

    def forward(self, z: Tensor) -> Tensor:
        part = lambda name, side: self.get_submodule(self.names[name].format(side).partition(".")[0])
        x = part("start", 4)(z[:, :, None, None])
        seen = {4: x}
        for s in self._sides():
            x = part("up", s)(x)
            if 64 <= s <= 512:
                x = x * part("excite", s)(seen[s // 16])
            seen[s] = x
        x = part("picture", self.side)(x)
        return x.tanh() if self.tanh else x


_SILENTZ = {
    "start": "_init._layers", "up": "_upsample_{}._layers", "excite": "_sle_{}._layers",
    "small": "_out_{}", "picture": "_out_{}",
}
_AUTHORS = {"start": "init.init", "up": "feat_{}", "excite": "se_{}.main", "small": "to_{}", "picture": "to_big"}
