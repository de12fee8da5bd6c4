import io
import struct

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, PngImagePlugin

from studio.errors import ImageError
from studio.images import encode, to_tensor
from studio.raster.opening import open_picture
from tests.picture_files import (
    ORIENTATION, as_file, chunk, grey16, levels, linear_grey_profile, png, red_cyan_profile, swapped_profile,
)

# Three rows of two blocks: no turn or flip of it looks like another.
BLOCKS = np.kron(np.arange(0, 240, 40, dtype=np.uint8).reshape(3, 2), np.ones((8, 8), np.uint8))


# How a camera held in each way stores what is upright as BLOCKS, by EXIF's word on where row 0 and column 0 are.
STORED = {
    1: BLOCKS,
    2: BLOCKS[:, ::-1],
    3: BLOCKS[::-1, ::-1],
    4: BLOCKS[::-1],
    5: BLOCKS.T,
    6: BLOCKS.T[::-1],
    7: BLOCKS[::-1, ::-1].T,
    8: BLOCKS.T[:, ::-1],
}


def test_rgb_maps_0_and_255_to_the_ends() -> None:
    image = Image.new("RGB", (1, 1), (0, 51, 255))
    x = to_tensor(open_picture(as_file(image, "PNG")))
    assert x.shape == (1, 3, 1, 1) and x.dtype == torch.float32
    assert x.flatten().tolist() == pytest.approx([-1, -0.6, 1], abs=1e-7)


def test_alpha_is_laid_on_white_or_kept() -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 255), (255, 0, 0, 51), (9, 9, 9, 0)])
    picture = open_picture(as_file(image, "PNG"))
    assert picture.has_alpha
    assert levels(picture) == [[255, 0, 0], [255, 204, 204], [255, 255, 255]]
    assert np.array_equal(np.asarray(picture.rgba()), np.asarray(image))
    assert open_picture(as_file(Image.new("RGB", (1, 1)), "PNG")).rgba().getpixel((0, 0)) == (0, 0, 0, 255)


def test_grey_with_alpha() -> None:
    image = Image.new("LA", (2, 1))
    image.putdata([(0, 255), (0, 51)])
    picture = open_picture(as_file(image, "PNG"))
    assert picture.pixels.shape == (1, 2, 2)
    assert levels(picture, 1) == [[0], [204]]
    assert picture.rgba().getpixel((1, 0)) == (0, 0, 0, 51)


def palette_picture() -> Image.Image:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    return image


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette(format: str) -> None:
    assert levels(open_picture(as_file(palette_picture(), format))) == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_with_a_transparent_colour(format: str) -> None:
    picture = open_picture(as_file(palette_picture(), format, transparency=1))
    assert levels(picture) == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    assert np.asarray(picture.rgba())[0, :, 3].tolist() == [255, 0, 255]


def test_palette_with_an_alpha_each() -> None:
    picture = open_picture(as_file(palette_picture(), "PNG", transparency=bytes([255, 51, 0])))
    assert levels(picture) == [[255, 0, 0], [204, 255, 204], [255, 255, 255]]


@pytest.mark.parametrize("mode, colour", [("L", 7), ("RGB", (1, 2, 3))])
def test_one_colour_that_means_transparent(mode: str, colour: object) -> None:
    image = Image.new(mode, (2, 1), colour)
    image.putpixel((1, 0), 0 if mode == "L" else (0, 0, 0))
    assert levels(open_picture(as_file(image, "PNG", transparency=colour))) == [[255] * 3, [0] * 3]


@pytest.mark.parametrize(
    "depth, row, clear", [(1, 0b01000000, 1), (2, 0b00110000, 3), (4, 0x0F, 15), (8, 0x00FF, 255)]
)
def test_the_transparent_grey_is_one_of_the_files_own_levels(depth: int, row: int, clear: int) -> None:
    rows = b"\0" + row.to_bytes(2 if depth == 8 else 1, "big")
    picture = open_picture(png(2, 1, depth, 0, rows, chunk(b"tRNS", struct.pack(">H", clear))))
    assert picture.pixels.tolist() == [[[0, 255], [255, 0]]]


