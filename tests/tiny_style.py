"""A style network that paints in milliseconds, for tests. Nothing in it is zero: what becomes of it shows."""

from pathlib import Path

import numpy as np
import torch

from studio.checkpoint import ModelInfo, save_checkpoint
from studio.models.style import StyleConfig, StyleNetwork
from studio.raster.opening import Picture

CONFIG = StyleConfig(widths=(4, 6, 8, 8), blocks=2, experts=2, hidden=8)


def make_network(seed: int = 0) -> StyleNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = StyleNetwork(CONFIG)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter.add_(0.1 * torch.randn_like(parameter))
                if "affine.weight" in name or name == "draw.weight":
                    parameter.copy_((0.05 if name == "draw.weight" else 0.2) * torch.randn_like(parameter))
            for name, buffer in network.vgg.named_buffers():
                scale = 0.1 if name.endswith("bias") else (2 / (9 * buffer.shape[1])) ** 0.5
                buffer.copy_(scale * torch.randn_like(buffer))
    return network.eval().requires_grad_(False)


def save_style(folder: Path, seed: int = 0) -> Path:
    info = ModelInfo(model="style", config=CONFIG.to_dict(), sha256="", title=folder.name)
    return save_checkpoint(folder, info, make_network(seed), "# A tiny style network\n", dtype=torch.float32)


def blobs(height: int, width: int, seed: int = 0, dtype: type = np.uint8, channels: int = 3) -> np.ndarray:
    """Soft spots of colour with some grain, [H, W, C]: like a photo in that it has areas, edges and texture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    picture = np.zeros((height, width, channels))
    for _ in range(6):
        centre, radius = random.random(2), 0.1 + 0.3 * random.random()
        inside = np.hypot(y - centre[0], x - centre[1]) < radius
        picture = np.where(inside[..., None], random.random(channels), picture)
    picture = np.clip(picture * 0.8 + 0.1 + 0.05 * random.standard_normal(picture.shape), 0, 1)
    return np.rint(picture * np.iinfo(dtype).max).astype(dtype)


def picture(pixels: np.ndarray, **facts: object) -> Picture:
    plain = {"format": "PNG", "bits": 8 * pixels.itemsize, "icc": b"", "exif": b""}
    return Picture(pixels=pixels, **{**plain, **facts})
