import struct
import zlib

import pytest
import torch
from PIL import PngImagePlugin

import studio.raster.labels
from studio.errors import ImageError
from studio.images import encode
from studio.raster.labels import MAX_LATE_BYTES, Labels, read_labels
from tests.picture_files import chunk

PICTURE = torch.zeros(1, 4, 4)
XMP = "<x>字</x>".encode()
EARLY = Labels({"title": "書", "plain": "a"}, XMP)


def with_end(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks between its pixels and its end."""
    end = chunk(b"IEND", b"")
    assert data.endswith(end)
    return data.removesuffix(end) + b"".join(chunks) + end


def itxt(key: bytes, text: bytes, packed: bool = False) -> bytes:
    how, stored = (b"\1", zlib.compress(text)) if packed else (b"\0", text)
    return chunk(b"iTXt", key + b"\0" + how + b"\0\0\0" + stored)


def moved_behind(data: bytes) -> bytes:
    """The same file with all of its texts behind its pixels, as other programs may order it."""
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append(data[at : at + 12 + length])
        at += 12 + length
    texts = [c for c in chunks if c[4:8] in (b"tEXt", b"zTXt", b"iTXt")]
    rest = [c for c in chunks if c not in texts]
    assert texts
    return data[:8] + b"".join(rest[:-1] + texts + rest[-1:])


def test_texts_behind_the_pixels() -> None:
    data = encode(PICTURE, "PNG", labels=EARLY)
    assert moved_behind(data) != data
    for file in (data, moved_behind(data)):
        found = read_labels(file)
        assert found.xmp == XMP and found.text["title"] == "書" and found.text["plain"] == "a"


def test_every_kind_of_text() -> None:
    data = with_end(
        encode(PICTURE, "PNG"),
        chunk(b"tEXt", b"plain\0caf\xe9"),
        chunk(b"zTXt", b"packed\0\0" + zlib.compress(b"x" * 1000)),
        itxt(b"wide", "書".encode(), packed=True),
    )
    assert read_labels(data).text == {"plain": "café", "packed": "x" * 1000, "wide": "書"}


def test_of_two_with_one_name_the_first_counts() -> None:
    data = with_end(encode(PICTURE, "PNG", labels=EARLY), itxt(b"title", b"another"), itxt(b"late", b"too"))
    assert read_labels(data).text == {**EARLY.text, "XML:com.adobe.xmp": XMP.decode(), "late": "too"}


def test_no_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = moved_behind(encode(PICTURE, "PNG", labels=EARLY))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: 1 / 0)
    assert read_labels(data).xmp == XMP


def test_too_much_text_is_refused() -> None:
    piece = itxt(b"note", b"x" * 900_000)
    assert len(read_labels(with_end(encode(PICTURE, "PNG"), *[piece] * 4)).text["note"]) == 900_000
    with pytest.raises(ImageError, match="^the picture has over 4 MiB of text behind its pixels; save it without$"):
        read_labels(with_end(encode(PICTURE, "PNG"), *[piece] * 5))
    early = encode(PICTURE, "PNG")  # what stands before the pixels has been read with the header
    assert len(read_labels(early[:33] + piece * 5 + early[33:]).text["note"]) == 900_000
    lie = struct.pack(">I", MAX_LATE_BYTES + 1) + b"iTXt"  # a length that the file does not have
    with pytest.raises(ImageError, match="over 4 MiB"):
        read_labels(with_end(encode(PICTURE, "PNG"), lie))


def test_a_text_that_unfolds_to_more_than_it_says_is_refused() -> None:
    with pytest.raises(ImageError, match="damaged"):
        read_labels(with_end(encode(PICTURE, "PNG"), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20)))))


def test_a_file_in_countless_pieces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio.raster.labels, "MAX_CHUNKS", 100)
    with pytest.raises(ImageError, match="^the picture is in more than 100 pieces; save it anew$"):
        read_labels(with_end(encode(PICTURE, "PNG"), *[chunk(b"faKe", b"")] * 100))


@pytest.mark.parametrize("cut", [1, 6, 10, 12, 16, 17, 20, 30])
def test_a_file_that_ends_early_has_the_texts_until_there(cut: int) -> None:
    data = with_end(encode(PICTURE, "PNG", labels=EARLY), itxt(b"late", b"this"))
    text = read_labels(data[:-cut]).text
    assert text["title"] == "書" and ("late" in text) is (cut <= 16), "its sum may be missing"
