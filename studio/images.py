"""Files <-> tensors: NCHW float32 in [-1, 1], sRGB.

Every picture is taken for a stranger's: only formats whose decoders run nothing, the size checked before anything is
decoded, a damaged file refused instead of half shown.
"""

import contextlib
import io
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, PngImagePlugin
from PIL.ImageFile import ImageFile
from torch import Tensor

from studio.errors import ImageError
from studio.files import write_bytes

MAX_PIXELS = 200_000_000
SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .mpo .webp .tif .tiff .bmp .gif .pbm .pgm .ppm .pnm .jp2 .j2k .jpx .avif".split()
)
FORMAT_OF = {  # what pictures are written as, by suffix: the formats that can carry what made them
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
}

# Not here: EPS, PDF, PSD, WMF (interpreters, or other programs run), ICO and ICNS (a picture within may be larger
# than the header says), TGA (no signature: any file would be one).
_READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
_PNG_LEVEL = 4  # half the time of the default 6 for 1% more bytes (512 px photo: 73 ms instead of 145)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and JPEG weigh colours

Source = Path | str | bytes | BinaryIO

Image.init()
# Pillow checks sizes itself when it decodes some formats, against one limit for the whole process. Set once, here, it
# agrees with ours; changing it around each call would let two threads undo each other's limit.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


@dataclass(frozen=True)
class Labels:
    """What is written beside the pixels: text chunks by name (PNG alone has them), and an XMP packet."""

    text: Mapping[str, str] = field(default_factory=dict)
    xmp: bytes = b""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright, in its file's own colours, with what a tool needs to write it back in kind."""

    pixels: np.ndarray  # [H, W, C] uint8 or uint16; C is 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA (alpha apart)
    format: str  # of the file, in Pillow's words: PNG, JPEG ...
    bits: int  # a channel in the file, at least 8; `pixels` keeps more than 8 in grey only
    icc: bytes  # the profile that `pixels` follow; empty is sRGB
    exif: bytes  # as in the file, save that its orientation says upright; TIFF's own tags are not among it

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4)

    def rgb(self) -> Image.Image:
        """8-bit sRGB over white."""
        image = _eight_bit(self.pixels)
        if self.has_alpha:
            paper = Image.new(image.mode[:-1], image.size, "white")
            paper.paste(image, (0, 0), image)
            image = paper
        return _srgb(image, self.icc)

    def rgba(self) -> Image.Image:
        """8-bit sRGB with its transparency; opaque where the file has none."""
        image = _eight_bit(self.pixels)
        opaque = _srgb(image.convert(image.mode.removesuffix("A")), self.icc)
        opaque.putalpha(image.getchannel("A") if self.has_alpha else 255)
        return opaque


