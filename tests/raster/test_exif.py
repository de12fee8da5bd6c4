import io
import random
import struct

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from studio.raster.directories import EXIF, GPS, INTEROP, MAX_BYTES, Tag, pack_directory, read_directory
from studio.raster.exif import MARK, exif_of_tiff, tags_for_tiff, upright
from studio.raster.tiff import encode_tiff

Base = ExifTags.Base


def camera(order: str) -> bytes:
    """EXIF as a camera writes it: its name, an exposure, notes of its maker, a place, a word on interoperability."""
    text = lambda value: Tag(2, len(value) + 1, value + b"\0")
    directory = {
        Base.Make: text(b"Phase One"),
        Base.Orientation: Tag(3, 1, struct.pack(order + "H", 6)),
        Base.XResolution: Tag(5, 1, struct.pack(order + "II", 72, 1)),
        Base.Copyright: text("© 書".encode()),
        EXIF: {
            Base.ExposureTime: Tag(5, 1, struct.pack(order + "II", 1, 125)),
            Base.ExifVersion: Tag(7, 4, b"0232"),
            Base.MakerNote: Tag(7, 301, bytes(range(256)) + b"\xff" * 45),
            INTEROP: {1: text(b"R98")},
        },
        GPS: {1: text(b"N"), 2: Tag(5, 3, struct.pack(order + "6I", 51, 1, 30, 1, 15, 10))},
    }
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return MARK + mark + struct.pack(order + "I", 8) + pack_directory(directory, order, 8)


def tags(exif: bytes) -> dict[str, object]:
    """As Pillow reads them."""
    found = Image.Exif()
    found.load(exif)
    inner, place = found.get_ifd(ExifTags.IFD.Exif), found.get_ifd(ExifTags.IFD.GPSInfo)
    return {
        "make": found.get(Base.Make), "orientation": found.get(Base.Orientation), "dpi": found.get(Base.XResolution),
        "exposure": inner.get(Base.ExposureTime), "version": inner.get(Base.ExifVersion),
        "notes": inner.get(Base.MakerNote), "place": place.get(2),
        "interoperability": found.get_ifd(ExifTags.IFD.Interop).get(1) if INTEROP in inner else None,
    }


EXPECTED = {
    "make": "Phase One", "orientation": 6, "dpi": 72, "exposure": IFDRational(1, 125), "version": b"0232",
    "notes": bytes(range(256)) + b"\xff" * 45, "place": (51, 30, 1.5), "interoperability": "R98",
}


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_packed_is_what_others_read(order: str) -> None:
    assert tags(camera(order)) == EXPECTED


@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_there_and_back(order: str) -> None:
    body = camera(order).removeprefix(MARK)
    found = read_directory(io.BytesIO(body), order, 8)
    assert pack_directory(found, order, 8) == body[8:]
    assert found[EXIF][INTEROP] == {1: Tag(2, 4, b"R98\0")}


@pytest.mark.parametrize("order", ["<", ">"])
def test_through_a_tiff_and_back(order: str) -> None:
    """All about the picture and the camera; how the pixels lie is the file's own affair."""
    pixels = np.zeros((2, 3, 3), np.uint16)
    data = encode_tiff(pixels, exif=camera(order))
    assert data[:2] == (b"II" if order == "<" else b"MM")
    found = exif_of_tiff(io.BytesIO(data))
    assert tags(found) == {**EXPECTED, "orientation": None, "dpi": None}
    assert exif_of_tiff(io.BytesIO(encode_tiff(pixels, exif=found))) == found
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[Base.ExposureTime] == IFDRational(1, 125)
        assert image.getexif()[Base.Copyright].encode("latin-1").decode() == "© 書"


def test_a_tiff_of_another_program() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.zeros((2, 3), np.uint8), software="scanner 3", metadata=None)
    found = Image.Exif()
    found.load(exif_of_tiff(out))
    assert dict(found) == {Base.Software: "scanner 3"}
    tifffile.imwrite(plain := io.BytesIO(), np.zeros((2, 3), np.uint8), software=False, metadata=None)
    assert exif_of_tiff(plain) == b""


@pytest.mark.parametrize("order", ["<", ">"])
def test_upright_changes_the_orientation_alone(order: str) -> None:
    exif = camera(order)
    changed = upright(exif)
    assert tags(changed) == {**EXPECTED, "orientation": 1}
    assert sum(a != b for a, b in zip(exif, changed, strict=True)) == 1
    assert upright(exif.removeprefix(MARK)) == changed, "WebP stores it without its mark"
    assert upright(changed) == changed


def test_exif_that_says_nothing_of_an_orientation_stays() -> None:
    body = b"MM\0*" + struct.pack(">I", 8) + pack_directory({Base.Make: Tag(2, 2, b"A\0")}, ">", 8)
    assert upright(body) == upright(MARK + body) == MARK + body


@pytest.mark.parametrize(
    "exif", [b"", b"rubbish", MARK, MARK + b"II*\0", b"II*\0\xff\xff\xff\xff", MARK + b"MM\0*\0\0"]
)
def test_what_is_no_exif(exif: bytes) -> None:
    assert upright(exif) == b"" and tags_for_tiff(exif)[1] == {} and exif_of_tiff(io.BytesIO(exif)) == b""


def test_directories_that_hold_themselves() -> None:
    """A tag that points to its own directory, over and over, and twice in each."""
    entry = struct.pack("<HHII", EXIF, 4, 1, 8)
    body = b"II*\0" + struct.pack("<IH", 8, 2) + entry * 2 + bytes(4)
    found = tags_for_tiff(MARK + body)[1]
    assert found == {EXIF: {EXIF: {}}}


def test_of_two_tags_with_one_number_the_first_counts() -> None:
    entries = [struct.pack("<HHII", Base.Make, 2, 2, value) for value in (0x41, 0x42)]
    body = b"II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + bytes(4)
    assert tags_for_tiff(MARK + body)[1] == {Base.Make: Tag(2, 2, b"A\0")}


def test_tags_that_claim_more_than_there_is() -> None:
    entries = [
        (Base.Make, 2, 0xFFFFFFFF, 8), (Base.Model, 2, 100, 8), (Base.Software, 99, 1, 8),
        (Base.Artist, 2, 3, 0x414243),
    ]
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    body = b"II*\0" + struct.pack("<IH", 8, 4) + packed + bytes(4)
    assert tags_for_tiff(MARK + body)[1] == {Base.Artist: Tag(2, 3, b"CBA")}


def test_many_tags_that_share_their_bytes_take_bounded_memory() -> None:
    size = MAX_BYTES // 4
    numbers = range(1000, 1100)
    entries = b"".join(struct.pack("<HHII", number, 7, size, 8) for number in numbers)
    stream = io.BytesIO(bytes(8) + struct.pack("<H", 100) + entries + bytes(size))
    found = read_directory(stream, "<", 8)
    assert sum(len(tag.data) for tag in found.values()) == MAX_BYTES and len(found) == 4


def test_damaged_directories_give_fewer_tags_and_nothing_else() -> None:
    chance = random.Random(0)
    for _ in range(2000):
        data = bytearray(camera(chance.choice("<>")))
        for _ in range(3):
            data[chance.randrange(len(MARK), len(data))] = chance.choice((0, 1, 8, 127, 255))
        order, found = tags_for_tiff(bytes(data))
        again = b"II*\0" if order == "<" else b"MM\0*"
        packed = again + struct.pack(order + "I", 8) + pack_directory(found, order, 8)
        assert tags_for_tiff(packed)[1] == found
        upright(bytes(data))
