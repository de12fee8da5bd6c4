import io

import numpy as np
import pytest
from PIL import Image

from studio.raster.opening import open_picture
from studio.raster.png import encode_png16
from tests.picture_files import chunk, swapped_profile
from tests.raster.test_deep import samples


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("height, width", [(1, 1), (64, 3), (150, 53)])  # the last in several goes
def test_libpngs_filters_undo_ours(channels: int, height: int, width: int) -> None:
    pixels = samples(channels, height, width)
    data = encode_png16(pixels)
    assert np.array_equal(open_picture(data).pixels, pixels)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()  # of every chunk


def test_what_it_carries() -> None:
    texts = [(b"tEXt", b"title\0a"), (b"tEXt", b"title2\0b")]
    data = encode_png16(samples(3), texts=texts, icc=swapped_profile(), exif=b"MM\0*\0\0\0\x08\0\0", dpi=(300, 72))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.info["icc_profile"] == swapped_profile()
        assert image.info["dpi"] == pytest.approx((300, 72), abs=0.01)
        assert image.info["title"] == "a" and image.info["title2"] == "b"
        assert image.info["exif"] == b"Exif\0\0MM\0*\0\0\0\x08\0\0"
    assert encode_png16(samples(3)).count(b"pHYs") == 0


def test_it_is_smaller_than_its_pixels() -> None:
    y, x = np.mgrid[:200, :300]
    slope = (x * 100 + y * 50).astype(np.uint16)[..., None]
    assert len(encode_png16(slope)) < slope.nbytes / 3


def test_chunks_have_the_checksum_of_the_standard() -> None:
    """IEND's is known by heart."""
    assert encode_png16(samples(1)).endswith(bytes.fromhex("0000000049454e44ae426082"))
    assert chunk(b"IEND", b"") == bytes.fromhex("0000000049454e44ae426082")