def open_picture(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a picture file, its first frame or page.

    Raises ImageError for what is missing, empty, no picture, damaged, cut short, or of more than `max_pixels`, which
    the header tells before anything is decoded.
    """
    with _opened(source, max_pixels) as (image, name):
        bits = _bits(image)
        _scale_transparency(image)
        white = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation)
        try:
            image.load()
        except Exception as error:  # decoders meet hostile bytes with any exception there is
            raise _damaged(name, error) from error
        try:
            turn = image.getexif().get(ExifTags.Base.Orientation)
        except Exception:  # damaged EXIF is no reason to refuse a picture
            turn = None
        icc = image.info.get("icc_profile") or b""
        pixels = _pixels(image, bits, name)
        if white == 0 and image.mode.startswith("I;16"):  # Pillow turns it around in 8 bits, not in 16
            pixels = 65535 - pixels
        spent = image.mode in ("CMYK", "LAB")  # their profile led to sRGB
        exif = _upright(image.info.get("exif") or b"")
        return Picture(_turned(pixels, turn), image.format or "", bits, b"" if spent else icc, exif)


def read_labels(source: Source) -> Labels:
    """The text chunks and XMP packet of a picture file, without decoding it. Raises ImageError as `open_picture`."""
    with _opened(source, MAX_PIXELS) as (image, _):
        text = {k: str(v) for k, v in image.info.items() if isinstance(k, str) and isinstance(v, str)}
        xmp = image.info.get("xmp")
        if isinstance(xmp, tuple) and all(type(v) is int and 0 <= v < 256 for v in xmp):
            xmp = bytes(xmp)  # some writers of TIFF store it as a list of numbers
        return Labels(text, xmp if isinstance(xmp, bytes) else b"")


def to_tensor(picture: Picture | Image.Image, channels: int = 3) -> Tensor:
    """A picture as [1, channels, H, W] in [-1, 1], sRGB over white; 16-bit grey in its full precision.

    channels: 3, or 1 for luma (BT.601).
    """
    if channels not in (1, 3):
        raise ValueError(f"channels={channels}; a tensor has 1 or 3")
    if isinstance(picture, Image.Image):
        icc = b"" if picture.mode in ("CMYK", "LAB") else picture.info.get("icc_profile") or b""
        picture = Picture(_pixels(picture, 16, "the picture"), "", 8, icc, b"")
    values = picture.pixels
    if values.dtype == np.uint8 or picture.has_alpha or picture.icc:
        values = np.asarray(picture.rgb())
    half = np.iinfo(values.dtype).max / 2
    x = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None].contiguous().div_(half).sub_(1)
    if x.shape[1] == channels:
        return x
    if channels == 3:
        return x.repeat(1, 3, 1, 1)
    return (x * torch.tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True).clamp_(-1, 1)


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


def encode_jpeg(image: Tensor, quality: int = 90) -> bytes:
    """[C, H, W] or [1, C, H, W] as JPEG for the page: the fast path, without labels. Grey stays grey."""
    out = io.BytesIO()
    to_pil(image).save(out, "JPEG", quality=quality)
    return out.getvalue()


def encode(
    picture: Tensor | Image.Image,
    format: str,
    *,
    quality: int = 95,
    labels: Labels = Labels(),
    icc: bytes = b"",
    exif: bytes = b"",
) -> bytes:
    """A picture as the bytes of a PNG, JPEG, WEBP or TIFF file. Raises ImageError if the format cannot hold it.

    picture: as `to_pil` takes it, or a Pillow image, which also has alpha and 16-bit grey. quality: 1..100, of JPEG
    and WEBP.
    """
    image = to_pil(picture) if isinstance(picture, Tensor) else picture
    options: dict[str, object] = {"exif": exif, "icc_profile": icc or None}
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for name, text in labels.text.items():
            chunks.add_text(name, text)
        if labels.xmp:
            chunks.add_itxt("XML:com.adobe.xmp", labels.xmp.decode())
        options |= {"pnginfo": chunks, "compress_level": _PNG_LEVEL}
    elif format == "JPEG":
        options |= {"quality": quality, "subsampling": 0, "xmp": labels.xmp}  # thin strokes keep their colour
    elif format == "WEBP":
        options |= {"quality": quality, "xmp": labels.xmp}
    elif format == "TIFF":
        tags = {ExifTags.Base.XMLPacket: labels.xmp} if labels.xmp else {}
        options |= {"compression": "tiff_deflate", "tiffinfo": tags}
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


def save_picture(
    path: Path,
    picture: Tensor | Image.Image,
    *,
    quality: int = 95,
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
    write_bytes(path, encode(picture, format, quality=quality, labels=labels, icc=icc, exif=exif))


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


def list_pictures(folder: Path) -> list[Path]:
    """Every file below a folder that is named like a picture, a2 before a10; nothing hidden, no links to folders.

    Raises ImageError if there is no such folder.
    """
    if not folder.is_dir():
        raise ImageError(f"there is no folder {folder}; check the name")
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not _hidden(f)]
        found += [Path(place, n) for n in names if not _hidden(n) and Path(n).suffix.lower() in SUFFIXES]
    return sorted(found, key=lambda path: [(_natural(part), part) for part in path.relative_to(folder).parts])


def _hidden(name: str) -> bool:
    return name.startswith((".", "__"))  # __MACOSX: what a Mac leaves in zips, small files named like the pictures


def _natural(name: str) -> list[str | int]:
    # split at a group puts the digits at the odd places, so that text meets text and numbers meet numbers
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(re.split(r"(\d+)", name))]


@contextlib.contextmanager
def _opened(source: Source, max_pixels: int) -> Iterator[tuple[ImageFile, str]]:
    """A picture whose header was read and whose size is allowed, not yet decoded, and what messages call it."""
    with _stream(source) as (stream, name):
        image = _identify(stream, name)
        if image.width * image.height > max_pixels:
            raise _too_large(name, image.size, max_pixels)
        yield image, name


@contextlib.contextmanager
def _stream(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    if not isinstance(source, (str, Path)):
        yield io.BytesIO(source if isinstance(source, bytes) else source.read()), "the picture"
        return
    path = Path(source)
    if path.is_dir():
        raise ImageError(f"{path} is a folder; give one picture")
    if not path.is_file():  # a pipe or device would never end
        raise ImageError(f"there is no picture {path}; check the name")
    try:
        file = open(path, "rb")
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); give yourself the right to read it") from error
    with file:
        yield file, str(path)


def _identify(stream: BinaryIO, name: str) -> ImageFile:
    """What Image.open does, for our formats alone and without its own limit, which depends on the process."""
    prefix = stream.read(16)
    if not prefix:
        raise ImageError(f"{name} is empty (0 bytes); copy or download it again")
    problem = None
    for format in _READABLE:
        factory, accept = Image.OPEN.get(format, (None, None))
        try:
            if factory is not None and accept is not None and accept(prefix) is True:
                stream.seek(0)
                return factory(stream, "")
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name} is larger than {2 * MAX_PIXELS / 1e6:g} megapixels; make it smaller") from error
        except Exception as error:  # decoders meet hostile bytes with any exception there is
            problem = error
    if problem is not None:
        raise _damaged(name, problem) from problem
    raise ImageError(f"{name} is not a picture that can be read here; give one of {', '.join(_READABLE)}")


def _damaged(name: str, error: Exception) -> ImageError:
    why = str(error) or type(error).__name__
    return ImageError(f"{name} is damaged, cut short or of a rare kind ({why}); copy it again or export it as PNG")


def _too_large(name: str, size: tuple[int, int], max_pixels: int) -> ImageError:
    width, height = size
    mega, limit = (f"{pixels / 1e6:.4g}" for pixels in (width * height, max_pixels))
    size = f"{width} x {height} = {mega} megapixels"
    return ImageError(f"{name} has {size}, over the limit of {limit}; make it smaller")


def _bits(image: ImageFile) -> int:
    """Bits a channel in the file, at least 8. To be asked before decoding, which forgets it."""
    tags = getattr(image, "tag_v2", {})
    if ExifTags.Base.BitsPerSample in tags:
        return max(8, *tags[ExifTags.Base.BitsPerSample])
    deep = image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in image.tile)
    return 32 if image.mode == "F" else 16 if deep else 8


def _scale_transparency(image: ImageFile) -> None:
    """PNG's transparent colour in the 8 bits a channel that Pillow decodes to; it leaves the file's own levels.

    To be called before decoding, which forgets the depth.
    """
    clear = image.info.get("transparency")
    depth = image.tile[0][3] if image.tile else None
    if isinstance(clear, int) and depth in ("L;2", "L;4"):
        image.info["transparency"] = clear * (85 if depth == "L;2" else 17)
    elif isinstance(clear, tuple) and depth == "RGB;16B":
        image.info["transparency"] = tuple(level >> 8 for level in clear)


def _pixels(image: Image.Image, bits: int, name: str) -> np.ndarray:
    """Any Pillow image as [H, W, C] uint8 or uint16; CMYK and Lab become sRGB. `bits` are those of deep grey."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep(image, bits, name)
    if image.mode in ("CMYK", "LAB"):
        image = _srgb(image, image.info.get("icc_profile") or b"")
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        mode += "A"
    if image.mode != mode:
        image = image.convert(mode)
    array = np.array(image)
    return array.reshape(*array.shape[:2], -1)


def _deep(image: Image.Image, bits: int, name: str) -> np.ndarray:
    """Grey of more than 8 bits as uint16 [H, W, 1], or [H, W, 2] where one value stands for transparent."""
    values = np.array(image)
    if image.mode == "F":
        # no float format says where white is; 0..1 is what most programs mean
        if not (values.min() >= 0 and values.max() <= 1):
            raise _no_white(name, values, "1")
        values = values * 65535 + 0.5
    elif image.mode == "I":
        if values.min() < 0 or values.max() > 65535:
            raise _no_white(name, values, "65535")
    elif bits < 16:
        values = values.astype(np.uint32) * 65535 // (2**bits - 1)
    grey = values.astype(np.uint16)
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey[..., None]
    return np.stack([grey, np.where(grey == clear, 0, 65535).astype(np.uint16)], axis=-1)


def _no_white(name: str, values: np.ndarray, white: str) -> ImageError:
    span = f"{values.min():g} to {values.max():g}"
    return ImageError(f"{name} has values from {span}, outside 0..{white} (black to white); export it with 16 bits")


def _eight_bit(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """RGB of an image without alpha that follows a profile. A profile that cannot be used is passed over."""
    if icc:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if "sRGB" in ImageCms.getProfileDescription(profile):
                return image.convert("RGB")  # the way there and back would only round
            if profile.profile.xcolor_space.strip() == "RGB":
                image = image.convert("RGB")  # grey pictures often carry a profile for colour
            turned = ImageCms.profileToProfile(
                image,
                profile,
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if turned is not None:
                return turned
    return image.convert("RGB")


def _turned(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """The pixels upright, for EXIF's orientation 1..8; any other value means upright already."""
    match orientation:
        case 2:
            pixels = pixels[:, ::-1]
        case 3:
            pixels = pixels[::-1, ::-1]
        case 4:
            pixels = pixels[::-1]
        case 5:
            pixels = pixels.swapaxes(0, 1)
        case 6:
            pixels = np.rot90(pixels, -1)
        case 7:
            pixels = pixels[::-1, ::-1].swapaxes(0, 1)
        case 8:
            pixels = np.rot90(pixels)
    return np.ascontiguousarray(pixels)


def _upright(exif: bytes) -> bytes:
    """EXIF whose orientation says upright, every other byte as it was; nothing of EXIF that is damaged."""
    start = 6 if exif.startswith(b"Exif\0\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2], "")
    if not order:
        return b""
    try:
        directory = start + struct.unpack_from(order + "I", exif, start + 4)[0]
        for entry in range(struct.unpack_from(order + "H", exif, directory)[0]):
            at = directory + 2 + 12 * entry
            if struct.unpack_from(order + "H", exif, at)[0] == ExifTags.Base.Orientation:
                patched = bytearray(exif)
                # tag, SHORT, one value, 1, padding
                struct.pack_into(order + "HHIHH", patched, at, ExifTags.Base.Orientation, 3, 1, 1, 0)
                return bytes(patched)
    except struct.error:
        return b""
    return exif
