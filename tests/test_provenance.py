import copy
import io
import json
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image, PngImagePlugin

from studio.errors import ImageError
from studio.images import encode, save_picture
from studio.provenance import (
    AI_GENERATED, ENHANCED, KEY, MAX_JSON_BYTES, NAMESPACE, Provenance, encode_png, read, read_film,
)
from studio.raster.labels import Labels, read_labels
from studio.raster.opening import open_picture
from tests.raster.test_labels import moved_behind

SHA = "0123456789abcdef" * 4
SETTINGS = {
    "psi": 0.1 + 0.2,
    "tiny": 5e-324,
    "minus": -0.0,
    "one": 1.0,
    "count": 1,
    "least": -(2**63),
    "loop": True,
    "off": False,
    "label": None,
    "dials": [0.0, -1.0, 0.25, 1],
    "题": "書道 «é» 🎨 <b>&amp;]]>\"'\\",
    "odd": "\x00\x1f\r\n\t\x7f\u2028\ufffe\ud800",
    "deep": {"a": [[], {}, [True, {"b": [None]}]]},
}
MADE = Provenance("explore", "calligraphy", SHA, SETTINGS, 2**32 - 1, "0.1.0", "2025-01-31T12:00:00Z")
FORMATS = ["PNG", "JPEG", "WEBP", "TIFF"]
PICTURE = torch.linspace(-1, 1, 3 * 16 * 24).view(3, 16, 24)


def with_text(text: str, key: str = KEY) -> bytes:
    """A PNG with one text chunk."""
    return encode(torch.zeros(1, 2, 2), "PNG", labels=Labels({key: text}))


def with_xmp(xmp: str | bytes, format: str = "JPEG") -> bytes:
    data = xmp if isinstance(xmp, bytes) else xmp.encode()
    return encode(torch.zeros(1, 8, 8), format, labels=Labels(xmp=data))


def changed(**values: object) -> str:
    return json.dumps({**json.loads(MADE.to_json()), **values})


# Round trips


@pytest.mark.parametrize("format", FORMATS)
def test_round_trip_is_exact(format: str) -> None:
    found = read(encode(PICTURE, format, labels=MADE.labels()))
    assert found == MADE
    assert repr(found) == repr(MADE)  # 1, 1.0 and True are equal, and 0.0 and -0.0: their words are not


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_round_trip_through_a_file(tmp_path: Path, suffix: str) -> None:
    save_picture(tmp_path / f"a{suffix}", PICTURE, labels=MADE.labels())
    assert repr(read(tmp_path / f"a{suffix}")) == repr(MADE)


def test_png_keeps_pixels_and_provenance() -> None:
    data = encode_png(PICTURE, MADE)
    assert repr(read(data)) == repr(MADE)
    assert open_picture(data).pixels.tolist() == open_picture(encode(PICTURE, "PNG")).pixels.tolist()
    text = Image.open(io.BytesIO(data)).text
    assert json.loads(text["atelier"])["settings"]["psi"] == 0.1 + 0.2


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_that_does_not_say(format: str) -> None:
    assert read(encode(PICTURE, format)) is None
    assert read(with_xmp("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", format)) is None
    assert read(with_xmp(b"\xff\xfe not even text <!DOCTYPE", "JPEG")) is None  # another program's affair


def test_xmp_alone_is_enough() -> None:
    """Some programs drop text chunks and keep XMP."""
    labels = MADE.labels()
    assert repr(read(encode(PICTURE, "PNG", labels=Labels(xmp=labels.xmp)))) == repr(MADE)


@pytest.mark.parametrize("labels", [MADE.labels(), Labels(MADE.labels().text), Labels(xmp=MADE.labels().xmp)])
def test_texts_that_another_program_put_behind_the_pixels(labels: Labels) -> None:
    data = moved_behind(encode(PICTURE, "PNG", labels=labels))
    assert repr(read(data)) == repr(MADE)


def test_xmp_that_another_program_rewrote() -> None:
    name = f"{{{NAMESPACE}}}provenance"
    root = ElementTree.fromstring(MADE.labels().xmp.decode().strip("\ufeff"))
    element = next(root.iter(name))
    description = next(e for e in root.iter() if element in list(e))
    description.remove(element)
    description.set(name, element.text or "")  # properties as attributes, and prefixes of its own choice
    xmp = ElementTree.tostring(root)
    assert b"atelier:provenance" not in xmp.replace(NAMESPACE.encode(), b"")
    assert repr(read(with_xmp(xmp + b"\n   \0"))) == repr(MADE)


