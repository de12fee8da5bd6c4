"""A picture file, opened: its pixels upright and at full depth, with what a tool needs to write it back in kind."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from studio.errors import ImageError
from studio.raster.deep import decode_deep, deep_layout, in_planes
from studio.raster.exif import exif_of_tiff, upright
from studio.raster.pixels import (
    file_bits, scale_transparency, to_array, to_eight_bits, to_srgb, turn_upright,
)
from studio.raster.untrusted import MAX_PIXELS, Admitted, Source, admitted, damaged

_MAX_DPI = 1e5
_MULTIPLIED = 1  # TIFF's ExtraSamples: associated alpha


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright, in its file's own colours.

    To change one, `dataclasses.replace(picture, pixels=...)`: `studio.images.save_picture` writes the rest back.
    """

    pixels: np.ndarray  # [H, W, C] uint8 or uint16; C is 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA (alpha apart)
    format: str  # of the file, in Pillow's words: PNG, JPEG ...
    bits: int  # a channel in the file, at least 8; `pixels` keep more than 8 of PNG, TIFF and deep grey
    icc: bytes  # the profile that `pixels` follow; empty is sRGB
    exif: bytes  # save that its orientation says upright; empty, or begins with Exif and two zeros
    dpi: tuple[float, float] | None = None  # pixels an inch, across and down
    read_as: str = ""  # what of the file's colours `pixels` hold otherwise, in words; empty: they are the file's own
    icc_applied: bool = False  # the file has a profile, which led to these colours and cannot be written back

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4)

    def rgb(self) -> Image.Image:
        """8-bit sRGB over white."""
        image = to_eight_bits(self.pixels)
        if self.has_alpha:
            paper = Image.new(image.mode[:-1], image.size, "white")
            paper.paste(image, (0, 0), image)
            image = paper
        return to_srgb(image, self.icc)

    def rgba(self) -> Image.Image:
        """8-bit sRGB with its transparency; opaque where the file has none."""
        image = to_eight_bits(self.pixels)
        opaque = to_srgb(image.convert(image.mode.removesuffix("A")), self.icc)
        opaque.putalpha(image.getchannel("A") if self.has_alpha else 255)
        return opaque


def open_picture(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a picture file, its first frame or page.

    Raises ImageError for what is missing, empty, no picture, damaged, cut short, or of more than `max_pixels`, which
    the header tells before anything is decoded.
    """
    with admitted(source, max_pixels) as file:
        image, bits = file.image, file_bits(file.image)
        turned_by_pillow = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation)  # as it does for TIFF alone
        pixels = _decode(file, bits)
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation)
        except Exception:  # damaged EXIF is no reason to refuse a picture
            orientation = None
        exif = exif_of_tiff(file.stream) if image.format == "TIFF" else upright(image.info.get("exif") or b"")
        led_to_srgb, profile = image.mode in ("CMYK", "LAB"), image.info.get("icc_profile") or b""
        icc, read_as = (b"", f"{image.mode} colours, which are read as sRGB") if led_to_srgb else (profile, "")
        if tuple(getattr(image, "tag_v2", {}).get(ExifTags.Base.ExtraSamples, ())) == (_MULTIPLIED,):
            read_as = "colours multiplied by their alpha, which are read as straight ones"
        dpi = _dpi(image, turned=(turned_by_pillow or orientation) in (5, 6, 7, 8))
        if image.mode == "F":
            read_as = "floating-point greys, which are read in 16 bits"
        applied = led_to_srgb and bool(profile)
        upright_pixels = turn_upright(pixels, orientation)
        return Picture(upright_pixels, image.format or "", bits, icc, exif, dpi, read_as, applied)


def _decode(file: Admitted, bits: int) -> np.ndarray:
    image, layout = file.image, deep_layout(file.image)
    if bits > 8 and in_planes(image) and any(tile.codec_name == "raw" for tile in image.tile):
        # Pillow would take every sample for two
        what = f"{file.name} has {bits} bits a channel, plane by plane"
        raise ImageError(f"{what}; export it with interleaved channels")
    scale_transparency(image)
    inverted = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0
    try:
        if layout is not None:
            return decode_deep(image, file.again, layout)
        image.load()
    except ImageError:
        raise
    except Exception as error:
        raise damaged(file.name, error) from error
    pixels = to_array(image, bits, file.name)
    if inverted and image.mode.startswith("I;16"):  # Pillow turns it around in 8 bits, not in 16
        pixels = 65535 - pixels
    return pixels


def _dpi(image: ImageFile, turned: bool) -> tuple[float, float] | None:
    tags = getattr(image, "tag_v2", None)
    if tags is not None and ExifTags.Base.XResolution not in tags:
        return None  # Pillow says 1 of a TIFF that does not say
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(value) and 0 < value <= _MAX_DPI for value in (across, down)):
        return None
    return (down, across) if turned else (across, down)