@pytest.mark.parametrize("depth, colour", [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_a_transparent_colour_that_the_depth_does_not_have(depth: int, colour: int) -> None:
    clear = struct.pack(">3H", 65535, 65535, 65535)[: 6 if colour else 2]
    black = b"\0" + bytes(depth // 8 * (3 if colour else 1) or 1)
    assert levels(open_picture(png(1, 1, depth, colour, black, chunk(b"tRNS", clear)))) == [[0, 0, 0]]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit(format: str) -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 255)
    picture = open_picture(as_file(image, format))
    assert levels(picture) == [[0] * 3, [255] * 3]
    assert picture.bits == 8  # that is, `pixels` keep all there is


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile(format: str) -> None:
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert levels(open_picture(as_file(image, format)))[0] == pytest.approx([0, 255, 255], abs=1)
    image = Image.new("CMYK", (8, 8), (0, 0, 0, 102))
    assert levels(open_picture(as_file(image, format)))[0] == pytest.approx([153, 153, 153], abs=1)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_follows_its_profile(format: str) -> None:
    image = Image.new("CMYK", (16, 8), (255, 0, 0, 0))
    image.paste((0, 255, 255, 255), (8, 0, 16, 8))
    picture = open_picture(as_file(image, format, icc_profile=red_cyan_profile()))
    assert levels(picture)[0] == pytest.approx([255, 0, 0], abs=3)
    assert levels(picture)[15] == pytest.approx([255, 255, 255], abs=3)
    assert picture.icc == b"" and picture.pixels.shape == (8, 16, 3)


def test_lab() -> None:
    image = Image.new("LAB", (1, 1), (255, 128, 128))
    picture = open_picture(as_file(image, "TIFF"))
    assert levels(picture)[0] == pytest.approx([255, 255, 255], abs=2)
    assert picture.read_as == "LAB colours, which are read as sRGB" and not picture.icc_applied


def test_colours_follow_their_profile_and_pixels_keep_it() -> None:
    icc = swapped_profile()
    picture = open_picture(as_file(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG", icc_profile=icc))
    assert picture.icc == icc
    assert picture.pixels.tolist() == [[[255, 0, 0]]]
    assert levels(picture)[0] == pytest.approx([0, 0, 255], abs=2)
    image = Image.new("RGBA", (1, 1), (255, 0, 0, 51))
    rgba = open_picture(as_file(image, "PNG", icc_profile=icc)).rgba().getpixel((0, 0))
    assert rgba == pytest.approx((0, 0, 255, 51), abs=2)
    assert not picture.read_as and not picture.icc_applied


def test_a_grey_picture_may_carry_a_profile_for_colours() -> None:
    picture = open_picture(as_file(Image.new("L", (1, 1), 90), "PNG", icc_profile=swapped_profile()))
    assert levels(picture)[0] == pytest.approx([90, 90, 90], abs=2)


def test_grey_follows_a_grey_profile() -> None:
    """Linear light: half of it is sRGB's 188."""
    icc = linear_grey_profile()
    for image in (Image.new("L", (1, 1), 128), grey16(32896)):
        assert levels(open_picture(as_file(image, "PNG", icc_profile=icc)))[0] == pytest.approx([188] * 3, abs=1)
    picture = open_picture(as_file(Image.new("LA", (1, 1), (128, 51)), "PNG", icc_profile=icc))
    assert picture.rgba().getpixel((0, 0)) == pytest.approx((188, 188, 188, 51), abs=1)


def test_a_profile_that_cannot_be_used_is_passed_over() -> None:
    for icc in (b"not a profile", red_cyan_profile()):
        picture = open_picture(as_file(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG", icc_profile=icc))
        assert levels(picture) == [[1, 2, 3]]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(format: str) -> None:
    picture = open_picture(as_file(grey16(0, 257, 32768, 65535), format))
    assert picture.pixels.dtype == np.uint16 and picture.bits == 16
    x = to_tensor(picture, 1).flatten().tolist()
    assert x == pytest.approx([-1, 2 / 255 - 1, 1 / 65535, 1], abs=1e-7)
    assert x[2] != 0  # 8 bits would have no such value
    assert levels(picture) == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]
    assert np.asarray(picture.rgb())[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_big_endian() -> None:
    image = Image.frombytes("I;16B", (2, 1), b"\x80\x00\x12\x34")
    assert open_picture(as_file(image, "TIFF")).pixels.flatten().tolist() == [0x8000, 0x1234]


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_sixteen_bit_where_zero_is_white(compression: str | None) -> None:
    tags = {ExifTags.Base.PhotometricInterpretation: 0}
    data = as_file(grey16(0, 65535, 1), "TIFF", tiffinfo=tags, compression=compression)
    assert open_picture(data).pixels.flatten().tolist() == [65535, 0, 65534]


def test_twelve_bit_tiff() -> None:
    """4095 is white. By hand, for Pillow writes none: nine tags, then three values in five bytes from 122 on."""
    entries = [(256, 3), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 5)]
    data = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    data += b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries) + bytes(4)
    picture = open_picture(data + b"\x00\x08\x00\xff\xf0")
    assert picture.bits == 12
    assert picture.pixels.flatten().tolist() == [0, 0x800 * 65535 // 4095, 65535]


def test_sixteen_bit_grey_with_a_transparent_value() -> None:
    rows = b"\0" + struct.pack(">2H", 5, 6)
    picture = open_picture(png(2, 1, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 5))))
    assert picture.pixels.tolist() == [[[5, 0], [6, 65535]]]
    assert levels(picture) == [[255] * 3, [0] * 3]


def test_grey_map_of_ten_bits() -> None:
    data = b"P5 3 1 1023\n" + struct.pack(">3H", 0, 1023, 512)
    assert to_tensor(open_picture(data), 1).flatten().tolist() == pytest.approx([-1, 1, 2 * 512 / 1023 - 1], abs=1e-4)


def test_floats_from_0_to_1() -> None:
    image = Image.fromarray(np.array([[0, 0.25, 1]], dtype=np.float32))
    picture = open_picture(as_file(image, "TIFF"))
    assert picture.bits == 32 and picture.pixels.flatten().tolist() == [0, 16384, 65535]
    assert picture.read_as == "floating-point greys, which are read in 16 bits" and not picture.icc_applied
    assert to_tensor(picture, 1).flatten().tolist() == pytest.approx([-1, -0.5, 1], abs=1e-4)


@pytest.mark.parametrize("values", [[[0.0, 1.5]], [[-0.1, 1.0]], [[float("nan"), 1.0]], [[float("inf"), 1.0]]])
def test_floats_without_a_white_are_refused(values: list[list[float]]) -> None:
    image = Image.fromarray(np.array(values, dtype=np.float32))
    with pytest.raises(ImageError, match="outside 0..1 .black to white.; export it with 16 bits"):
        open_picture(as_file(image, "TIFF"))


def test_wide_integers_without_a_white_are_refused() -> None:
    image = Image.fromarray(np.array([[0, 70000]], dtype=np.int32))
    with pytest.raises(ImageError, match="0 to 70000, outside 0..65535"):
        open_picture(as_file(image, "TIFF"))


def test_the_first_frame_of_a_film() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for format in ("GIF", "WEBP", "TIFF", "PNG"):
        lossless = {"lossless": True} if format == "WEBP" else {}
        data = as_file(frames[0], format, save_all=True, append_images=frames[1:], **lossless)
        assert levels(open_picture(data))[0] == [255, 0, 0], format


@pytest.mark.parametrize("format", ["PNG", "BMP", "PPM", "TIFF", "JPEG2000"])
def test_lossless_formats(format: str) -> None:
    array = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    picture = open_picture(as_file(Image.fromarray(array), format))
    assert np.array_equal(picture.pixels, array)
    assert (picture.format, picture.size, picture.bits, picture.has_alpha) == (format, (40, 40), 8, False)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "format, options",
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 100}),
    ],
)
def test_every_orientation_gives_the_same_picture(format: str, options: dict, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    picture = open_picture(as_file(image, format, exif=exif, **options))
    assert picture.size == (16, 24)
    assert np.abs(picture.pixels[..., 0].astype(int) - BLOCKS).max() <= (format == "JPEG")


def test_sixteen_bits_and_alpha_are_turned_too() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert open_picture(as_file(grey16(1, 2), "PNG", exif=exif)).pixels.tolist() == [[[1]], [[2]]]
    image = Image.new("LA", (2, 1), (1, 2))
    assert open_picture(as_file(image, "PNG", exif=exif)).pixels.tolist() == [[[1, 2]], [[1, 2]]]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG"])
def test_resolution(format: str) -> None:
    image, exif = Image.new("L", (4, 2)), Image.Exif()
    assert open_picture(as_file(image, format)).dpi is None
    assert open_picture(as_file(image, format, dpi=(300, 72))).dpi == pytest.approx((300, 72), abs=0.01)
    exif[ORIENTATION] = 6
    turned = open_picture(as_file(image, format, dpi=(300, 72), exif=exif))
    assert turned.size == (2, 4) and turned.dpi == pytest.approx((72, 300), abs=0.01)


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9), (float("nan"), 1), "300", (1,), (1, 2, 3), None])
def test_resolutions_that_are_none(monkeypatch: pytest.MonkeyPatch, dpi: object) -> None:
    data = as_file(Image.new("L", (4, 2)), "PNG")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", lambda self: self.info.update(dpi=dpi))
    assert open_picture(data).dpi is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_kept_except_for_its_orientation(order: str) -> None:
    def exif(orientation: int) -> bytes:
        mark = b"II*\0" if order == "<" else b"MM\0*"
        entries = [(ORIENTATION, 3, 1, orientation, 0), (0x0128, 3, 1, 2, 0)]
        directory = struct.pack(order + "H", 2) + b"".join(struct.pack(order + "HHIHH", *entry) for entry in entries)
        return b"Exif\0\0" + mark + struct.pack(order + "I", 8) + directory + bytes(4) + b"a maker's own bytes"

    image = Image.new("L", (4, 2))
    picture = open_picture(as_file(image, "JPEG", exif=exif(6)))
    assert picture.size == (2, 4)
    assert picture.exif == exif(1)
    again = open_picture(encode(picture.rgb(), "JPEG", exif=picture.exif))
    assert again.size == (2, 4) and again.exif == exif(1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's word on it
@pytest.mark.parametrize("exif", [b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"rubbish"])
def test_damaged_exif_does_not_hide_the_picture(exif: bytes) -> None:
    for format in ("JPEG", "PNG"):
        picture = open_picture(as_file(Image.new("L", (4, 2), 9), format, exif=b"Exif\0\0" + exif))
        assert picture.size == (4, 2) and picture.exif == b""