@pytest.mark.parametrize("format", FORMATS)
def test_ai_generated_is_said_in_the_standard_place(format: str) -> None:
    xmp = read_labels(encode(PICTURE, format, labels=MADE.labels())).xmp
    root = ElementTree.fromstring(xmp.decode())
    source = root.find(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert source is not None
    assert source.text == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def test_defaults_say_when_and_by_which_version() -> None:
    made = Provenance("explore", "m")
    assert made.seed is None and made.settings == {} and made.version == "0.1.0"
    assert Provenance.from_json(made.to_json()) == made
    assert made.created.endswith("Z") and len(made.created) == 20


# Films


@pytest.mark.parametrize("container, codec", [("mp4", "mpeg4"), ("webm", "libvpx"), ("matroska", "mpeg4")])
def test_films_say_what_made_them(container: str, codec: str) -> None:
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as film:
        film.metadata.update(MADE.film_metadata())
        stream = film.add_stream(codec, rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_image(Image.new("RGB", (32, 32)))
        film.mux([*stream.encode(frame), *stream.encode()])
    file.seek(0)
    with av.open(file) as film:
        metadata = dict(film.metadata)
    assert repr(read_film(metadata)) == repr(MADE)
    said = {key.lower(): value for key, value in metadata.items()}["description"]
    assert said == f"AI-generated with Atelier ({AI_GENERATED})"


def test_films_that_do_not_say() -> None:
    assert read_film({}) is None
    assert read_film({"comment": "a holiday", "title": MADE.to_json()}) is None
    with pytest.raises(ImageError, match="JSON cannot be read"):
        read_film({"comment": MADE.to_json()[:-1]})


# What is refused


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "JSON cannot be read"),
        ("rubbish", "JSON cannot be read"),
        (MADE.to_json()[:-2], "JSON cannot be read"),
        (MADE.to_json() + " " * MAX_JSON_BYTES, "JSON has .* characters, over the limit of 49152"),
        ("[" * 40_000, "JSON cannot be read"),
        ('{"atelier":' * 4_000, "JSON cannot be read"),
        ("[]", "JSON is no list of names"),
        ("null", "JSON is no list of names"),
        ("{}", "does not name its form"),
        (changed(atelier=True), "does not name its form"),
        (changed(atelier="1"), "does not name its form"),
        (changed(atelier=2), "form 2, this studio reads up to 1; update it"),
        (changed(surprise=1), "does not hold exactly created, model, model_sha256, seed, settings, tool, version"),
        ('{"atelier": 1, "tool": "explore"}', "does not hold exactly"),
        (MADE.to_json().replace('"seed"', '"tool": "x", "seed"'), "JSON cannot be read"),
        (changed(settings={"x": 0}).replace('"x": 0', '"x": NaN'), "JSON cannot be read"),
        (changed(settings={"x": 0}).replace('"x": 0', '"x": -Infinity'), "JSON cannot be read"),
        (changed(settings={"x": 0}).replace('"x": 0', '"x": 1e999'), "x=inf is not a finite number"),
        (changed(settings={"x": 0}).replace('"x": 0', '"x": ' + "9" * 5000), "JSON cannot be read|more than 64 bits"),
        (changed(settings={"x": 2**63}), "x is a whole number of more than 64 bits"),
        (changed(settings={"x": [[[[[[[1]]]]]]]}), "x is nested more than 8 deep"),
        (changed(settings={"n" * 201: 1}), "a name that is not a text of at most 200"),
        (changed(settings=[1]), "settings are not names with values"),
        (changed(settings=None), "settings are not names with values"),
        (changed(settings={"x": "a" * MAX_JSON_BYTES}), "over the limit of 49152"),
        (changed(seed=-1), "seed is not a whole number"),
        (changed(seed=1.0), "seed is not a whole number"),
        (changed(seed=True), "seed is not a whole number"),
        (changed(seed=2**63), "seed is not a whole number"),
        (changed(tool=None), "tool is not a text"),
        (changed(tool="a\nb"), "tool is not a text"),
        (changed(model="m" * 201), "model is not a text of at most 200"),
        (changed(model=["../../x"]), "model is not a text"),
        (changed(model_sha256="xyz"), "model_sha256 is not a hash"),
        (changed(model_sha256=SHA + "\n"), "model_sha256 is not a hash"),
        (changed(model_sha256=7), "model_sha256 is not a hash"),
        (changed(created="yesterday"), "created is not a time"),
        (changed(created="2025-02-30T12:00:00Z"), "created is not a time"),
        (changed(created="2025-1-1T12:00:00Z"), "created is not a time"),
        (changed(created=0), "created is not a time"),
    ],
)
def test_hostile_json_is_refused(text: str, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        Provenance.from_json(text)
    with pytest.raises(ImageError):
        read(with_text(text))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), (1, 2), {1: 2}, b"x", 1j, torch.zeros(1), [object()]])
