import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

import studio.engine
from studio.files import sha256
from studio.images import open_picture, save_picture
from studio.masks import encode_mask
from studio.provenance import read
from tests.picture_files import red_cyan_profile, swapped_profile
from tests.tiny_restore import DarkDetector, MeanInpainter, TinyEngine
from tests.tiny_style import blobs, picture

EXIF = Image.Exif()
EXIF[315] = "Ann"
SIZE = (60, 83)
FILES = ["deep.png", "deep.tif", "flat.tiff", "flat.webp", "photo.jpg"]


def mask() -> np.ndarray:
    levels = np.zeros(SIZE, np.uint8)
    cv2.line(levels, (5, 8), (75, 50), 255, 2)
    cv2.circle(levels, (60, 20), 6, 255, -1)
    return levels > 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of every kind that brings a profile, EXIF and a resolution, and a mask."""
    root = tmp_path_factory.mktemp("damaged")
    (root / "in" / "deep").mkdir(parents=True)
    for name in FILES:
        dtype = np.uint16 if name.startswith("deep") else np.uint8
        photo = picture(blobs(*SIZE, dtype=dtype), icc=swapped_profile(), exif=EXIF.tobytes(), dpi=(300, 300))
        save_picture(root / "in" / name, photo, lossless=True)
    (root / "mask.png").write_bytes(encode_mask(mask()))
    (root / "none.png").write_bytes(encode_mask(np.zeros(SIZE, bool)))
    (root / "all.png").write_bytes(encode_mask(np.ones(SIZE, bool)))
    return root


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> TinyEngine:
    engine = TinyEngine(inpaint=MeanInpainter(), damage=DarkDetector())
    monkeypatch.setattr(studio.engine, "Engine", lambda library, device: engine)
    return engine


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("method", ["network", "telea", "ns", "biharmonic"])
def test_outside_of_the_mask_nothing_changes(
    cli: Callable, networks: TinyEngine, folder: Path, name: str, method: str
) -> None:
    out = Path(name).with_suffix(".png") if name == "photo.jpg" else Path(name)
    answer = cli("restore", folder / "in" / name, "--mask", folder / "mask.png", "--method", method, "--out", out)
    assert answer.code == 0, answer.err
    before, after = open_picture(folder / "in" / name), open_picture(out)
    assert np.array_equal(after.pixels[~mask()], before.pixels[~mask()])
    assert (after.pixels != before.pixels).any(axis=2)[mask()].mean() > 0.8
    assert after.pixels.dtype == before.pixels.dtype and after.icc == before.icc == swapped_profile()
    with Image.open(out) as image:
        assert image.getexif()[315] == "Ann"
    if not name.endswith("webp"):
        assert after.dpi == pytest.approx((300, 300), abs=0.02)
    made = read(out)
    assert made.tool == "restore" and made.settings["layers"][0]["method"] == method
    assert made.model == ("inpaint" if method == "network" else "")


def test_a_folder_with_masks_of_the_same_names(cli: Callable, folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in FILES:
        (masks / name).with_suffix(".png").write_bytes(encode_mask(mask()))
    rest = ("--out", "out", "--method", "ns", "--report", "reports", "--layers", "layers", "--note", "by <Ann>")
    answer = cli("restore", folder / "in", "--mask", masks, *rest)
    assert answer.code == 0, answer.err
    made = sorted(path.name for path in Path("out").iterdir())
    assert made == ["deep.png", "deep.tif", "flat.tiff", "flat.webp", "photo.png"]
    values = json.loads(Path("reports/photo/report.json").read_text())
    assert values["changed"]["outside_px"] == 0 and values["mask"]["area_px"] == mask().sum()
    assert values["original"]["sha256"] == sha256(folder / "in" / "photo.jpg")
    assert values["result"]["sha256"] == sha256(Path("out/photo.png")) and values["note"] == "by <Ann>"
    assert all(values["kept"].values())
    assert "by &lt;Ann&gt;" in Path("reports/photo/report.html").read_text()
    with tifffile.TiffFile("layers/flat.layers.tif") as file:
        original, fill = (page.asarray() for page in file.pages)
    assert np.array_equal(original, open_picture(folder / "in" / "flat.tiff").pixels)
    assert np.array_equal(fill[..., 3] > 0, mask())
    assert np.array_equal(open_picture("layers/flat.fill.png").pixels, fill)
    assert np.array_equal(open_picture("layers/flat.mask.png").pixels[..., 0] > 0, mask())


def test_damage_is_found_and_filled(cli: Callable, networks: TinyEngine) -> None:
    pixels = np.full((50, 70, 3), 180, np.uint8)
    pixels[20:22, 5:60] = 0
    save_picture(Path("cracked.png"), picture(pixels))
    answer = cli("restore", "cracked.png", "--mask", "auto", "--out", "out.png", "--json")
    assert answer.values["notes"] == ["cracked.png: 1 x crack (100% sure)", "inpaint: licence CC0-1.0"]
    assert answer.values["filled_px"] == {"cracked.png": 4 * 55 + 4}
    assert (open_picture("out.png").pixels == 180).all()


def test_where_there_is_nothing_to_restore_the_file_is_the_same(
    cli: Callable, networks: TinyEngine, folder: Path
) -> None:
    save_picture(Path("whole.png"), picture(np.full((50, 70, 3), 180, np.uint8)))
    answer = cli("restore", "whole.png", "--mask", "auto", "--out", "out.png")
    assert answer.code == 0 and "whole.png: nothing to restore" in answer.out
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()
    photo = folder / "in" / "deep.tif"
    assert cli("restore", photo, "--mask", folder / "none.png", "--out", "out.png").code == 0
    assert np.array_equal(open_picture("out.png").pixels, open_picture(photo).pixels)


def test_a_jpeg_without_damage_is_the_same_file_under_either_suffix(cli: Callable, folder: Path) -> None:
    photo = folder / "in" / "photo.jpg"
    answer = cli("restore", photo, "--mask", folder / "none.png", "--method", "ns", "--out", "out.jpeg")
    assert Path("out.jpeg").read_bytes() == photo.read_bytes() and "encodes" not in answer.out


def test_transparency_that_hides_nothing_is_left_out_of_a_jpeg(cli: Callable, folder: Path) -> None:
    pixels = np.dstack([blobs(*SIZE), np.full(SIZE, 255, np.uint8)])
    save_picture(Path("opaque.png"), picture(pixels))
    words = ("--mask", folder / "mask.png", "--method", "ns", "--out", "out.jpg")
    assert cli("restore", "opaque.png", *words).code == 0
    assert open_picture("out.jpg").pixels.shape == (*SIZE, 3)
    pixels[0, 0, 3] = 0
    save_picture(Path("clear.png"), picture(pixels))
    assert "transparent in places, which JPEG cannot hold" in cli("restore", "clear.png", *words).error


def test_what_was_read_otherwise_than_it_is_stored_is_said_and_reported(cli: Callable, folder: Path) -> None:
    Image.fromarray(blobs(*SIZE)).convert("CMYK").save("print.tif", icc_profile=red_cyan_profile())
    alpha = np.full(SIZE, 128, np.uint8)
    tifffile.imwrite("glass.tif", np.dstack([blobs(*SIZE) // 2, alpha]), photometric="rgb", extrasamples=["assocalpha"])
    words = ("--mask", folder / "mask.png", "--method", "ns", "--out", "out.tif", "--report", "report")
    for name, said, kept in (
        ("print.tif", "CMYK colours, which are read as sRGB", False),
        ("glass.tif", "colours multiplied by their alpha, which are read as straight ones", True),
    ):
        answer = cli("restore", name, *words)
        assert f"out.tif: the original has {said}, and so they are written" in answer.out
        assert ("profile was applied" in answer.out) != kept
        values, page = json.loads(Path("report/report.json").read_text()), Path("report/report.html").read_text()
        assert values["kept"]["colours"] is False and values["kept"]["icc"] is kept
        assert f"But the original has {said}: they are compared as they were read." in page
        assert 'class="verdict bad"' in page


def test_jpeg_is_written_where_it_is_asked_for_and_said(cli: Callable, folder: Path) -> None:
    words = ("restore", folder / "in" / "photo.jpg", "--mask", folder / "mask.png", "--method", "ns")
    answer = cli(*words, "--report", "report", "--out", "out.jpg")
    assert answer.code == 0 and "out.jpg: JPEG encodes every pixel anew; a .png or .tif keeps them" in answer.out
    values = json.loads(Path("report/report.json").read_text())
    assert values["changed"]["outside_px"] > 0
    said = f"{values['changed']['outside_px']:,} pixels outside the mask differ"
    assert said in Path("report/report.html").read_text()


def test_webp_says_that_it_keeps_eight_bits(cli: Callable, folder: Path) -> None:
    words = ("restore", folder / "in" / "deep.png", "--mask", folder / "mask.png", "--method", "ns")
    said = cli(*words, "--out", "out.webp").out
    assert "out.webp: WebP keeps 8 of 16 bits" in said and "out.webp: WebP does not keep the resolution" in said


def test_strokes_are_drawn_in_the_mask_alone(cli: Callable, folder: Path) -> None:
    words = ("restore", folder / "in" / "flat.tiff", "--mask", folder / "mask.png", "--method", "ns")
    assert cli(*words, "--out", "plain.png").code == 0
    assert cli(*words, "--tratteggio", "--pitch", 4, "--out", "strokes.png").code == 0
    plain, strokes = open_picture("plain.png").pixels, open_picture("strokes.png").pixels
    assert np.array_equal(plain[~mask()], strokes[~mask()]) and not np.array_equal(plain, strokes)
    assert read(Path("strokes.png")).settings["layers"][0]["tratteggio"]["pitch"] == 4


def test_of_several_pages_none_is_guessed(cli: Callable, folder: Path) -> None:
    frames = [Image.fromarray(blobs(*SIZE, seed=seed)) for seed in (0, 1)]
    frames[0].save("film.png", save_all=True, append_images=frames[1:])
    answer = cli("restore", "film.png", "--mask", folder / "mask.png", "--method", "ns", "--out", "out.png")
    assert answer.code == 2 and not Path("out.png").exists()
    assert "film.png has 2 pages or frames; save the one to be worked on by itself" in answer.err
    photo = folder / "in" / "flat.tiff"
    error = cli("restore", photo, "--mask", "film.png", "--method", "ns", "--out", "out.png").error
    assert error.startswith("film.png has 2 pages")


def test_greys_of_a_mask_are_said(cli: Callable, folder: Path) -> None:
    grey = np.where(mask(), 255, 0).astype(np.uint8)
    grey[0, 0] = 77
    Image.fromarray(grey).save("grey.png")
    answer = cli("restore", folder / "in" / "flat.tiff", "--mask", "grey.png", "--method", "ns", "--out", "out.png")
    assert "grey.png: under 0.1% of the mask is grey; what is at least 128 of 255 is filled" in answer.out


def test_a_folder_is_done_to_its_end(cli: Callable, folder: Path) -> None:
    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"no picture")
    Path("in/b.png").write_bytes((folder / "in" / "flat.tiff").read_bytes())
    Path("in/c.png").write_bytes((folder / "in" / "deep.png").read_bytes())
    shutil.copytree(folder, "masks", ignore=lambda *_: ["in"])
    for letter, name in (("a", "mask"), ("b", "mask"), ("c", "none")):
        Path(f"masks/{letter}.png").write_bytes(Path(f"masks/{name}.png").read_bytes())
    answer = cli("restore", "in", "--mask", "masks", "--method", "ns", "--out", "out", "--json")
    error = "1 of 3 files could not be restored, the other 2 are in out: a.png: "
    assert answer.code == 2 and answer.err.startswith(f"error: {error}") and answer.err.count("\n") == 1
    assert answer.values["error"].startswith(error) and answer.values["notes"] == ["c.png: nothing to restore"]
    assert answer.values["files"] == ["out/b.png", "out/c.png"] and Path("out/b.png").exists()
    for letter in "bc":
        Path(f"in/{letter}.png").write_bytes(b"no picture")
    error = cli("restore", "in", "--mask", "masks", "--method", "ns", "--out", "out").error
    assert error.startswith("3 of 3 files could not be restored, none could be: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--mask", "MASK", "--out", "out.png"),
            r"no model named 'inpaint'; .*--method biharmonic\|ns\|patches\|telea$",
        ),
        (("--mask", "auto", "--method", "ns", "--out", "out.png"), r"no model named 'damage'; .*--mask FILE$"),
        (("--mask", "ALL", "--method", "ns", "--out", "out.png"), "the mask covers 100% of the picture"),
        (("--mask", "none.png", "--method", "ns", "--out", "out.png"), "there is no picture none.png"),
        (("--mask", "SMALL", "--method", "ns", "--out", "out.png"), "the mask has 9 x 9 px and the picture 83 x 60"),
        (("--mask", "MASK", "--method", "ns", "--out", "out.bmp"), "out.bmp does not end in one of .png"),
        (("--mask", "MASK", "--method", "magic", "--out", "out.png"), "method='magic' is not one of auto, network"),
        (("--mask", "MASK", "--method", "ns", "--grow", "99", "--out", "out.png"), "grow=99 is outside -64..64 px"),
        (("--mask", "MASK", "--model", "x.pth", "--out", "out.png"), "x.pth cannot be read"),
    ],
)
def test_one_sentence(cli: Callable, folder: Path, words: tuple[str, ...], sentence: str) -> None:
    Path("small.png").write_bytes(encode_mask(np.zeros((9, 9), bool)))
    places = {"MASK": folder / "mask.png", "ALL": folder / "all.png", "SMALL": "small.png"}
    error = cli("restore", folder / "in" / "deep.png", *(places.get(word, word) for word in words)).error
    assert re.search(sentence, error), error
    assert not Path("out.png").exists()


def test_the_original_is_not_written_over(cli: Callable, folder: Path) -> None:
    photo = Path("photo.png")
    photo.write_bytes((folder / "in" / "deep.png").read_bytes())
    error = cli("restore", photo, "--mask", folder / "mask.png", "--method", "ns", "--out", photo).error
    assert error == "photo.png is the picture to work from; give another name with --out"


def test_the_mask_is_not_written_over(cli: Callable, folder: Path) -> None:
    words = ("restore", folder / "in" / "flat.tiff", "--method", "ns", "--grow", 2)
    for name, option in (("mask.png", ""), ("layers/out.mask.png", "--layers"), ("report/mask.png", "--report")):
        mine = Path(name)
        mine.parent.mkdir(exist_ok=True)
        mine.write_bytes(encode_mask(mask()))
        where = ("--out", "out.png", option, mine.parent) if option else ("--out", mine)
        error = cli(*words, "--mask", mine, *where).error
        assert error == f"{name} is the mask to work from; give another name with {option or '--out'}"
        assert mine.read_bytes() == encode_mask(mask()) and not Path("out.png").exists()


def test_a_network_that_enlarges_does_not_fill(cli: Callable, folder: Path) -> None:
    weights = Compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2).state_dict()
    save_file(weights, "big.safetensors")
    words = ("restore", folder / "in" / "deep.png", "--mask", folder / "mask.png", "--out", "out.png")
    error = cli(*words, "--model", "big.safetensors").error
    assert error == "restore needs a model with filling in what is missing, which 'big' lacks; choose another model"
