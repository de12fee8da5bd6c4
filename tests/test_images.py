import errno
import io
import os
import random
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms, ImageFile, PngImagePlugin

from studio.errors import DiskError, ImageError
from studio.images import (
    MAX_PIXELS, Labels, encode, encode_jpeg, grid, list_pictures, open_picture, read_labels, resize_crop,
    save_picture, to_pil, to_tensor, to_uint8,
)

ORIENTATION = ExifTags.Base.Orientation
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


def as_file(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def grey16(*values: int) -> Image.Image:
    return Image.fromarray(np.array([values], dtype=np.uint16))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, data: bytes = b"", extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(data)) if data else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + rows + chunk(b"IEND", b"")


def swapped_profile() -> bytes:
    """sRGB's profile with the red and blue primaries exchanged, and another name."""
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in range(struct.unpack_from(">I", icc, 128)[0]):
        at = 132 + 12 * tag
        name = bytes(icc[at : at + 4])
        icc[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    return bytes(icc).replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


def profile(kind: bytes, colours: bytes, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.4, under the white that all profiles have in common."""
    d50 = (0xF6D6, 0x10000, 0xD32D)
    tags = {b"wtpt": struct.pack(">4sI3I", b"XYZ ", 0, *d50), **tags}
    body, directory, at = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        directory += struct.pack(">4sII", name, at + len(body), len(data))
        body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02400000, kind, colours, space)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3I", *d50)
    return head.ljust(128, b"\0") + directory + body


def linear_grey_profile() -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": struct.pack(">4sIIH", b"curv", 0, 1, 0x0100)})


def red_cyan_profile() -> bytes:
    """A CMYK profile in which cyan ink is sRGB's red on white paper, and the other inks do not show."""
    white, red = (0xFF00, 0x8000, 0x8000), (0x8B00, 0xD0D0, 0xC5F0)  # Lab, 16 bits; red is 54.3, 80.8, 69.9
    corners = [red if node & 8 else white for node in range(16)]  # the first ink varies slowest
    numbers = [v for corner in corners for v in corner]
    unit = [0x10000 if i % 4 == 0 else 0 for i in range(9)]
    table = struct.pack(">4sIBBBB9i2H", b"mft2", 0, 4, 3, 2, 0, *unit, 2, 2)
    table += struct.pack(">8H", *[0, 65535] * 4) + struct.pack(">48H", *numbers) + struct.pack(">6H", *[0, 65535] * 3)
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def levels(picture: object, channels: int = 3) -> list[list[int]]:
    """The first row of a picture, one list of 0..255 a pixel."""
    return to_uint8(to_tensor(picture, channels))[0, :, 0].T.tolist()


# Every kind of picture


def test_rgb_maps_0_and_255_to_the_ends() -> None:
    image = Image.new("RGB", (1, 1), (0, 51, 255))
    x = to_tensor(open_picture(as_file(image, "PNG")))
    assert x.shape == (1, 3, 1, 1) and x.dtype == torch.float32
    assert x.flatten().tolist() == pytest.approx([-1, -0.6, 1], abs=1e-7)


def test_grey_fills_three_channels_that_do_not_share_memory() -> None:
    for image in (Image.new("L", (2, 1), 51), grey16(51 * 257, 51 * 257)):
        x = to_tensor(image)
        assert torch.allclose(x, torch.full((1, 3, 1, 2), 51 / 127.5 - 1), atol=1e-6)
        x[0, 0] = 0
        assert x[0, 1, 0, 0] != 0


def test_colour_becomes_luma() -> None:
    image = Image.new("RGB", (1, 1), (255, 0, 0))
    assert to_tensor(image, 1).item() == pytest.approx(2 * 0.299 - 1, abs=1e-6)
    assert to_tensor(Image.new("RGB", (1, 1), "white"), 1).item() == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="1 or 3"):
        to_tensor(image, 2)


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


def test_the_transparent_colour_of_sixteen_bits() -> None:
    rows = b"\0" + struct.pack(">6H", 0x8000, 0xFFFF, 0, 0x0080, 0x00FF, 0)
    picture = open_picture(png(2, 1, 16, 2, rows, chunk(b"tRNS", struct.pack(">3H", 0x8000, 0xFFFF, 0))))
    assert picture.pixels.tolist() == [[[128, 255, 0, 0], [0, 0, 0, 255]]]


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
    assert levels(open_picture(as_file(image, "TIFF")))[0] == pytest.approx([255, 255, 255], abs=2)


def test_colours_follow_their_profile_and_pixels_keep_it() -> None:
    icc = swapped_profile()
    picture = open_picture(as_file(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG", icc_profile=icc))
    assert picture.icc == icc
    assert picture.pixels.tolist() == [[[255, 0, 0]]]
    assert levels(picture)[0] == pytest.approx([0, 0, 255], abs=2)
    image = Image.new("RGBA", (1, 1), (255, 0, 0, 51))
    rgba = open_picture(as_file(image, "PNG", icc_profile=icc)).rgba().getpixel((0, 0))
    assert rgba == pytest.approx((0, 0, 255, 51), abs=2)


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


def test_an_opened_pillow_image_follows_its_profile_once() -> None:
    data = as_file(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", icc_profile=swapped_profile())
    with Image.open(io.BytesIO(data)) as image:  # a mislabelled file: red ink, and a profile for RGB
        assert levels(image)[0] == pytest.approx([0, 0, 255], abs=2)
    data = as_file(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG", icc_profile=swapped_profile())
    with Image.open(io.BytesIO(data)) as image:
        assert levels(image)[0] == pytest.approx([0, 0, 255], abs=2)


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


def test_sixteen_bit_colour() -> None:
    """Pillow keeps the upper 8 bits, and the picture says that its file had more."""
    rows = b"\0" + struct.pack(">3H", 0x8000, 0xFFFF, 0x0180)
    picture = open_picture(png(1, 1, 16, 2, rows))
    assert picture.bits == 16 and picture.pixels.dtype == np.uint8
    assert picture.pixels.flatten().tolist() == [0x80, 0xFF, 0x01]


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


# Upright


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


# What is refused


class Decoded(BaseException):
    """Not an Exception, which would be taken for a decoder's."""


def test_bombs_are_refused_from_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: object) -> None:
        raise Decoded

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", decode)
    sentence = "the picture has 50000 x 40000 = 2000 megapixels, over the limit of 200; make it smaller"
    with pytest.raises(ImageError, match=sentence):
        open_picture(png(50000, 40000, 8, 2))
    with pytest.raises(ImageError, match="4 x 3 = 1.2e-05 megapixels, over the limit of 1.1e-05"):
        open_picture(png(4, 3, 8, 2), max_pixels=11)
    with pytest.raises(Decoded):
        open_picture(png(4, 3, 8, 2), max_pixels=12)
    with pytest.raises(Decoded):  # Pillow alone would warn, and refuse from 179 megapixels on
        open_picture(png(20_000, 10_000, 8, 2))


@pytest.mark.parametrize(
    "data",
    [
        b"P6 30000 30000 255\n",
        b"GIF89a" + struct.pack("<HHBBB", 30000, 30000, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2\0\0",
        b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0" + struct.pack("<HH", 30000, 30000) + b"\0\2\2\0\0",
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0),
    ],
    ids=["PPM", "GIF", "GIF with a frame beyond its screen", "BMP"],
)
def test_bombs_of_other_formats(data: bytes) -> None:
    with pytest.raises(ImageError, match="megapixels.*make it smaller"):
        open_picture(data)


def test_the_process_has_one_limit_and_nobody_moves_it() -> None:
    found: dict[int, object] = {}

    def work(shade: int) -> None:
        data = as_file(Image.new("L", (8, 8), shade), "PNG", icc_profile=linear_grey_profile())
        for _ in range(5):
            with pytest.raises(ImageError, match="over the limit"):
                open_picture(data, max_pixels=63 - shade)
            found[shade] = np.unique(open_picture(data, max_pixels=64 + shade).pixels).tolist()

    threads = [threading.Thread(target=work, args=(shade,)) for shade in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {shade: [shade] for shade in range(8)}
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
def test_what_is_cut_short_is_refused(format: str, kept: float) -> None:
    data = as_file(noise(), format)
    open_picture(data)
    with pytest.raises(ImageError, match="the picture is (damaged, cut short|not a picture)"):
        open_picture(data[: int(kept * len(data))])


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's word on odd tags
def test_what_is_damaged_is_refused_or_shown_and_nothing_else() -> None:
    """Whatever a decoder raises at odd bytes, only ImageError comes out."""
    chance = random.Random(0)
    formats = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
    files = [as_file(noise().resize((9, 9)), format) for format in formats]
    refused = 0
    for _ in range(400):
        data = bytearray(chance.choice(files))
        for _ in range(4):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 127, 255))
        try:
            to_tensor(open_picture(bytes(data), max_pixels=1_000_000))
        except ImageError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    "data",
    [b"a letter, not a picture", b"%PDF-1.4", b"%!PS-Adobe-3.0 EPSF-3.0", b"8BPS\0\1", bytes(64), b"P7", b"<svg/>"],
)
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(ImageError, match="the picture is not a picture that can be read here; give one of PNG, JPEG"):
        open_picture(data)


def test_what_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match=r"a\.png is empty \(0 bytes\)"):
        open_picture(tmp_path / "a.png")
    with pytest.raises(ImageError, match="the picture is empty"):
        open_picture(b"")
    with pytest.raises(ImageError, match="damaged"):  # a picture of no pixels
        open_picture(png(0, 5, 8, 2))


def test_places_that_hold_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder; give one picture"):
        open_picture(tmp_path)
    with pytest.raises(ImageError, match=r"there is no picture .*nowhere\.png; check the name"):
        open_picture(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="there is no picture"):
        open_picture("a\0b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="there is no picture"):
        open_picture(tmp_path / "pipe.png")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 1, 8, 0, b"\0\0"))

    def refuse(*args: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ImageError, match=r"a\.png cannot be read \(Permission denied\)"):
        open_picture(tmp_path / "a.png")


