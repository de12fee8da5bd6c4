import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import studio.commands.stylize
import studio.files
import studio.fine
import studio.library
from studio.engine import Engine
from studio.files import sha256
from studio.images import open_picture, save_picture
from studio.library import Library
from studio.provenance import read, read_film
from studio.style import Stylist, read_provenance
from studio.styling import StyleSettings
from studio.video import write_film
from tests.film import decode
from tests.picture_files import swapped_profile
from tests.tiny_style import blobs, picture, save_style


GOOD = ["photos/a.jpg", "styles/one.png"]


@pytest.fixture(scope="module")
def style_model(tmp_path_factory: pytest.TempPathFactory, save_tiny: Callable[..., Path]) -> Path:
    """In a person's own folder, beside `grey`, which paints in no style."""
    root = tmp_path_factory.mktemp("home") / "models"
    save_tiny(root / "grey")
    return save_style(root / "style")


@pytest.fixture
def here(cli: Callable, style_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder that commands start in, with photos and styles in it."""
    monkeypatch.setenv("ATELIER_HOME", str(style_model.parents[1]))
    Path("photos/deeper").mkdir(parents=True)
    Path("styles").mkdir()
    save_picture(Path("photos/a.jpg"), picture(blobs(40, 56)))
    save_picture(Path("photos/b.png"), picture(blobs(30, 30, seed=1)))
    save_picture(Path("photos/deeper/c.tif"), picture(blobs(24, 32, seed=2, dtype=np.uint16)))
    save_picture(Path("styles/one.png"), picture(blobs(60, 60, seed=9)))
    save_picture(Path("styles/two.png"), picture(blobs(60, 60, seed=7)))
    return Path.cwd()


def pixels(path: Path | str) -> np.ndarray:
    return open_picture(path).pixels.astype(int)


def test_a_photo(cli: Callable, here: Path, style_model: Path) -> None:
    answer = cli("stylize", "photos/b.png", "styles/one.png", "--out", "new/result.png", "--json")
    assert answer.code == 0 and answer.err == ""
    assert answer.values["files"] == [os.path.join("new", "result.png")] and answer.values["seconds"] > 0
    stylist = Stylist(Engine(Library((style_model.parent,)), "cpu"))
    expected = stylist.stylize(open_picture("photos/b.png"), [open_picture("styles/one.png")])
    assert np.abs(pixels("new/result.png") - expected.pixels).max() <= 1


def test_for_people(cli: Callable, here: Path) -> None:
    answer = cli("stylize", "photos/b.png", "styles/one.png", "--out", "a.png")
    assert answer.out.startswith("wrote a.png in ") and answer.out.count("\n") == 1


def test_the_style_tab_gets_its_settings_back(cli: Callable, here: Path, style_model: Path) -> None:
    options = "--weights 0.7,0.3 --strength 0.9 --keep-colour --stroke 2 --detail 0.5 --size 50 --out a.jpg".split()
    files = [here / "photos/a.jpg", here / "styles/one.png", here / "styles/two.png"]
    answer = cli("stylize", *files, *options)
    assert answer.code == 0 and open_picture("a.jpg").size == (50, 36)
    made = read(Path("a.jpg"))
    wanted = StyleSettings(
        weights=(0.7, 0.3), strength=0.9, keep_colour="luminance", stroke=2.0, detail=0.5, size=50
    )
    styles = [(name, sha256(Path("styles") / name)) for name in ("one.png", "two.png")]
    assert read_provenance(made) == (wanted, styles)
    assert made.model == "style" and made.model_sha256 == sha256(style_model / "model.safetensors")
    assert str(here) not in made.to_json()


@pytest.mark.parametrize(
    "words, mode",
    [([], "no"), (["--keep-colour"], "luminance"), (["--keep-colour", "histogram"], "histogram")],
)
def test_keep_colour_with_and_without_a_word(cli: Callable, here: Path, words: list[str], mode: str) -> None:
    assert cli("stylize", "photos/b.png", "styles/one.png", *words, "--out", "a.png").code == 0
    assert read_provenance(read(Path("a.png")))[0].keep_colour == mode


def test_what_a_file_carries_stays(cli: Callable, here: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "A. Painter"
    Image.fromarray(blobs(30, 40)).save("in.jpg", exif=exif, icc_profile=swapped_profile(), dpi=(300, 300))
    assert cli("stylize", "in.jpg", "styles/one.png", "--out", "out.jpg").code == 0
    with Image.open("out.jpg") as made:
        assert made.getexif()[0x013B] == "A. Painter" and made.info["icc_profile"] == swapped_profile()
        assert made.info["dpi"] == (300, 300)
    assert cli("stylize", "photos/deeper/c.tif", "styles/one.png", "--out", "deep.png").code == 0
    assert open_picture("deep.png").pixels.dtype == np.uint16


def test_what_a_format_cannot_hold_is_said_before_anything_is_painted(
    cli: Callable, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paint(*values: object, **options: object) -> None:
        raise AssertionError("painted in vain")

    monkeypatch.setattr(Stylist, "stylize", paint)
    Image.fromarray(blobs(30, 40, channels=4)).save("clear.png")
    error = cli("stylize", "clear.png", "styles/one.png", "--out", "a.jpg").error
    assert error == "the photo is transparent in places, which JPEG cannot hold; choose PNG, TIFF or WebP"
    error = cli("stylize", "photos/b.png", "styles/one.png", "--out", "a.gif").error
    assert error.startswith("a.gif does not end in one of .png, ")


def test_masks(cli: Callable, here: Path) -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[:, :12] = 255
    Image.fromarray(mask).save("left.png")
    Image.fromarray(255 - mask).save("right.png")
    assert cli("stylize", "photos/b.png", "styles/one.png", "--mask", "left.png", "--out", "a.png").code == 0
    assert (pixels("a.png")[:, 12:] == pixels("photos/b.png")[:, 12:]).all()
    assert (pixels("a.png")[:, :8] != pixels("photos/b.png")[:, :8]).any()
    both = ["--mask", "left.png", "--mask", "right.png"]
    assert cli("stylize", "photos/b.png", "styles/one.png", "styles/two.png", *both, "--out", "b.png").code == 0
    assert np.abs(pixels("b.png")[:, :8] - pixels("a.png")[:, :8]).max() <= 1
    wrong = cli("stylize", "photos/a.jpg", "styles/one.png", "--mask", "left.png", "--out", "c.png")
    assert wrong.error == (
        "the mask has 30 x 30 px and the picture 56 x 40; "
        "make them the same, or have the mask stretched (--fit-masks)"
    )
    stretched = ["photos/a.jpg", "styles/one.png", "--mask", "left.png", "--fit-masks", "--out", "c.png"]
    assert cli("stylize", *stretched).code == 0


def test_the_photo_is_not_overwritten(cli: Callable, here: Path) -> None:
    before = Path("photos/a.jpg").read_bytes()
    error = cli("stylize", "photos/a.jpg", "styles/one.png", "--out", "photos").error
    assert error.startswith(f"{Path('photos/a.jpg')} is one of the pictures to work from")
    assert Path("photos/a.jpg").read_bytes() == before


# Folders


def test_a_folder(cli: Callable, here: Path) -> None:
    answer = cli("stylize", "photos", "styles/one.png", "--out", "made", "--json")
    names = ["a.jpg", "b.png", os.path.join("deeper", "c.tif")]
    assert answer.values["files"] == [os.path.join("made", name) for name in names]
    assert pixels("made/a.jpg").shape == (40, 56, 3) and open_picture("made/deeper/c.tif").pixels.dtype == np.uint16


def test_a_folder_with_files_that_cannot_be_painted(cli: Callable, here: Path) -> None:
    """Every one is named with what is wrong, and the rest is done."""
    Path("photos/aa.png").write_bytes(b"")
    Path("photos/bb.jpg").write_bytes(Path("photos/a.jpg").read_bytes()[:300])
    answer = cli("stylize", "photos", "styles/one.png", "--out", "made")
    assert answer.code == 2 and sorted(os.listdir("made")) == ["a.jpg", "b.png", "deeper"]
    assert answer.out.startswith("wrote 3 files to made in ")
    assert answer.err.startswith("error: 2 of 5 files could not be painted: aa.png: ")
    assert "aa.png is empty (0 bytes); copy or download it again; bb.jpg: " in answer.err
    answer = cli("stylize", "photos", "styles/one.png", "--out", "again", "--json")
    assert answer.code == 2 and len(answer.values["files"]) == 3
    assert [sentence[:7] for sentence in answer.values["failed"]] == ["aa.png:", "bb.jpg:"]
    assert answer.values["error"].startswith("2 of 5 files could not be painted: ")


def test_a_folder_of_styles(cli: Callable, here: Path) -> None:
    assert cli("stylize", "photos/b.png", "styles", "--out", "made").code == 0
    assert sorted(os.listdir("made")) == ["one.png", "two.png"]
    assert (pixels("made/one.png") != pixels("made/two.png")).any()
    assert cli("stylize", "photos", "styles", "--out", "all").code == 0
    found = sorted(os.path.relpath(path, "all") for path in Path("all").rglob("*.*"))
    expected = [("a", "one.jpg"), ("a", "two.jpg"), ("b", "one.png"), ("b", "two.png")]
    expected += [("deeper", "c", "one.tif"), ("deeper", "c", "two.tif")]
    assert found == [os.path.join(*parts) for parts in expected]


def test_what_is_wrong_for_all_is_said_once(cli: Callable, here: Path) -> None:
    error = cli("stylize", "photos", "styles/nowhere.png", "--out", "made").error
    assert error == f"there is no picture {Path('styles/nowhere.png')}; check the name"
    error = cli("stylize", "photos", "styles/one.png", "--weights", "1,1", "--out", "made").error
    assert error == "2 weights do not fit 1 styles; give one for each, or none"


def test_a_full_disk_ends_it(cli: Callable, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, left = os.replace, [1]

    def until_full(source: str, target: Path) -> None:
        if not left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        replace(source, target)

    monkeypatch.setattr(studio.files.os, "replace", until_full)
    error = cli("stylize", "photos", "styles/one.png", "--out", "made").error
    assert error == f"the disk of {Path('made/b.png')} is full; free some space and try again"
    assert [name for name in os.listdir("made") if "." in name] == ["a.jpg"]


def test_a_moving_style_is_its_first_frame(cli: Callable, here: Path) -> None:
    frames = [Image.fromarray(blobs(40, 40, seed=seed)) for seed in (9, 7)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save("still.gif")
    answer = cli("stylize", "photos/b.png", "moving.gif", "--out", "a.png", "--json")
    assert answer.values["notes"] == ["moving.gif has 2 frames or pages; its first one is the style"]
    assert cli("stylize", "photos/b.png", "still.gif", "--out", "b.png", "--json").values["notes"] == []
    assert np.abs(pixels("a.png") - pixels("b.png")).max() <= 1


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["photos/x.jpg", "styles/one.png"], "there is no picture photos/x.jpg; check the name"),
        (["photos/a.jpg", "styles/x.png"], "there is no picture styles/x.png; check the name"),
        (["photos/a.jpg", "junk"], "junk is not a picture that can be read here; give one of "),
        ([*GOOD, *["styles/one.png"] * 4], "5 styles; choose 1 to 4"),
        ([*GOOD, "--weights", "1,1"], "2 weights do not fit 1 styles; give one for each, or none"),
        ([*GOOD, "--strength", "2"], "strength=2.0 is outside 0..1 (how far from the photo"),
        ([*GOOD, "--keep-colour", "all"], "keep_colour='all' is not one of no, luminance, histogram"),
        ([*GOOD, "--size", "0"], "size=0 is outside 1..30000 px"),
        ([*GOOD, "--model", "nobody"], "no model named 'nobody'; installed: "),
        ([*GOOD, "--model", "grey"], "style needs a model with painting in any style"),
        ([*GOOD, "--device", "abacus"], "device='abacus' is not one of auto, cpu, cuda"),
        ([*GOOD, "--mask", "nowhere.png"], "there is no picture nowhere.png; check the name"),
    ],
)
def test_bad_input(cli: Callable, here: Path, words: list[str], sentence: str) -> None:
    Path("junk").write_text("no picture at all, but long enough to be one")
    sentence = sentence.replace("/", os.sep)
    assert cli("stylize", *words, "--out", "made/a.png").error.startswith(sentence)
    assert cli("stylize", *words, "--out", "made/a.png", "--json").values["error"].startswith(sentence)
    assert not Path("made/a.png").exists()


def test_as_a_program(here: Path, style_model: Path) -> None:
    """Where gradio is not installed."""
    code = (
        "import sys; sys.modules['gradio'] = None\n"
        "from studio.commands import main\n"
        f"words = ['photos/b.png', 'styles/one.png', '--model', {str(style_model)!r}, '--out', 'a.webp']\n"
        "sys.exit(main(['stylize', *words]))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode == 0 and done.stdout.startswith("wrote a.webp in "), done.stderr
    assert read(Path("a.webp")).model == "style"


def test_a_film(cli: Callable, here: Path) -> None:
    frames = [torch.from_numpy(blobs(24, 32, seed=4)).permute(2, 0, 1) / 127.5 - 1] * 3
    write_film(Path("in.mp4"), frames, 10, {})
    answer = cli("stylize", "in.mp4", "styles/one.png", "--steady", "0.5", "--out", "made", "--json")
    assert answer.code == 0, answer
    assert answer.values["files"] == [os.path.join("made", "in.mp4")] and answer.values["notes"]
    film = decode(Path("made/in.mp4"))
    assert len(film.frames) == 3 and film.rate == 10
    made = read_film(film.metadata)
    assert read_provenance(made)[1] == [("one.png", sha256(Path("styles/one.png")))]
    fine = cli("stylize", "in.mp4", "styles/one.png", "--quality", "fine", "--out", "made/b.mp4")
    assert fine.error == "in.mp4 is a film, and --quality fine is for pictures; leave it out"


def test_ctrl_c_within_a_film_keeps_what_is_done(
    cli: Callable, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [torch.from_numpy(blobs(24, 32, seed=4)).permute(2, 0, 1) / 127.5 - 1] * 5
    for name in ("one.mp4", "two.mp4"):
        Path("films").mkdir(exist_ok=True)
        write_film(Path("films") / name, frames, 10, {})
    show = studio.commands.stylize.Meter.show

    def interrupted(self: object, fraction: float) -> None:
        show(self, fraction)
        if fraction > 0.3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(studio.commands.stylize.Meter, "show", interrupted)
    answer = cli("stylize", "films", "styles/one.png", "--out", "made", "--json")
    assert answer.code == 0 and os.listdir("made") == ["one.mp4"] and len(decode(Path("made/one.mp4")).frames) == 2
    assert any("stopped after 2 of 5 frames" in note for note in answer.values["notes"])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_slow_and_fine(cli: Callable, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio.library, "BUNDLED", studio.fine.BUNDLED)
    save_picture(Path("small.png"), picture(blobs(32, 32)))
    words = ["stylize", "small.png", "styles/one.png", "--quality", "fine", "--steps", "2", "--out", "a.png"]
    assert cli(*words).code == 0
    made = read(Path("a.png"))
    assert made.model == "vgg" and made.settings["fine"]["steps"] == 2 and read_provenance(made)[0] == StyleSettings()
    assert (pixels("a.png") != pixels("small.png")).any()
