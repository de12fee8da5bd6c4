import errno
import io
import os
import random
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from studio.errors import ImageError
from studio.images import to_tensor
from studio.raster.opening import open_picture
from studio.raster.untrusted import MAX_PIXELS
from tests.picture_files import as_file, linear_grey_profile, noise, png
from tests.raster.test_deep import deep_png, samples, tiff


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
    files += [deep(samples(channels, 9, 9)) for channels in (3, 4) for deep in (deep_png, tiff)]
    refused = 0
    for _ in range(600):
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
