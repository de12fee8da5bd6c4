"""From Pillow's many kinds of image to two: uint8 or uint16, with 1 to 4 channels."""

import contextlib
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.ImageFile import ImageFile

from studio.errors import ImageError


def file_bits(image: ImageFile) -> int:
    """Bits a channel in the file, at least 8. To be asked before decoding, which forgets it."""
    tags = getattr(image, "tag_v2", {})
    if ExifTags.Base.BitsPerSample in tags:
        return max(8, *tags[ExifTags.Base.BitsPerSample])
    deep = image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in image.tile)
    return 32 if image.mode == "F" else 16 if deep else 8


def scale_transparency(image: ImageFile) -> None:
    """PNG's transparent grey in the 8 bits that Pillow decodes to; it leaves the file's own levels.

    To be called before decoding, which forgets the depth.
    """
    clear = image.info.get("transparency")
    depth = image.tile[0][3] if image.tile else None
    if isinstance(clear, int) and depth in ("L;2", "L;4"):
        image.info["transparency"] = clear * (85 if depth == "L;2" else 17)


def to_array(image: Image.Image, bits: int = 16, name: str = "the picture") -> np.ndarray:
    """Any Pillow image as [H, W, C] uint8 or uint16; CMYK and Lab become sRGB. `bits` are those of deep grey.

    Raises ImageError for grey whose white is unknown; `name` is what messages call the picture.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image, bits, name)
    if image.mode in ("CMYK", "LAB"):
        image = to_srgb(image, image.info.get("icc_profile") or b"")
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        mode += "A"
    if image.mode != mode:
        image = image.convert(mode)
    array = np.array(image)
    return array.reshape(*array.shape[:2], -1)


def _deep_grey(image: Image.Image, bits: int, name: str) -> np.ndarray:
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


def to_eight_bits(pixels: np.ndarray) -> Image.Image:
    """[H, W, C] uint8 or uint16, C 1 to 4, as a Pillow image, to the nearest level."""
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def is_srgb(icc: bytes) -> bool:
    """Whether a profile is sRGB's, under whatever name; no profile means sRGB too."""
    if not icc:
        return True
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    return False


def to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """RGB of an image without alpha that follows a profile. A profile that cannot be used is passed over."""
    if not is_srgb(icc):  # the way there and back would only round
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
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


def turn_upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
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