def test_what_cannot_be_read_back_equal_is_not_written(value: object) -> None:
    with pytest.raises(ImageError, match="the picture's settings cannot be used: "):
        Provenance("explore", "m", settings={"x": value})


def test_settings_that_hold_themselves_are_refused() -> None:
    loop: dict[str, object] = {}
    loop["again"] = [loop]
    with pytest.raises(ImageError, match="again is nested more than 8 deep"):
        Provenance("explore", "m", settings=loop)


def test_the_limits_themselves_are_allowed() -> None:
    deepest = {"x": [[[[[[1]]]]]]}  # the settings, six lists and the number: 8
    Provenance("explore", "m" * 200, SHA, deepest, 2**63 - 1)
    empty = len(Provenance("explore", "m", settings={"x": ""}).to_json())
    full = Provenance("explore", "m", settings={"x": "&" * (MAX_JSON_BYTES - empty)})
    assert Provenance.from_json(full.to_json()) == full
    with pytest.raises(ImageError, match="settings take 49153 bytes"):
        Provenance("explore", "m", settings={"x": "&" * (MAX_JSON_BYTES - empty + 1)})
    # four fifths of it become &amp; in XMP, which PNG has room for
    assert read(encode_png(PICTURE, full)) == full
    with pytest.raises(ImageError, match="cannot be written as JPEG"):
        encode(PICTURE, "JPEG", labels=full.labels())


def test_hostile_xmp_is_refused() -> None:
    good = MADE.labels().xmp.decode()
    laughs = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x xmlns:a="{NAMESPACE}"><a:provenance>&l9;</a:provenance></x>'
    for xmp, why in [
        (bomb, "declares a document type"),
        (f'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x xmlns:a="{NAMESPACE}"/>', "declares a document type"),
        (good[: len(good) // 2 + 300], "XMP cannot be read"),
        (good.encode().replace(b"Atelier", b"\xff\xff"), "XMP cannot be read"),
        (good.replace('{"atelier"', '{"other"'), "does not name its form"),
        (f'<x xmlns:a="{NAMESPACE}"><a:provenance/></x>', "JSON cannot be read"),
    ]:
        with pytest.raises(ImageError, match=why):
            read(with_xmp(xmp))
    with pytest.raises(ImageError, match="over the limit of 1048576"):
        read(with_xmp(good + " " * (1 << 20), "WEBP"))
    assert read(with_xmp(f'<x xmlns:a="{NAMESPACE}"/>')) is None


def test_a_text_bomb_in_a_png_is_refused() -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text(KEY, "x" * (2 << 20), zip=True)
    out = io.BytesIO()
    Image.new("L", (1, 1)).save(out, "PNG", pnginfo=chunks)
    assert len(out.getvalue()) < 10_000
    with pytest.raises(ImageError, match="damaged"):
        read(out.getvalue())


def test_reading_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: object) -> None:
        raise AssertionError("decoded")

    data = encode_png(PICTURE, MADE)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", decode)
    assert read(data) == MADE


def test_what_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a picture"):
        read(b"a letter")
    with pytest.raises(ImageError, match="there is no picture"):
        read(tmp_path / "nowhere.png")
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    body = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    with pytest.raises(ImageError, match="3600 megapixels, over the limit of 200"):
        read(header + body + struct.pack(">I", zlib.crc32(body)) + bytes(4) + b"IEND" + struct.pack(">I", 0xAE426082))


def test_a_provenance_does_not_change() -> None:
    before = copy.deepcopy(SETTINGS)
    MADE.labels()
    read(encode_png(PICTURE, MADE))
    assert repr(MADE.settings) == repr(before)
    with pytest.raises(AttributeError):
        MADE.seed = 3  # type: ignore[misc]


def test_what_was_only_enhanced_is_not_called_generated() -> None:
    made = Provenance(tool="restore", model="")
    assert f"<Iptc4xmpExt:DigitalSourceType>{ENHANCED}<".encode() in made.labels(ENHANCED).xmp
    assert AI_GENERATED.encode() not in made.labels(ENHANCED).xmp and AI_GENERATED.encode() in made.labels().xmp
