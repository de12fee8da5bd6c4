"""Tensors and picture files: NCHW float32 in [-1, 1], sRGB; files are opened in `studio.raster.opening`."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from studio.errors import ImageError
from studio.files import write_bytes
from studio.raster.exif import MARK
from studio.raster.labels import Labels
# SUFFIXES, list_pictures and open_picture are taken from here by train, benchmarks and studio.commands.stylize
from studio.raster.listing import SUFFIXES, list_pictures
from studio.raster.opening import Picture, open_picture
from studio.raster.pixels import is_srgb, to_array, to_eight_bits
from studio.raster.png import LEVEL, encode_png16
from studio.raster.tiff import encode_tiff

FORMAT_OF = {  # what pictures are written as, by suffix: the formats that can carry what made them
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
}
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and JPEG weigh colours


def to_tensor(picture: Picture | Image.Image, channels: int = 3) -> Tensor:
    """A picture as [1, channels, H, W] in [-1, 1], sRGB over white; 16 bits in their full precision if they are sRGB.

    channels: 3, or 1 for luma (BT.601).
    """
    if channels not in (1, 3):
        raise ValueError(f"channels={channels}; a tensor has 1 or 3")
    if isinstance(picture, Image.Image):
        icc = b"" if picture.mode in ("CMYK", "LAB") else picture.info.get("icc_profile") or b""
        picture = Picture(to_array(picture), "", 8, icc, b"")
    if picture.pixels.dtype == np.uint16 and is_srgb(picture.icc):
        x = _planes(picture.pixels, 65535)
        if picture.has_alpha:
            x, alpha = x[:, :-1], (x[:, -1:] + 1) / 2
            x = (x - 1) * alpha + 1
    else:  # other profiles are followed in 8 bits alone
        x = _planes(np.asarray(picture.rgb()), 255)
    if x.shape[1] == channels:
        return x
    if channels == 3:
        return x.repeat(1, 3, 1, 1)
    return (x * torch.tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True).clamp_(-1, 1)


def _planes(pixels: np.ndarray, white: int) -> Tensor:
    x = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None].contiguous()
    return x.div_(white / 2).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> 0..255 of the same shape: to the nearest, halves up; what is outside the range takes its end."""
    # adding 128 and cutting off rounds in one pass fewer than adding 127.5 and rounding
    return images.detach().float().mul(127.5).add_(128).clamp_(0, 255).byte()


def to_pil(image: Tensor) -> Image.Image:
    """[C, H, W] or [1, C, H, W] in [-1, 1], C 1 or 3 -> a picture of mode L or RGB."""
    if image.dim() == 4 and image.shape[0] == 1:
        image = image[0]
    if image.dim() != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"shape {tuple(image.shape)}; a picture is [1 or 3, H, W]")
    planes = [Image.fromarray(plane) for plane in to_uint8(image).cpu().numpy()]
    # Pillow interleaves planes in half the time that torch or numpy take
    return planes[0] if len(planes) == 1 else Image.merge("RGB", planes)


def to_uint16(image: Tensor) -> np.ndarray:
    """[C, H, W] or [1, C, H, W] in [-1, 1] -> [H, W, C] 0..65535 to the nearest: the pixels of a deep `Picture`."""
    if image.dim() == 4 and image.shape[0] == 1:
        image = image[0]
    if image.dim() != 3:
        raise ValueError(f"shape {tuple(image.shape)}; a picture is [C, H, W]")
    # float32 has 24 bits of precision, enough for 16 and rounding
    levels = image.detach().float().cpu().mul(32767.5).add_(32768).clamp_(0, 65535)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy().astype(np.uint16))


def encode_jpeg(image: Tensor, quality: int = 90) -> bytes:
    """[C, H, W] or [1, C, H, W] as JPEG for the page: the fast path, without labels. Grey stays grey."""
    out = io.BytesIO()
    to_pil(image).save(out, "JPEG", quality=quality)
    return out.getvalue()


