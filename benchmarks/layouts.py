"""Files of weights as other programs lay them out, at the widths of their published models, of random numbers.

Names and shapes are those programs'; what the files hold draws nothing, and is read, checked and converted like any.
stylegan2-pytorch and lightweight-gan write theirs themselves.
"""

import math
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks.peers import PEERS
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Generator
from studio.models.stylegan3 import StyleGAN3Config, StyleGAN3Generator

RESOLUTION = 256
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """`write` puts a file of it into a folder. `resolution` is 0 for networks that take any."""

    title: str
    resolution: int
    write: Callable[[Path], Path]


def normal(*shape: int) -> Tensor:
    """Weights that keep the scale of what they are given; `shape` is [out, in, ...] or [out]."""
    return torch.randn(shape) / math.sqrt(math.prod(shape[1:]))


def saved(name: str, make: Callable[[], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.manual_seed(0)
        torch.save(make(), folder / name)
        return folder / name

    return write


# ---- parts that several of them have


def layer(name: str, *shape: int, bias: bool = False) -> Weights:
    """A convolution or a matrix. shape: of its weight."""
    return {f"{name}.weight": normal(*shape)} | ({f"{name}.bias": torch.zeros(shape[0])} if bias else {})


def spectral(name: str, *shape: int, bias: bool = False, transposed: bool = False) -> Weights:
    """One under spectral normalisation: with the singular vectors of its largest value, which is about 2."""
    weight = normal(*shape)
    matrix = weight.transpose(0, 1) if transposed else weight
    u, v = (nn.functional.normalize(torch.randn(n), dim=0) for n in (len(matrix), matrix[0].numel()))
    matrix += 2 * (u[:, None] * v).view(matrix.shape)
    found = {f"{name}.weight_orig": weight, f"{name}.weight_u": u, f"{name}.weight_v": v}
    return found | ({f"{name}.bias": torch.zeros(shape[0])} if bias else {})


def norm(name: str, channels: int) -> Weights:
    ones = {f"{name}.{kind}": torch.ones(channels) for kind in ("weight", "running_var")}
    zeros = {f"{name}.{kind}": torch.zeros(channels) for kind in ("bias", "running_mean")}
    return ones | zeros | {f"{name}.num_batches_tracked": torch.tensor(1000)}


# ---- NVIDIA: a pickle of modules that bring their source along

LEARNED = ("weight", "bias", "const", "noise_strength")

def _reconstruct_persistent_obj(meta: dict) -> None:
    raise RuntimeError("a module was made of source code")


class Persistent:
    """A module with its tensors and the modules within, as they are pickled."""

    def __init__(
        self, tensors: Mapping[str, Tensor], modules: Mapping[str, "Persistent"], said: Mapping[str, Any]
    ) -> None:
        learned = {name: nn.Parameter(tensor) for name, tensor in tensors.items() if name in LEARNED}
        measured = {name: tensor for name, tensor in tensors.items() if name not in LEARNED}
        state = {"training": False, "_parameters": OrderedDict(learned), "_buffers": OrderedDict(measured), **said}
        state["_modules"] = OrderedDict(modules)
        self.meta = {"type": "class", "version": 6, "module_src": "", "class_name": "Part", "state": state}

    def __reduce__(self) -> tuple:
        return _reconstruct_persistent_obj, (self.meta,)


def nested(weights: Mapping[str, Tensor], said: Mapping[str, Any]) -> Persistent:
    """Modules from tensors by dotted names. said: what the outermost one was made with."""
    here = {name: tensor for name, tensor in weights.items() if "." not in name}
    inner: dict[str, Weights] = {}
    for name, tensor in weights.items():
        first, _, rest = name.partition(".")
        if rest:
            inner.setdefault(first, {})[rest] = tensor
    return Persistent(here, {name: nested(part, {}) for name, part in inner.items()}, said)


def pickled(name: str, make: Callable[[], nn.Module], said: Mapping[str, Any]) -> Callable[[Path], Path]:
    """Of a generator of ours, which bears the names of theirs."""

    def write(folder: Path) -> Path:
        torch.manual_seed(0)
        network = make()
        weights = {k.replace("_network.", ".", 1): v for k, v in network.state_dict().items()}
        if isinstance(network, StyleGAN2Generator):
            for side in network.config.resolutions:
                weights[f"synthesis.b{side}.resample_filter"] = TAPS[:, None] * TAPS
        root = nested(weights, {"_init_kwargs": dict(said)})
        package, module = types.ModuleType("torch_utils"), types.ModuleType("torch_utils.persistence")
        package.persistence, module._reconstruct_persistent_obj = module, _reconstruct_persistent_obj
        stand_in = mock.patch.dict(sys.modules, {package.__name__: package, module.__name__: module})
        with stand_in, mock.patch.object(_reconstruct_persistent_obj, "__module__", module.__name__):
            values = {"G": None, "D": None, "G_ema": root, "augment_pipe": None}
            (folder / name).write_bytes(pickle.dumps(values))
        return folder / name

    return write


def stylegan2_ada() -> nn.Module:
    return StyleGAN2Generator(StyleGAN2Config(resolution=RESOLUTION, channel_base=16384))


STYLEGAN3_T = {"channel_base": 16384, "channel_max": 512}
STYLEGAN3_R = {"channel_base": 32768, "channel_max": 1024, "use_radial_filters": True}


def stylegan3_t() -> nn.Module:
    return StyleGAN3Generator(StyleGAN3Config(resolution=RESOLUTION, **STYLEGAN3_T))


def stylegan3_r() -> nn.Module:
    sizes = {"channel_base": STYLEGAN3_R["channel_base"], "channel_max": STYLEGAN3_R["channel_max"]}
    return StyleGAN3Generator(StyleGAN3Config(resolution=RESOLUTION, kernel=1, radial=True, **sizes))


# ---- generators


def rosinality() -> dict[str, object]:
    """channel_multiplier 2: 512 feature maps up to 64 px, then 256 and 128."""
    maps = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128}
    found: Weights = {"input.input": normal(1, 512, 4, 4)}
    for i in range(1, 9):
        found |= {f"style.{i}.weight": 100 * torch.randn(512, 512), f"style.{i}.bias": torch.zeros(512)}

    def modulated(name: str, inside: int, out: int, kernel: int) -> None:
        found[f"{name}.conv.weight"] = torch.randn(1, out, inside, kernel, kernel)
        found[f"{name}.conv.modulation.weight"] = torch.randn(inside, 512)
        found[f"{name}.conv.modulation.bias"] = torch.ones(inside)

    def styled(name: str, inside: int, out: int, side: int, number: int) -> None:
        modulated(name, inside, out, 3)
        found.update({f"{name}.noise.weight": torch.zeros(1), f"{name}.activate.bias": torch.zeros(out)})
        found[f"noises.noise_{number}"] = torch.randn(1, 1, side, side)

    styled("conv1", 512, 512, 4, 0)
    for i, (side, width) in enumerate(maps.items()):
        name = f"to_rgbs.{i - 1}" if i else "to_rgb1"
        modulated(name, width, 3, 1)
        found[f"{name}.bias"] = torch.zeros(1, 3, 1, 1)
        if i:
            styled(f"convs.{2 * i - 2}", maps[side // 2], width, side, 2 * i - 1)
            styled(f"convs.{2 * i - 1}", width, width, side, 2 * i)
            for blurred in (f"convs.{2 * i - 2}.conv.blur", f"{name}.upsample"):
                found[f"{blurred}.kernel"] = 4 * TAPS[:, None] * TAPS
    return {"g_ema": found, "latent_avg": torch.zeros(512)}


@dataclass(frozen=True)
class FastGANNames:
    """Where one program keeps FastGAN's parts; {} is the side."""

    start: str
    up: str
    excite: str
    small: str
    picture: str
    conv: str = ""  # under the layer's number
    noise: str = ".weight"


AUTHORS = FastGANNames("init.init", "feat_{}", "se_{}.main", "to_128", "to_big")
SILENTZ = FastGANNames(
    "_init._layers", "_upsample_{}._layers", "_sle_{}._layers", "_out_128.0", "_out_1024.0", "._conv", "._weight"
)


def fastgan(resolution: int, names: FastGANNames) -> Weights:
    maps = {4: 1024, 8: 512, 16: 256, 32: 128, 64: 128, 128: 64, 256: 32, 512: 16, 1024: 8}
    found = spectral(f"{names.start}.0{names.conv}", 256, 2048, 4, 4, transposed=True)
    found |= norm(f"{names.start}.1", 2048)
    for side in [side for side in maps if 4 < side <= resolution]:
        up, width = names.up.format(side), maps[side]
        noisy = side in (8, 32, 128, 512)
        found |= spectral(f"{up}.1{names.conv}", 2 * width, maps[side // 2], 3, 3)
        found |= norm(f"{up}.{3 if noisy else 2}", 2 * width)
        if noisy:
            found |= spectral(f"{up}.5{names.conv}", 2 * width, width, 3, 3) | norm(f"{up}.7", 2 * width)
            found |= {f"{up}.{place}{names.noise}": torch.zeros(1) for place in (2, 6)}
        if 64 <= side <= 512:
            excite = names.excite.format(side)
            found |= spectral(f"{excite}.1{names.conv}", width, maps[side // 16], 4, 4)
            found |= spectral(f"{excite}.3{names.conv}", width, width, 1, 1)
    found |= spectral(f"{names.small}{names.conv}", 3, maps[128], 1, 1)
    return found | spectral(f"{names.picture}{names.conv}", 3, maps[resolution], 3, 3)


def dcgan() -> Weights:
    """PyTorch's example with one more layer, for 128 px, the largest that such a network is taken for."""
    widths = [100, 1024, 512, 256, 128, 64]
    found: Weights = {}
    for i, (inside, out) in enumerate(zip(widths, widths[1:])):
        found |= layer(f"main.{3 * i}", inside, out, 4, 4) | norm(f"main.{3 * i + 1}", out)
    return found | layer("main.15", 64, 3, 4, 4)


def biggan() -> Weights:
    """biggan-deep-256."""
    widths = [128 * times for times in (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1)]
    found = layer("embeddings", 128, 1000) | spectral("generator.gen_z", 16 * widths[0], 256, bias=True)

    def measured(name: str, channels: int) -> Weights:
        return {f"{name}.running_means": torch.zeros(51, channels), f"{name}.running_vars": torch.ones(51, channels)}

    for i, (inside, out) in enumerate(zip(widths, widths[1:])):
        name, inner = f"generator.layers.{i + (i >= 8)}", inside // 4
        convs = (inside, inner, 1), (inner, inner, 3), (inner, inner, 3), (inner, out, 1)
        for n, (a, b, kernel) in enumerate(convs):
            found |= measured(f"{name}.bn_{n}", a) | spectral(f"{name}.conv_{n}", b, a, kernel, kernel, bias=True)
            found |= spectral(f"{name}.bn_{n}.scale", a, 256) | spectral(f"{name}.bn_{n}.offset", a, 256)
    width, name = widths[8], "generator.layers.8"
    for part, (a, b) in {"theta": (1, 8), "phi": (1, 8), "g": (1, 2), "o_conv": (2, 1)}.items():
        found |= spectral(f"{name}.snconv1x1_{part}", width // b, width // a, 1, 1)
    found |= {f"{name}.gamma": torch.zeros(1), "generator.bn.weight": torch.ones(128)}
    found |= {"generator.bn.bias": torch.zeros(128), **measured("generator.bn", 128)}
    return found | spectral("generator.conv_to_rgb", 128, 128, 3, 3, bias=True)


def of_peer(name: str) -> Callable[[Path], Path]:
    """What the package's trainer saves: G, D and their running means, without the optimisers."""

    def make() -> dict[str, object]:
        peer = PEERS[name](RESOLUTION, torch.device("cpu"))
        return {"GAN": peer.gan.state_dict(), "version": "1"}

    return saved("model_1.pt", make)


# ---- networks that take any picture


def cyclegan() -> Weights:
    """Nine blocks."""
    found = layer("model.1", 64, 3, 7, 7, bias=True) | layer("model.4", 128, 64, 3, 3, bias=True)
    found |= layer("model.7", 256, 128, 3, 3, bias=True)
    for i in range(10, 19):
        for n in (1, 5):
            found |= layer(f"model.{i}.conv_block.{n}", 256, 256, 3, 3, bias=True)
    for name, (inside, out) in {"model.19": (256, 128), "model.22": (128, 64)}.items():
        found |= {f"{name}.weight": normal(inside, out, 3, 3), f"{name}.bias": torch.zeros(out)}
    return found | layer("model.26", 3, 64, 7, 7, bias=True)


def pix2pix() -> Weights:
    """unet_256."""
    widths = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    found: Weights = {}
    level, last = "model.model.", len(widths) - 2
    for i, (outer, inner) in enumerate(zip(widths, widths[1:])):
        down, up = (0, 3) if i == 0 else (1, 3) if i == last else (1, 5)
        found |= layer(f"{level}{down}", inner, outer, 4, 4)
        found |= layer(f"{level}{up}", inner if i == last else 2 * inner, outer, 4, 4)
        if i == 0:
            found[f"{level}{up}.bias"] = torch.zeros(outer)
        else:
            found |= norm(f"{level}{up + 1}", outer) | (norm(f"{level}2", inner) if i < last else {})
        level += "1.model." if i == 0 else "3.model."
    return found


def esrgan() -> Weights:
    """RealESRGAN_x4plus."""
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(scale=4).state_dict()


LAYOUTS = {
    "stylegan2_ada": Layout("NVIDIA StyleGAN2-ADA .pkl", RESOLUTION, pickled("ada.pkl", stylegan2_ada, {})),
    "stylegan3": Layout("NVIDIA StyleGAN3-T .pkl", RESOLUTION, pickled("t.pkl", stylegan3_t, STYLEGAN3_T)),
    "stylegan3_r": Layout("NVIDIA StyleGAN3-R .pkl", RESOLUTION, pickled("r.pkl", stylegan3_r, STYLEGAN3_R)),
    "rosinality": Layout("rosinality StyleGAN2 .pt", RESOLUTION, saved("550000.pt", rosinality)),
    "stylegan2_pytorch": Layout("stylegan2-pytorch .pt", RESOLUTION, of_peer("stylegan2-pytorch")),
    "lightweight_gan": Layout("lightweight-gan .pt", RESOLUTION, of_peer("lightweight-gan")),
    "fastgan": Layout("FastGAN .pth", 256, saved("50000.pth", lambda: {"g": fastgan(256, AUTHORS), "d": {}})),
    "huggan_fastgan": Layout("HugGAN FastGAN .bin", 1024, saved("pytorch_model.bin", lambda: fastgan(1024, SILENTZ))),
    "biggan": Layout("BigGAN-deep .bin", RESOLUTION, saved("biggan.bin", biggan)),
    "dcgan": Layout("DCGAN state dict .pth", 128, saved("netG.pth", dcgan)),
    "cyclegan": Layout("CycleGAN .pth", 0, saved("latest_net_G_A.pth", cyclegan)),
    "pix2pix": Layout("pix2pix .pth", 0, saved("latest_net_G.pth", pix2pix)),
    "spandrel": Layout("ESRGAN x4 .pth, through spandrel", 0, saved("RealESRGAN_x4plus.pth", esrgan)),
}
