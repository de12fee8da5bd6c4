"""Worn pictures out of good ones: what an upscaler learns from.

Twice blur, resize, noise and JPEG, as what is on the web has been through (Wang et al. 2021, Real-ESRGAN,
arXiv:2107.10833, section 3.2; without its sinc filter), and what paintings have besides: the weave of a canvas, and a
scanner's stripes and dust. `strength` in 0..1 is the dial that a person turns later, and says how much of all that
there is but blur: Gaussian noise has a deviation of strength * MAX_SIGMA. At 0 a picture is only blurred and made
smaller, and at 0 and a scale of 1 it stays itself. Random numbers are torch's.
"""

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

MAX_SIGMA = 50 / 255  # of levels in 0..1
WORN = 0.5  # share of pictures that have more than Gaussian noise
KERNEL = 13  # px
QUALITY = 95, 25  # of JPEG at strengths 0 and 1
MODES = ("area", "bilinear", "bicubic")


def degrade(pictures: Tensor, strength: Tensor, scale: int) -> Tensor:
    """Pictures [N, 3, H, W] in [-1, 1], sides multiples of scale, strength [N] -> [N, 3, H / scale, W / scale]."""
    levels = (pictures + 1) / 2
    worn = [degrade_one(picture[None], s, scale) for picture, s in zip(levels, strength.tolist())]
    return torch.cat(worn).clamp(0, 1) * 2 - 1


def degrade_one(x: Tensor, strength: float, scale: int) -> Tensor:
    """x [1, 3, H, W] of levels in 0..1 -> [1, 3, H / scale, W / scale], about 0..1."""
    size = x.shape[2] // scale, x.shape[3] // scale
    if _chance(1 - WORN):
        x = resize(blur(x, 0.5 * scale) if scale > 1 else x, size)
        return gaussian_noise(x, strength * MAX_SIGMA)
    x = weave(x, strength) if _chance(0.3) else x
    if scale > 1:
        x = resize(blur(x, 0.4 * scale), _between(x.shape[2:], size))
    first = strength * _uniform(0, 0.5)
    x = jpeg(noise(x, first), first) if _chance(0.5) else noise(x, first)
    x = resize(blur(x, 0.2 * scale), size) if scale > 1 else x
    x = noise(x, strength * _uniform(0.5, 1))
    x = scan(x, strength) if _chance(0.3) else x
    return jpeg(x, strength) if _chance(0.5) else x


def blur(x: Tensor, most: float) -> Tensor:
    """By a Gaussian of two widths, each up to `most` px, at any angle. x [1, 3, H, W]; its borders go on."""
    kernel = gaussian(_uniform(0.1, most), _uniform(0.1, most), _uniform(0, math.pi))
    padded = F.pad(x, (KERNEL // 2,) * 4, mode="replicate")
    return F.conv2d(padded, kernel.expand(3, 1, -1, -1), groups=3)


def gaussian(along: float, across: float, angle: float) -> Tensor:
    """[KERNEL, KERNEL] with a sum of 1: deviations in px, the first along the angle."""
    places = torch.arange(KERNEL, dtype=torch.float32) - KERNEL // 2
    y, x = torch.meshgrid(places, places, indexing="ij")
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = torch.exp(-(u / along).square() / 2 - (v / across).square() / 2)
    return kernel / kernel.sum()


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x [1, 3, H, W] at another size, by one of MODES, without aliasing."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    mode = MODES[int(torch.randint(len(MODES), []))]
    if mode == "area":
        return F.interpolate(x, size=size, mode=mode)
    return F.interpolate(x, size=size, mode=mode, antialias=True)


def gaussian_noise(x: Tensor, sigma: float) -> Tensor:
    return x + torch.randn_like(x) * sigma


def noise(x: Tensor, strength: float) -> Tensor:
    """Gaussian, of each colour or of all alike, or as light arrives, in grains: more where it is bright."""
    sigma = strength * MAX_SIGMA
    kind = int(torch.randint(3, []))
    if kind == 0:
        return gaussian_noise(x, sigma)
    grain = torch.randn_like(x[:, :1]) if _chance(0.5) else torch.randn_like(x)
    return x + grain * sigma * (1 if kind == 1 else x.clamp(0, 1).sqrt() * math.sqrt(2))


def jpeg(x: Tensor, strength: float) -> Tensor:
    """Through a JPEG file, the worse the stronger. x [1, 3, H, W]."""
    best, worst = QUALITY
    quality = round(best + (worst - best) * strength * _uniform(0.5, 1))
    pixels = (x[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255


def weave(x: Tensor, strength: float) -> Tensor:
    """The threads of a canvas, over and under in turn, 3 to 9 px apart, as light and shade."""
    height, width = x.shape[2:]
    pitch, angle = _uniform(3, 9), _uniform(-0.1, 0.1)
    rows, columns = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    u = (columns * math.cos(angle) + rows * math.sin(angle)) * (math.pi / pitch)
    v = (rows * math.cos(angle) - columns * math.sin(angle)) * (math.pi / pitch)
    over = torch.sin(u) * torch.sin(v) > 0
    threads = torch.where(over, torch.sin(2 * u).abs(), torch.sin(2 * v).abs()) - 2 / math.pi
    threads = threads * (1 + 0.3 * torch.randn(height, width))
    return x * (1 + threads * strength * _uniform(0.05, 0.3))


def scan(x: Tensor, strength: float) -> Tensor:
    """A scanner's stripes, along either side, and specks of dust."""
    height, width = x.shape[2:]
    shape = (1, 3, height, 1) if _chance(0.5) else (1, 3, 1, width)
    x = x + torch.randn(shape) * (strength * _uniform(0, 0.06))
    specks = torch.rand(1, 1, height, width) < strength * _uniform(0, 0.002)
    return torch.where(specks, _uniform(0, 1), x)


def _between(large: torch.Size, small: tuple[int, int]) -> tuple[int, int]:
    """A size between two, each side by the same share."""
    share = _uniform(0, 1)
    return tuple(round(b * (a / b) ** share) for a, b in zip(large, small))


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand([]))


def _chance(share: float) -> bool:
    return float(torch.rand([])) < share