def test_every_kind_of_source(tmp_path: Path) -> None:
    data = as_file(Image.new("L", (1, 1), 77), "PNG")
    (tmp_path / "a.jpg").write_bytes(data)  # the content counts, not the name
    for source in (data, tmp_path / "a.jpg", str(tmp_path / "a.jpg"), io.BytesIO(data)):
        assert open_picture(source).pixels.tolist() == [[[77]]]
    with open(tmp_path / "a.jpg", "rb") as file:
        assert open_picture(file).format == "PNG"


# Tensors


def test_every_level_survives_the_round_trip() -> None:
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    image = Image.fromarray(ramp[0, 0].numpy())
    assert torch.equal(to_uint8(to_tensor(image, 1)), ramp)
    colour = noise()
    assert np.array_equal(np.asarray(to_pil(to_tensor(colour))), np.asarray(colour))


def test_to_uint8_rounds_to_the_nearest_and_holds_the_ends() -> None:
    half = 127.5 / 127.5 - 1  # between 127 and 128
    x = torch.tensor([-1, 1, -7, 7, 100.4 / 127.5 - 1, 100.6 / 127.5 - 1, half, -float("inf"), float("inf")])
    assert to_uint8(x).tolist() == [0, 255, 0, 255, 100, 101, 128, 0, 255]
    x = torch.tensor([0.5], dtype=torch.bfloat16, requires_grad=True)
    assert to_uint8(x).tolist() == [191] and x.item() == 0.5


