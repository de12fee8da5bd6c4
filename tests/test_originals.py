from typing import Any

import numpy as np
import pytest

from studio.errors import ImageError
from studio.originals import fit_for
from studio.raster.opening import Picture


def picture(height: int, width: int, channels: int, level: int = 255, dtype: Any = np.uint8) -> Picture:
    return Picture(np.broadcast_to(dtype(level), (height, width, channels)), "PNG", 8, b"", b"")


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_that_hides_nothing_is_no_reason_to_refuse_jpeg(channels: int, dtype: Any) -> None:
    opaque = picture(3, 4, channels, np.iinfo(dtype).max, dtype)
    assert fit_for(opaque, "JPEG").pixels.shape == (3, 4, channels - 1)
    assert fit_for(opaque, "PNG") is opaque


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_refused_by_jpeg_alone(format: str) -> None:
    clear = picture(3, 4, 4, level=254)
    assert fit_for(clear, format) is clear
    with pytest.raises(ImageError, match="^the photo is transparent in places, which JPEG cannot hold; choose PNG, "):
        fit_for(clear, "JPEG")


def test_sides_that_are_too_long() -> None:
    assert fit_for(picture(2, 16_383, 3), "WEBP") and fit_for(picture(2, 65_500, 3), "JPEG")
    assert fit_for(picture(2, 16_384, 3), "WEBP", longest=16_383) and fit_for(picture(2, 70_000, 3), "PNG")
    for long, format in ((16_384, "WEBP"), (65_501, "JPEG")):
        with pytest.raises(
            ImageError, match=rf"^a side of {long:,} px is over the limit of {long - 1:,} of {format}; "
        ):
            fit_for(picture(2, long, 3), format)
    with pytest.raises(ImageError, match="^a side of 20,000 px"):
        fit_for(picture(2, 4, 3), "WEBP", longest=20_000)
