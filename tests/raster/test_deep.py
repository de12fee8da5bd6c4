import dataclasses
import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, PngImagePlugin

from studio.errors import ImageError
from studio.images import to_tensor
from studio.raster.deep import decode_deep, deep_layout
from studio.raster.directories import Tag, pack_directory
from studio.raster.opening import open_picture
from studio.raster.untrusted import admitted
from tests.picture_files import ORIENTATION, chunk, linear_grey_profile, png, swapped_profile


def samples(channels: int, height: int = 70, width: int = 53) -> np.ndarray:
    """Every byte counts: ramps across and down, and noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 65536, (2, height, width))
    return np.stack([x * 900 + y * 17, *noise, y * 800 + x * 3], axis=-1)[..., :channels].astype(np.uint16)


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    """By another program than Pillow, which writes no 16-bit colours."""
    out = io.BytesIO()
    if pixels.shape[2] == 4:
        options = {"extrasamples": ["unassalpha"], **options}
    tifffile.imwrite(out, pixels, photometric="rgb", metadata=None, **options)
    return out.getvalue()


def deep_png(pixels: np.ndarray, extra: bytes = b"") -> bytes:
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return png(width, height, 16, {2: 4, 3: 2, 4: 6}[channels], rows, extra)


def opened(data: bytes) -> np.ndarray:
    picture = open_picture(data)
    assert picture.bits == 16 and picture.pixels.dtype == np.uint16
    return picture.pixels


# Every way to store them


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 16}, {"tile": (16, 16)}])
@pytest.mark.parametrize("packing", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}])
def test_tiff(channels: int, byteorder: str, layout: dict, packing: dict) -> None:
    pixels = samples(channels)
    assert np.array_equal(opened(tiff(pixels, byteorder=byteorder, **layout, **packing)), pixels)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("packing", ["lzw", "packbits"])
def test_tiff_in_the_packings_of_older_programs(byteorder: str, packing: str) -> None:
    """By hand: one strip, packed as if nothing in it came twice."""
    pixels = samples(3)
    raw = pixels.astype(byteorder + "u2").tobytes()
    strip, code = (lzw(raw), 5) if packing == "lzw" else (packbits(raw), 32773)
    short = lambda *values: Tag(3, len(values), struct.pack(f"{byteorder}{len(values)}H", *values))
    long = lambda value: Tag(4, 1, struct.pack(byteorder + "I", value))
    strip += bytes(len(strip) % 2)
    tags = {
        256: short(53), 257: short(70), 258: short(16, 16, 16), 259: short(code), 262: short(2), 273: long(8),
        277: short(3), 278: short(70), 279: long(len(strip)),
    }
    mark = b"II*\0" if byteorder == "<" else b"MM\0*"
    head = mark + struct.pack(byteorder + "I", 8 + len(strip))
    assert np.array_equal(opened(head + strip + pack_directory(tags, byteorder, 8 + len(strip))), pixels)


def lzw(data: bytes) -> bytes:
    """Codes of 9 bits: every byte as itself, and the table emptied (256) before it asks for longer codes."""
    codes = [code for i in range(0, len(data), 250) for code in (256, *data[i : i + 250])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def packbits(data: bytes) -> bytes:
    blocks = [data[i : i + 128] for i in range(0, len(data), 128)]
    return b"".join(bytes([len(block) - 1]) + block for block in blocks)


def test_tiff_over_four_gigabytes_could_be() -> None:
    assert np.array_equal(opened(tiff(samples(3), bigtiff=True)), samples(3))


def test_a_fourth_channel_that_nobody_explains_is_left_out() -> None:
    for byteorder in "<>":
        data = tiff(samples(4), extrasamples=["unspecified"], byteorder=byteorder, compression="zlib")
        assert np.array_equal(opened(data), samples(3))


def test_colours_that_were_multiplied_by_their_alpha() -> None:
    stored = np.array([[[100, 200, 300, 300], [7, 8, 9, 0], [1, 2, 3, 65535], [9, 0, 0, 3]]], np.uint16)
    for byteorder in "<>":
        found = opened(tiff(stored, extrasamples=["assocalpha"], byteorder=byteorder))
        # 100 of 300 is a third of white; what is more than its alpha is white
        expected = [[21845, 43690, 65535, 300], [0, 0, 0, 0], [1, 2, 3, 65535], [65535, 0, 0, 3]]
        assert found.tolist() == [expected]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png(channels: int) -> None:
    assert np.array_equal(opened(deep_png(samples(channels))), samples(channels))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_interlaced_png(channels: int) -> None:
    pixels = samples(channels, 13, 11)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in passes(pixels))
    data = bytearray(deep_png(pixels))
    header = struct.pack(">IIBBBBB", 11, 13, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 1)
    whole = bytes(data[:8]) + chunk(b"IHDR", header) + png(1, 1, 16, 2, rows)[8 + 25 :]
    assert np.array_equal(opened(whole), pixels)


def passes(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Adam7: seven pictures, each finer."""
    for y, x, dy, dx in [
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
    ]:
        yield from pixels[y::dy, x::dx]