def test_to_pil_shapes() -> None:
    assert to_pil(torch.zeros(1, 2, 3)).mode == "L"
    image = to_pil(torch.stack([torch.full((2, 3), v) for v in (-1.0, 0.0, 1.0)])[None])
    assert (image.mode, image.size, image.getpixel((2, 1))) == ("RGB", (3, 2), (0, 128, 255))
    for shape in ((2, 1, 4, 4), (2, 4, 4), (4, 4)):
        with pytest.raises(ValueError, match="a picture is"):
            to_pil(torch.zeros(shape))


def test_to_pil_takes_any_layout_in_memory() -> None:
    x = to_tensor(noise())
    turned = x.to(memory_format=torch.channels_last).transpose(2, 3)
    assert np.array_equal(np.asarray(to_pil(turned)), np.asarray(noise()).transpose(1, 0, 2))


# Writing


def test_jpeg_for_the_page() -> None:
    x = torch.linspace(-1, 1, 64 * 64).view(1, 64, 64)
    grey = open_picture(encode_jpeg(x))
    assert grey.format == "JPEG" and grey.pixels.shape == (64, 64, 1)
    assert (to_tensor(grey, 1) - x).abs().max() < 0.06
    assert open_picture(encode_jpeg(x[None].expand(1, 3, 64, 64))).pixels.shape == (64, 64, 3)
    assert len(encode_jpeg(to_tensor(noise()), 30)) < len(encode_jpeg(to_tensor(noise()), 95))


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"])
def test_save_and_open(tmp_path: Path, suffix: str) -> None:
    x = torch.linspace(-1, 1, 3 * 32 * 24).view(3, 32, 24)
    labels = Labels({"title": "書", "plain": "a"}, "<x>字</x>".encode())
    icc = swapped_profile()
    save_picture(tmp_path / f"a{suffix}", x, labels=labels, icc=icc, quality=100)
    picture = open_picture(tmp_path / f"a{suffix}")
    lossless = suffix.lower() in (".png", ".tif", ".tiff")
    error = np.abs(picture.pixels.astype(int) - np.asarray(to_pil(x)).astype(int)).max()
    assert error == 0 if lossless else error <= 4
    assert picture.icc == icc
    found = read_labels(tmp_path / f"a{suffix}")
    assert found.xmp == labels.xmp
    if picture.format == "PNG":
        assert found.text["title"] == "書" and found.text["plain"] == "a"
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_a_picture_without_labels() -> None:
    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        assert read_labels(encode(torch.zeros(1, 8, 8), format)).xmp == b""


