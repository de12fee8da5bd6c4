import dataclasses
import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.errors import DiskError, ImageError
from studio.images import (
    encode, encode_jpeg, grid, resize_crop, save_picture, to_pil, to_tensor, to_uint8, to_uint16,
)
from studio.raster.exif import upright
from studio.raster.labels import Labels, read_labels
from studio.raster.opening import Picture, open_picture
from tests.picture_files import as_file, grey16, levels, noise, swapped_profile
from tests.raster.test_exif import camera, tags


# Tensors


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


def test_an_opened_pillow_image_follows_its_profile_once() -> None:
    data = as_file(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", icc_profile=swapped_profile())
    with Image.open(io.BytesIO(data)) as image:  # a mislabelled file: red ink, and a profile for RGB
        assert levels(image)[0] == pytest.approx([0, 0, 255], abs=2)
    data = as_file(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG", icc_profile=swapped_profile())
    with Image.open(io.BytesIO(data)) as image:
        assert levels(image)[0] == pytest.approx([0, 0, 255], abs=2)


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


DEPTHS = pytest.mark.parametrize("dtype", [np.uint8, np.uint16])


def picture(channels: int, dtype: type, **about: object) -> Picture:
    random = np.random.default_rng(channels)
    pixels = random.integers(0, np.iinfo(dtype).max + 1, (70, 53, channels)).astype(dtype)
    about = {"icc": swapped_profile(), "exif": upright(camera("<")), **about}
    return Picture(pixels, "", 8 * pixels.itemsize, **about)


@pytest.mark.parametrize(
    "suffix, channels, dtype",
    [
        (suffix, channels, dtype)
        for suffix in (".png", ".tif")
        for channels in (1, 2, 3, 4)
        for dtype in (np.uint8, np.uint16)
        if (suffix, channels, dtype) != (".tif", 2, np.uint16)  # written as RGBA
    ],
)
def test_a_picture_comes_back_as_it_was(tmp_path: Path, suffix: str, channels: int, dtype: type) -> None:
    """Byte by byte, and again when what came back is saved once more."""
    first = picture(channels, dtype, exif=upright(camera(">")), dpi=(300.0, 72.5))
    save_picture(tmp_path / f"a{suffix}", first)
    second = open_picture(tmp_path / f"a{suffix}")
    assert second.pixels.dtype == dtype and np.array_equal(second.pixels, first.pixels)
    assert second.bits == 8 * first.pixels.itemsize and second.icc == first.icc
    assert second.dpi == pytest.approx((300, 72.5), abs=0.02)
    about = ("make", "exposure", "version", "notes", "place", "interoperability")
    assert [tags(second.exif)[key] for key in about] == [tags(first.exif)[key] for key in about]
    if suffix == ".png":
        assert second.exif == first.exif
    save_picture(tmp_path / f"b{suffix}", second)
    third = open_picture(tmp_path / f"b{suffix}")
    assert np.array_equal(third.pixels, first.pixels) and third.dpi == second.dpi
    assert (third.icc, third.exif) == (second.icc, second.exif)


@DEPTHS
def test_from_one_format_to_the_other_and_back(tmp_path: Path, dtype: type) -> None:
    first = picture(4, dtype)
    save_picture(tmp_path / "a.png", first)
    save_picture(tmp_path / "b.tif", open_picture(tmp_path / "a.png"))
    save_picture(tmp_path / "c.png", open_picture(tmp_path / "b.tif"))
    last = open_picture(tmp_path / "c.png")
    assert np.array_equal(last.pixels, first.pixels) and last.icc == first.icc
    assert {**tags(last.exif), "orientation": 1, "dpi": 72} == tags(first.exif)
    assert first.dpi is None and last.dpi is None


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_without_loss_keeps_every_pixel(tmp_path: Path, channels: int) -> None:
    """And the colours of what is clear."""
    pixels = np.random.default_rng(0).integers(0, 256, (17, 23, channels), dtype=np.uint8)
    picture = Picture(pixels, "", 8, b"", b"")
    save_picture(tmp_path / "lossless.webp", picture, lossless=True)
    save_picture(tmp_path / "lossy.webp", picture)
    assert np.array_equal(open_picture(tmp_path / "lossless.webp").pixels, pixels)
    assert not np.array_equal(open_picture(tmp_path / "lossy.webp").pixels, pixels)


def test_formats_of_eight_bits_take_the_upper_ones(tmp_path: Path) -> None:
    first = picture(3, np.uint16, dpi=(300.0, 300.0))
    first.pixels[:] = first.pixels[:1, :1]
    for name in ("a.jpg", "a.webp"):
        save_picture(tmp_path / name, first, quality=100)
        second = open_picture(tmp_path / name)
        assert second.bits == 8 and np.abs(second.pixels.astype(int) - first.pixels / 257).max() <= 4
        assert (second.icc, second.exif) == (first.icc, first.exif)
        assert second.dpi == ((300, 300) if name == "a.jpg" else None)
    with pytest.raises(ImageError, match="of kind RGBA cannot be written as JPEG"):
        save_picture(tmp_path / "b.jpg", picture(4, np.uint16))


@DEPTHS
def test_what_made_it_is_written_beside_what_the_picture_brings(tmp_path: Path, dtype: type) -> None:
    labels = Labels({"title": "書"}, "<x>字</x>".encode())
    for suffix in (".png", ".tif"):
        save_picture(tmp_path / f"a{suffix}", picture(3, dtype), labels=labels)
        found = read_labels(tmp_path / f"a{suffix}")
        assert found.xmp == labels.xmp and (suffix != ".png" or found.text["title"] == "書")
        assert open_picture(tmp_path / f"a{suffix}").icc == swapped_profile()


def test_a_tensor_becomes_deep_pixels(tmp_path: Path) -> None:
    x = torch.linspace(-1.1, 1.1, 3 * 70 * 53).view(3, 70, 53)
    x[0, 0, :3] = torch.tensor([-1.0, 0.0, 1.0])
    pixels = to_uint16(x)
    assert pixels.shape == (70, 53, 3) and pixels[0, :3, 0].tolist() == [0, 32768, 65535]
    assert np.abs(pixels - ((x.clamp(-1, 1) + 1) * 32767.5).permute(1, 2, 0).numpy()).max() <= 0.51
    save_picture(tmp_path / "a.tif", dataclasses.replace(picture(3, np.uint16, icc=b""), pixels=pixels))
    again = to_tensor(open_picture(tmp_path / "a.tif"))
    assert (again - x.clamp(-1, 1)).abs().max() < 1 / 60_000
    assert np.array_equal(to_uint16(again), pixels)
    with pytest.raises(ValueError, match="a picture is"):
        to_uint16(torch.zeros(2, 3, 4, 4))


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


# Sheets and squares


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