def test_the_transparent_colour_of_a_png() -> None:
    """All of its 48 bits count."""
    pixels = np.array([[[0x8000, 0xFFFF, 1], [0x8000, 0xFFFF, 0], [0x8001, 0xFFFF, 1]]], np.uint16)
    found = opened(deep_png(pixels, chunk(b"tRNS", struct.pack(">3H", 0x8000, 0xFFFF, 1))))
    assert np.array_equal(found[..., :3], pixels) and found[0, :, 3].tolist() == [0, 65535, 65535]


@pytest.mark.parametrize("orientation, top", [(6, [[2], [1]]), (3, [[1, 0]])])
def test_upright(orientation: int, top: list) -> None:
    """A camera that was turned clockwise stores the picture's left column as its first row, from below."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    pixels = np.arange(6, dtype=np.uint16).reshape(1, 2, 3) * 257 + 1
    for extra in (chunk(b"eXIf", exif.tobytes()[6:]), b""):
        found = opened(deep_png(pixels, extra))
        expected = pixels if not extra else np.rot90(pixels, {6: -1, 3: 2}[orientation])
        assert np.array_equal(found, expected)
    data = tiff(pixels, extratags=[(274, 3, 1, orientation, True)])
    assert np.array_equal(opened(data), np.rot90(pixels, {6: -1, 3: 2}[orientation]))


def test_other_kinds_are_none_of_these() -> None:
    for data in (png(1, 1, 8, 2, bytes(4)), png(1, 1, 16, 0, bytes(3)), tiff(samples(3).astype(np.uint8))):
        with admitted(data) as file:
            assert deep_layout(file.image) is None


# Plane by plane, which Pillow cannot read in 16 bits


def test_planes_are_refused_where_pillow_would_misread_them() -> None:
    planes = np.moveaxis(samples(3), -1, 0)
    out = io.BytesIO()
    tifffile.imwrite(out, planes, photometric="rgb", planarconfig="separate", metadata=None)
    sentence = "^the picture has 16 bits a channel, plane by plane; export it with interleaved channels$"
    with pytest.raises(ImageError, match=sentence):
        open_picture(out.getvalue())
    out = io.BytesIO()
    tifffile.imwrite(out, planes.astype(np.uint8), photometric="rgb", planarconfig="separate", metadata=None)
    assert np.array_equal(open_picture(out.getvalue()).pixels, samples(3).astype(np.uint8))


def test_packed_planes_keep_their_upper_bits() -> None:
    out = io.BytesIO()
    planes = np.moveaxis(samples(3), -1, 0)
    tifffile.imwrite(out, planes, photometric="rgb", planarconfig="separate", compression="zlib", metadata=None)
    picture = open_picture(out.getvalue())
    assert picture.bits == 16 and np.array_equal(picture.pixels, samples(3) >> 8)


# What strangers send


def test_the_limit_is_asked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: 1 / 0)
    with pytest.raises(ImageError, match="50000 x 40000 = 2000 megapixels, over the limit of 200; make it smaller"):
        open_picture(png(50000, 40000, 16, 2))
    with pytest.raises(ImageError, match="over the limit of 5e-06"):
        open_picture(tiff(samples(3, 2, 3)), max_pixels=5)
    assert opened(tiff(samples(3, 2, 3))).shape == (2, 3, 3)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_what_is_cut_short(kept: float) -> None:
    for data in (deep_png(samples(3)), deep_png(samples(4)), tiff(samples(4)), tiff(samples(3), compression="zlib")):
        with pytest.raises(ImageError, match="^the picture is damaged, cut short"):
            open_picture(data[: int(kept * len(data))])


def test_a_file_that_changes_while_it_is_read() -> None:
    with admitted(deep_png(samples(3))) as file, admitted(deep_png(samples(3, 70, 54))) as wider:
        layout = deep_layout(file.image)
        with pytest.raises(OSError, match="it changed while it was read"):
            decode_deep(file.image, lambda: wider.image, layout)
    with admitted(deep_png(samples(3))) as file, admitted(deep_png(samples(4))) as other:
        with pytest.raises(OSError, match="it changed"):
            decode_deep(file.image, lambda: other.image, deep_layout(file.image))


def test_it_may_grow_meanwhile() -> None:
    """The second look at the header passes the same door."""
    with admitted(deep_png(samples(3)), max_pixels=70 * 53) as file:
        big = deep_png(samples(3, 71, 53))
        file.stream.seek(0)
        file.stream.write(big)
        with pytest.raises(ImageError, match="over the limit"):
            file.again()


# What becomes of them


def test_a_tensor_has_all_the_bits() -> None:
    pixels = np.array([[[0, 32768, 65535], [1, 2, 65534]]], np.uint16)
    x = to_tensor(open_picture(deep_png(pixels)))
    expected = pixels.astype(np.float64).transpose(2, 0, 1) / 32767.5 - 1
    assert np.abs(x[0].numpy() - expected).max() < 1e-7 and x[0, 1, 0, 0] != 0


def test_transparency_is_laid_on_white_in_all_the_bits() -> None:
    pixels = np.array([[[0, 0, 0, 13107], [65535, 0, 100, 65535], [7, 7, 7, 0]]], np.uint16)  # 13107: a fifth
    x = to_tensor(open_picture(deep_png(pixels)))[0].permute(1, 2, 0)
    assert x[0, 0].tolist() == pytest.approx([0.6] * 3, abs=1e-6)
    assert x[0, 1].tolist() == pytest.approx([1, -1, 100 / 32767.5 - 1], abs=1e-6) and x[0, 2].tolist() == [1] * 3
    grey = to_tensor(open_picture(deep_png(pixels[..., [0, 3]])), 1)
    assert grey.flatten().tolist() == pytest.approx([0.6, 1, 1], abs=1e-6)


def test_eight_bits_are_the_nearest_ones() -> None:
    pixels = np.array([[[128, 129, 385], [386, 65535, 65406]]], np.uint16)  # v / 257: 0.498, 0.502, 1.498 ...
    picture = open_picture(deep_png(pixels))
    assert np.asarray(picture.rgb()).tolist() == [[[0, 1, 1], [2, 255, 254]]]
    assert np.asarray(picture.rgba())[..., 3].tolist() == [[255, 255]]


def test_colours_follow_their_profile() -> None:
    data = tiff(np.array([[[65535, 0, 0]]], np.uint16), iccprofile=swapped_profile())
    picture = open_picture(data)
    assert picture.icc == swapped_profile() and picture.pixels.tolist() == [[[65535, 0, 0]]]
    assert to_tensor(picture).flatten().tolist() == pytest.approx([-1, -1, 1], abs=0.02)
    linear = dataclasses.replace(picture, pixels=np.array([[[32896]]], np.uint16), icc=linear_grey_profile())
    assert to_tensor(linear, 1).item() == pytest.approx(188 / 127.5 - 1, abs=0.01)


def test_what_is_known_of_a_deep_tiff() -> None:
    data = tiff(samples(3), resolution=(118.11, 59.055), resolutionunit="CENTIMETER", software="scanner")
    picture = open_picture(data)
    assert picture.format == "TIFF" and picture.dpi == pytest.approx((300, 150), abs=0.01)
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif[ExifTags.Base.Software] == "scanner"
