"""What picture files bring to the easel and take back: size, profile, transparency, masks; how styles are read."""

import dataclasses

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from studio.canvas import Canvas, Pixels, Scaled, floats, render
from studio.errors import ImageError, SettingError
from studio.profiles import from_srgb
from studio.raster.opening import Picture
from studio.raster.untrusted import MAX_PIXELS
from studio.retouch import luma
from studio.scans import inside_margins

# px; shorter side at which a style is read for strokes of size 1: about that at which a photo is painted first
READ_SIDE = 512
MIN_READ_SIDE, MAX_READ_SIDE = 16, 1024  # px; only what is smaller is enlarged, and a frieze is not read in full
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # px
CPU, BYTE = torch.device("cpu"), np.dtype(np.uint8)


def result_size(content: Picture, longest: int | None) -> tuple[int, int]:
    """Height and width of a result with that longest side, or the photo's. Raises SettingError for too many px."""
    width, height = content.size
    if longest is None:
        return height, width
    height, width = (max(round(n * longest / max(content.size)), 1) for n in (height, width))
    if height * width > MAX_PIXELS:
        found = f"{width} x {height} = {height * width / 1e6:.4g} megapixels"
        most = int(longest * (MAX_PIXELS / (height * width)) ** 0.5)
        limit = f"over the limit of {MAX_PIXELS / 1e6:g}"
        raise SettingError(f"size={longest} makes {found}, {limit}; give at most {most}")
    return height, width


def paintable(content: Picture) -> Picture:
    """The same picture in numbers that can be painted: grey that follows a profile of its own becomes sRGB."""
    if content.pixels.shape[2] > 2 or not content.icc:
        return content
    image = content.rgba() if content.has_alpha else content.rgb()
    return dataclasses.replace(content, pixels=np.array(image), icc=b"")


def fit_for(content: Picture, format: str, longest: int | None = None) -> Picture:
    """The same picture as a file format can hold it: for JPEG without transparency that hides nothing.

    longest: of the result, as in `result_size`. Raises ImageError for what the finished work would be refused for.
    """
    side, most = max(result_size(content, longest)), LONGEST_SIDE.get(format)
    if most is not None and side > most:
        found = f"a side of {side:,} px is over the limit of {most:,} of {format}"
        raise ImageError(f"{found}; choose PNG or TIFF, or make it smaller")
    if format != "JPEG" or not content.has_alpha:
        return content
    if (content.pixels[..., -1] < np.iinfo(content.pixels.dtype).max).any():
        raise ImageError("the photo is transparent in places, which JPEG cannot hold; choose PNG, TIFF or WebP")
    return dataclasses.replace(content, pixels=content.pixels[..., :-1])


def paper_of(picture: Picture) -> Tensor | None:
    """[3] in [-1, 1]: the mean colour of what shows, to stand where nothing does; None without alpha."""
    if not picture.has_alpha:
        return None
    step = max(int((picture.pixels.shape[0] * picture.pixels.shape[1] / 1e5) ** 0.5), 1)
    x = floats(picture.pixels[::step, ::step], CPU)
    alpha = (x[:, -1:] + 1) / 2
    return ((x[:, :-1] * alpha).sum(dim=(0, 2, 3)) / alpha.sum().clamp(min=1e-3)).expand(3).clone()


def with_alpha_of(picture: Picture, painted: np.ndarray) -> np.ndarray:
    """painted [H, W, 3] with the transparency of a picture, scaled if its size is another; as it is without."""
    if not picture.has_alpha:
        return painted
    alpha = picture.pixels[..., -1:]
    if alpha.shape[:2] != painted.shape[:2] or alpha.dtype != painted.dtype:
        scaled = Scaled(Pixels(alpha, CPU), painted.shape[:2])
        alpha = render(lambda tile: scaled.look(tile)[:, :1], scaled.size, painted.dtype)
    return np.concatenate([painted, alpha], axis=2)


def mask_levels(mask: Picture, content: Picture, size: tuple[int, int], fit: bool) -> np.ndarray:
    """A mask as [H, W] uint8 of `size`, 255 where it is white and opaque.

    Raises ImageError for one of another size than the photo's, unless it may be stretched to `fit`.
    """
    if mask.size != content.size and not fit:
        sizes = "the mask has {} x {} px and the picture {} x {}".format(*mask.size, *content.size)
        raise ImageError(f"{sizes}; make them the same, or have the mask stretched (--fit-masks)")
    scaled = Scaled(Pixels(mask.pixels, CPU, paper=-torch.ones(3)), size)
    return render(lambda tile: luma(scaled.look(tile)), size, BYTE)[..., 0]


def read_style(style: Picture, stroke: float, icc: bytes) -> Tensor:
    """A style as a network reads it, [1, 3, h, w] in [-1, 1]: smaller for fine strokes, larger for broad ones.

    Transparent parts are white, a scan's margins are left out. The colours are those of the profile `icc`.
    """
    height, width = style.pixels.shape[:2]
    scale = min(READ_SIDE * stroke**0.5 / min(height, width), MAX_READ_SIDE / max(height, width), 1.0)
    size = tuple(max(round(n * scale), MIN_READ_SIDE) for n in (height, width))
    small = _scaled(Pixels(style.pixels, CPU, paper=torch.ones(3)), style, size)
    return inside_margins(floats(np.array(from_srgb(small, icc)), CPU))


def small_copy(content: Picture, side: int) -> Picture:
    """8-bit sRGB with a longest side of at most `side` px, and its transparency."""
    size = result_size(content, min(side, max(content.size)))
    colours = np.array(_scaled(Pixels(content.pixels, CPU, paper_of(content)), content, size))
    return Picture(with_alpha_of(content, colours), "", 8, b"", b"")


def _scaled(canvas: Canvas, picture: Picture, size: tuple[int, int]) -> Image.Image:
    """A picture at another size as 8-bit sRGB."""
    levels = render(Scaled(canvas, size).look, size, BYTE)
    channels = 1 if picture.pixels.shape[2] < 3 else 3
    return Picture(levels[..., :channels], "", 8, picture.icc, b"").rgb()
