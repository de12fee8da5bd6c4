import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from studio.raster.tiff import encode_tiff
from tests.picture_files import swapped_profile
from tests.raster.test_deep import samples

XMP = "<x>字</x>".encode()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("height, width", [(1, 1), (70, 53), (300, 400)])  # the last in several strips
def test_another_program_reads_the_same_pixels(dtype: type, channels: int, height: int, width: int) -> None:
    pixels = samples(channels, height, width).astype(dtype)
    with tifffile.TiffFile(io.BytesIO(encode_tiff(pixels))) as file:
        page = file.pages[0]
        found = page.asarray()
        stored = width * page.samplesperpixel * page.bitspersample // 8
        assert len(page.dataoffsets) == -(-height // (2**18 // stored))
        assert page.photometric.name == ("MINISBLACK" if page.samplesperpixel < 3 else "RGB")
        assert [extra.name for extra in page.extrasamples] == (["UNASSALPHA"] if channels in (2, 4) else [])
    if channels == 2 and dtype is np.uint16:
        assert np.array_equal(found, pixels[..., [0, 0, 0, 1]])  # RGBA, which more programs read
    else:
        assert np.array_equal(found.reshape(pixels.shape), pixels)


def test_pillow_reads_it_in_eight_bits() -> None:
    for channels, mode in ((1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")):
        pixels = samples(channels).astype(np.uint8)
        with Image.open(io.BytesIO(encode_tiff(pixels))) as image:
            assert image.mode == mode and np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_what_it_carries() -> None:
    data = encode_tiff(samples(3), icc=swapped_profile(), xmp=XMP, dpi=(300, 72.5))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].tags
        assert tags["InterColorProfile"].value == swapped_profile() and tags["XMP"].value == XMP
        assert tags["XResolution"].value == (300, 1) and tags["YResolution"].value == (145, 2)
        assert tags["ResolutionUnit"].value.name == "INCH"
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["dpi"] == (300, 72.5) and image.info["icc_profile"] == swapped_profile()


def test_it_is_smaller_than_its_pixels() -> None:
    y, x = np.mgrid[:200, :300]
    slope = (x * 100 + y * 50).astype(np.uint16)[..., None]
    assert len(encode_tiff(slope)) < slope.nbytes / 50


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x3b\0\x02\0\0\0\x04Ann\0\0\0\0\0"])
def test_layers_are_further_pages(dtype: type, exif: bytes) -> None:
    photo, fill, other = (samples(channels).astype(dtype) for channels in (3, 4, 2))
    layers = [("fill", fill), ("second", other)]
    data = encode_tiff(photo, icc=swapped_profile(), exif=exif, dpi=(300, 300), layers=layers)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = list(file.pages)
        assert len(pages) == 3 and [page.tags[285].value for page in pages[1:]] == ["fill", "second"]
        assert np.array_equal(pages[0].asarray(), photo) and np.array_equal(pages[1].asarray(), fill)
        alone = other[..., [0, 0, 0, 1]] if dtype == np.uint16 else other
        assert np.array_equal(pages[2].asarray(), alone)
        assert all(page.tags[34675].value == swapped_profile() for page in pages)
        assert (315 in pages[0].tags) == bool(exif) and 315 not in pages[1].tags
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