def encode(
    picture: Tensor | Image.Image | Picture,
    format: str,
    *,
    quality: int = 95,
    lossless: bool = False,
    labels: Labels = Labels(),
    icc: bytes = b"",
    exif: bytes = b"",
) -> bytes:
    """A picture as the bytes of a PNG, JPEG, WEBP or TIFF file. Raises ImageError if the format cannot hold it.

    picture: as `to_pil` takes it; a Pillow image, which also has alpha and 16-bit grey; or a Picture, which brings
    its own profile, EXIF and resolution. PNG and TIFF keep 16 bits. quality: 1..100, of JPEG and WEBP. lossless: of
    WEBP, which then keeps every pixel's 8 bits, and the colours of what is clear.
    """
    if isinstance(picture, Tensor):
        picture = to_pil(picture)
    if isinstance(picture, Image.Image):
        picture = Picture(to_array(picture), "", 8, icc, exif)
    if format == "TIFF":
        return encode_tiff(picture.pixels, icc=picture.icc, exif=picture.exif, xmp=labels.xmp, dpi=picture.dpi)
    if format == "PNG" and picture.pixels.dtype == np.uint16:
        texts = [(kind, data) for kind, data, *_ in _png_texts(labels).chunks]
        body = picture.exif.removeprefix(MARK)
        return encode_png16(picture.pixels, texts=texts, icc=picture.icc, exif=body, dpi=picture.dpi)
    return _encode_in_pillow(picture, format, quality, lossless, labels)


def _encode_in_pillow(picture: Picture, format: str, quality: int, lossless: bool, labels: Labels) -> bytes:
    image = to_eight_bits(picture.pixels)
    options: dict[str, object] = {"exif": picture.exif, "icc_profile": picture.icc or None}
    if picture.dpi:
        options["dpi"] = picture.dpi
    if format == "PNG":
        options |= {"pnginfo": _png_texts(labels), "compress_level": LEVEL}
    elif format == "JPEG":
        options |= {"quality": quality, "subsampling": 0, "xmp": labels.xmp}  # thin strokes keep their colour
    elif format == "WEBP":
        options |= {"quality": quality, "lossless": lossless, "exact": lossless, "xmp": labels.xmp}
    else:
        known = ", ".join(sorted(set(FORMAT_OF.values())))
        raise ImageError(f"pictures are not written as {format!r}; choose one of {known}")
    out = io.BytesIO()
    try:
        image.save(out, format, **options)
    except (OSError, ValueError) as error:
        what = f"a {image.width} x {image.height} picture of kind {image.mode}"
        raise ImageError(f"{what} cannot be written as {format} ({error}); save it as PNG") from error
    return out.getvalue()


def _png_texts(labels: Labels) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    for name, text in labels.text.items():
        chunks.add_text(name, text)
    if labels.xmp:
        chunks.add_itxt("XML:com.adobe.xmp", labels.xmp.decode())
    return chunks


def save_picture(
    path: Path,
    picture: Tensor | Image.Image | Picture,
    *,
    quality: int = 95,
    lossless: bool = False,
    labels: Labels = Labels(),
    icc: bytes = b"",
    exif: bytes = b"",
) -> None:
    """Write a picture, all or nothing, in the format its suffix names; the rest as `encode`.

    Raises ImageError for a suffix that is not written, DiskError if the disk refuses.
    """
    format = FORMAT_OF.get(path.suffix.lower())
    if format is None:
        raise ImageError(f"{path.name} does not end in one of {', '.join(FORMAT_OF)}; choose one of these")
    write_bytes(
        path, encode(picture, format, quality=quality, lossless=lossless, labels=labels, icc=icc, exif=exif)
    )


def grid(images: Tensor, columns: int) -> Tensor:
    """A contact sheet: [N, C, H, W] -> [C, rows * H, columns * W], row by row; places left over are white."""
    n, c, h, w = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    cells = images.new_ones(rows * columns, c, h, w)
    cells[:n] = images
    return cells.view(rows, columns, c, h, w).permute(2, 0, 3, 1, 4).reshape(c, rows * h, columns * w)


def resize_crop(image: Image.Image, size: int) -> Image.Image:
    """The middle square of an L or RGB picture at size x size px: Lanczos, antialiased, exact where it just fits."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2  # whole pixels: half a pixel would blur
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)
