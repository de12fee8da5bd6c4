"""Colour profiles the other way round: from sRGB into the colours that a picture's numbers stand for."""

import contextlib
import io

from PIL import Image, ImageCms

from studio.raster.pixels import is_srgb


def is_rgb(icc: bytes) -> bool:
    """Whether a profile is for red, green and blue; no profile means sRGB. One that cannot be read is passed over."""
    if not icc:
        return True
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip() == "RGB"
    return False


def from_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """An sRGB picture as the profile's numbers, in 8 bits. A profile that cannot be used is passed over."""
    if is_srgb(icc) or not is_rgb(icc):
        return image
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        turned = ImageCms.profileToProfile(
            image,
            ImageCms.createProfile("sRGB"),
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if turned is not None:
            return turned
    return image