def test_sixteen_bits_are_written_where_the_format_can(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        save_picture(tmp_path / name, grey16(0, 1, 65535))
        assert open_picture(tmp_path / name).pixels.flatten().tolist() == [0, 1, 65535]
    with pytest.raises(ImageError, match="a 1 x 1 picture of kind RGBA cannot be written as JPEG .*; save it as PNG"):
        save_picture(tmp_path / "a.jpg", Image.new("RGBA", (1, 1)))
    assert not (tmp_path / "a.jpg").exists()


def test_names_that_say_no_format(tmp_path: Path) -> None:
    for name in ("a", "a.psd", "a.bmp"):
        with pytest.raises(ImageError, match=r"does not end in one of \.png, \.jpg"):
            save_picture(tmp_path / name, torch.zeros(1, 2, 2))
    with pytest.raises(ImageError, match="not written as 'BMP'; choose one of JPEG, PNG, TIFF, WEBP"):
        encode(torch.zeros(1, 2, 2), "BMP")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_picture_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(tmp_path / "a.png", torch.zeros(1, 2, 2))
    before = (tmp_path / "a.png").read_bytes()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"a\.png is full; free some space"):
        save_picture(tmp_path / "a.png", torch.ones(1, 2, 2))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


# Sheets, squares and folders


def test_grid_fills_row_by_row() -> None:
    cells = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, 2, 1) / 4
    sheet = grid(cells, columns=2)
    row0, row1 = [0.0, 0.25], [0.5, 1.0]  # the place left over is white
    assert sheet.tolist() == [[row0, row0, row1, row1]] * 2
    assert grid(cells, columns=8).shape == (2, 2, 3)
    assert grid(cells, columns=1).shape == (2, 6, 1)


def test_crop_is_in_the_middle_and_exact() -> None:
    array = np.arange(7 * 4, dtype=np.uint8).reshape(4, 7)
    for stored, expected in ((array, array[:, 1:5]), (array.T, array.T[1:5])):
        assert np.array_equal(np.asarray(resize_crop(Image.fromarray(np.ascontiguousarray(stored)), 4)), expected)


def test_resize_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    small = np.asarray(resize_crop(Image.fromarray(stripes), 8)).astype(int)
    # without a filter every sample would hit a black stripe or a white one
    assert small.shape == (8, 8) and np.abs(small[:, 1:-1] - 127.5).max() < 3
    flat = resize_crop(Image.new("RGB", (30, 20), (7, 8, 9)), 64)
    assert (flat.size, flat.getextrema()) == ((64, 64), ((7, 7), (8, 8), (9, 9)))


def test_list_is_in_natural_order_and_leaves_hidden_files_out(tmp_path: Path) -> None:
    names = "007.png 7.png A1.jpg a2.PNG a10.png b/1.webp b/x9/1.tif b/x10/1.tif B3.png 字2.gif 字10.gif".split()
    ignored = [".hidden.png", ".git/a.png", "__MACOSX/a.png", "notes.txt", "b/.DS_Store", "png"]
    for name in sorted(names) + ignored:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in list_pictures(tmp_path)] == names
    with pytest.raises(ImageError, match="there is no folder .*nowhere; check the name"):
        list_pictures(tmp_path / "nowhere")
