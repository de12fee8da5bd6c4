import base64
import contextlib
import errno
import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.errors import DataError, ImageError, SettingError, UnknownName, VideoError
from studio.film import FramePainter
from studio.images import encode, open_picture, save_picture
from studio.library import Library
from studio.presets import STYLES, style_path
from studio.provenance import AI_GENERATED, Provenance, read
from studio.raster.labels import read_labels
from studio.style import Stylist, StyleSettings
from studio.ui import archives
from studio.ui.components.live import Request
from studio.ui.handlers import style as module
from studio.ui.handlers import style_work
from studio.ui.handlers.style import StyleHandlers
from studio.ui.handlers.style_controls import KEEP, StyleControls
from studio.ui.handlers.style_work import region_masks
from studio.ui.services import Services
from studio.ui.tasks import AT_WORK
from tests.film import decode
from tests.tiny_style import blobs, save_style
from tests.ui.visitor import Visitor, opened, photo, png, save_film

WAIT_S = 20
NOISE = 10  # mean difference that JPEG makes of grainy pictures


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Library:
    root = tmp_path_factory.mktemp("models")
    save_style(root / "style")
    return Library((root,))


@pytest.fixture
def services(models: Library) -> Iterator[Services]:
    services = Services.on(models, "cpu")
    yield services
    services.close()


@pytest.fixture
def handlers(services: Services) -> StyleHandlers:
    return StyleHandlers(services)


@pytest.fixture
def visitor(handlers: StyleHandlers) -> Visitor:
    return Visitor(handlers)


def ended(visitor: Visitor) -> dict[str, Any]:
    for _ in range(WAIT_S * 50):
        report = visitor.handlers.watch({"desk": visitor.desk, "shown": 0})
        if report["state"] not in AT_WORK:
            return report
        threading.Event().wait(0.02)
    raise AssertionError("the work did not end")


def made(visitor: Visitor, files: list[dict[str, str]] | None = None, **settings: Any) -> bytes:
    """The finished file."""
    visitor.start(files, **settings)
    report = ended(visitor)
    assert report["state"] == "done", report
    return visitor.take(report["file"])


def far(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


# ---- previews


def test_without_a_photo_there_is_nothing_to_show(visitor: Visitor) -> None:
    assert visitor.draw() == {"empty": True}


def test_the_photo_before_and_the_painting_after(visitor: Visitor, services: Services) -> None:
    info = visitor.send(photo(), "sea.png")
    assert {k: info[k] for k in ("name", "kind", "width", "height", "seconds")} == {
        "name": "sea.png", "kind": "picture", "width": 80, "height": 60, "seconds": 0.0,
    }
    answer = visitor.draw(work=info["id"], styles=["starry_night", "", "", ""])
    before = answer["before"]
    assert (before["width"], before["height"], before["name"]) == (80, 60, "sea.png")
    assert far(opened(before["picture"]), blobs(60, 80, 1)) < NOISE  # JPEG
    content = open_picture(photo())
    right = services.stylist("style").preview(content, [open_picture(style_path("starry_night"))], StyleSettings())
    other = services.stylist("style").preview(content, [open_picture(style_path("spring"))], StyleSettings())
    shown = opened(answer["picture"])
    assert far(shown, right) < NOISE < far(shown, other)
    assert list(answer["ms"]) == ["wait", "draw", "encode", "total"]


def test_what_was_before_is_sent_once(visitor: Visitor) -> None:
    work = visitor.send(photo())["id"]
    first = visitor.draw(work=work)
    assert "before" not in visitor.draw(has=first["before"]["key"], work=work, strength=0.5)
    assert "before" in visitor.draw(has="another", work=work)


def test_large_photos_are_shown_small(visitor: Visitor) -> None:
    work = visitor.send(photo(900, 1200))["id"]
    answer = visitor.draw(work=work)
    assert (answer["before"]["width"], answer["before"]["height"]) == (1200, 900)
    assert opened(answer["before"]["picture"]).shape == opened(answer["picture"]).shape == (480, 640, 3)


def test_strength_0_and_no_style_are_the_photo(visitor: Visitor) -> None:
    work = visitor.send(photo())["id"]
    for settings in ({"strength": 0.0}, {"styles": [""] * 4}):
        answer = visitor.draw(work=work, **settings)
        assert far(opened(answer["picture"]), blobs(60, 80, 1)) < NOISE


def test_styles_of_ones_own_and_their_weights(visitor: Visitor) -> None:
    work = visitor.send(photo())["id"]
    red = visitor.send(png(np.full((40, 40, 3), (220, 10, 10), np.uint8)), "red.png", "style")["id"]
    blue = visitor.send(png(np.full((40, 40, 3), (10, 10, 220), np.uint8)), "blue.png", "style")["id"]
    tones = []
    for weights in ([1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 1, 0, 0]):
        answer = visitor.draw(work=work, styles=[red, blue, "", ""], weights=weights)
        tones.append(opened(answer["picture"]).mean(axis=(0, 1)))
    assert tones[0][0] > tones[1][0] > tones[2][0] and tones[0][2] < tones[1][2] < tones[2][2]


def test_an_overtaken_request_is_dropped(services: Services) -> None:
    handlers = StyleHandlers(services)
    visitor = Visitor(handlers)
    work = visitor.send(photo())["id"]

    class Slow:
        """An engine for which a newer request of the page arrives while this one waits."""

        def __getattr__(self, name: str) -> Any:
            return getattr(services.engine, name)

        @contextlib.contextmanager
        def use(self, name: str) -> Iterator[object]:
            handlers.newest.arrive(Request("c" * 32, 1000, {}))
            with services.engine.use(name) as model:
                yield model

    services._stylists["style"] = Stylist(Slow(), "style")
    assert visitor.draw(work=work) == {"stale": True}
    visitor.n = 1000
    assert "picture" in visitor.draw(work=work)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"strength": 1.5}, "strength=1.5 is outside 0..1"),
        ({"strength": float("nan")}, "strength=nan is not a finite number"),
        ({"stroke": 0.1}, "stroke=0.1 is outside 0.25..4"),
        ({"weights": [1, 1]}, "weights has 2 values"),
        ({"styles": ["great_wave"]}, "styles has 1 values"),
        ({"styles": ["../../etc/passwd", "", "", ""]}, "neither a file nor one of the presets"),
        ({"work": "great_wave.jpg"}, "neither a file nor"),
        ({"keep_colour": "maybe"}, "keep_colour='maybe' is not one of"),
        ({"format": "svg"}, "format='svg' is not one of"),
        ({"size": -1}, "size=-1 is outside 0..30000"),
        ({"sise": 1}, "no setting named 'sise'"),
    ],
)
def test_bad_values_are_named(visitor: Visitor, settings: dict[str, Any], sentence: str) -> None:
    for call in (visitor.draw, visitor.start):
        with pytest.raises(SettingError, match=sentence):
            call(**settings)


def test_a_page_cannot_name_a_folder(visitor: Visitor, tmp_path: Path) -> None:
    work = visitor.send(photo())["id"]
    elsewhere = save_style(tmp_path / "elsewhere")
    for name in (str(elsewhere), "../elsewhere", "", "."):
        with pytest.raises(UnknownName, match="installed: style"):
            visitor.draw(work=work, model=name)


def test_a_request_without_a_desk(visitor: Visitor) -> None:
    for desk in (None, "", "A" * 32, "../" * 8):
        with pytest.raises(SettingError, match="32 hexadecimal digits"):
            visitor.handlers.draw({**visitor.ask(), "desk": desk})


def test_visitors_do_not_see_each_others_pictures(handlers: StyleHandlers) -> None:
    mine, yours = Visitor(handlers), Visitor(handlers, "b2" * 16)
    work = mine.send(photo())["id"]
    style = mine.send(photo(seed=2), "mine.png", "style")["id"]
    mine.draw(work=work, styles=[style, "", "", ""])
    own = yours.send(photo(seed=3))["id"]
    assert yours.draw(work=work) == {"missing": [work]}
    assert yours.draw(work=own, styles=[style, "", "", ""]) == {"missing": [style]}
    assert yours.draw(work=own, mask=work) == {"missing": [work]}
    assert yours.start(work=work) == {"missing": [work]}
    assert yours.start([{"id": work, "name": "a.png"}, {"id": own, "name": "b.png"}], work=own) == {"missing": [work]}
    assert yours.handlers.take({"desk": yours.desk, "file": work, "offset": 0}) == {"missing": [work]}
    look = yours.handlers.look({"desk": yours.desk, "files": [work, own]})
    assert ([info["id"] for info in look["files"]], look["missing"]) == ([own], [work])


# ---- files


def test_what_is_no_picture_is_said_by_its_own_name_and_not_kept(visitor: Visitor, services: Services) -> None:
    for purpose in ("work", "style", "mask"):
        with pytest.raises(ImageError, match="^notes.txt is not a picture") as caught:
            visitor.send(b"hello", "notes.txt", purpose)
        assert "/" not in str(caught.value)
    gone = hashlib.sha256(b"hello").hexdigest()
    assert services.desks.missing({"desk": visitor.desk, "files": [gone]}) == {"missing": [gone]}


def test_a_picture_that_is_too_large_is_refused_by_its_header(visitor: Visitor) -> None:
    from tests.picture_files import png as made_by_hand

    with pytest.raises(ImageError, match="scan.png has 20000 x 20000 = 400 megapixels, over the limit of 200"):
        visitor.send(made_by_hand(20_000, 20_000, 8, 2, b"x"), "scan.png")


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1", "I;16"])
def test_pictures_of_every_kind(visitor: Visitor, mode: str) -> None:
    file = io.BytesIO()
    grey = Image.fromarray(blobs(30, 40)[..., 0])
    Image.Image.convert(grey if mode == "I;16" else Image.fromarray(blobs(30, 40)), mode).save(file, "TIFF")
    work = visitor.send(file.getvalue(), "scan.tif")["id"]
    style = visitor.send(file.getvalue(), "scan.tif", "style")["id"]
    answer = visitor.draw(work=work, styles=[style, "", "", ""])
    assert opened(answer["picture"]).shape == (30, 40, 3)


def test_a_picture_of_one_pixel(visitor: Visitor) -> None:
    dot = visitor.send(png(np.full((1, 1, 3), 90, np.uint8)))["id"]
    style = visitor.send(png(np.full((1, 1, 3), 30, np.uint8)), "dot.png", "style")["id"]
    assert opened(visitor.draw(work=dot, styles=[style, "", "", ""])["picture"]).shape == (1, 1, 3)


def gif(frames: int) -> bytes:
    file = io.BytesIO()
    pictures = [Image.fromarray(blobs(30, 40, seed)) for seed in range(frames)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=100)
    return file.getvalue()


def test_a_gif_that_moves_is_a_style_by_its_first_frame_and_says_so(visitor: Visitor) -> None:
    moving, still = visitor.send(gif(3), "loop.gif", "style"), visitor.send(gif(1), "still.gif", "style")
    assert [(info["kind"], info["frames"]) for info in (moving, still)] == [("film", 3), ("picture", 1)]
    file = io.BytesIO()
    pictures = [Image.fromarray(blobs(30, 40, seed)) for seed in range(2)]
    pictures[0].save(file, "WEBP", save_all=True, append_images=pictures[1:])
    info = visitor.send(file.getvalue(), "loop.webp", "style")
    assert (info["kind"], info["frames"]) == ("picture", 2)


def test_the_sample_and_the_presets(visitor: Visitor) -> None:
    sample = visitor.handlers.sample({})
    assert opened(sample["picture"]).shape == (480, 640, 3)
    presets = visitor.handlers.presets({})["presets"]
    assert [preset["name"] for preset in presets] == list(STYLES)
    assert all(max(opened(preset["picture"]).shape) <= 160 for preset in presets)


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return out.getvalue()


def test_a_zip_is_unpacked(visitor: Visitor) -> None:
    pictures = {"trip__a_dot_png": photo(), "trip__b_dot_png": photo(seed=2)}
    pack = zipped(**pictures, trip__notes_dot_txt=b"x", _dot_hidden_dot_png=b"x")
    answer = visitor.send(pack, "trip.zip")
    assert (answer["kind"], answer["skipped"]) == ("zip", 2)
    assert [file["name"] for file in answer["files"]] == ["trip/a.png", "trip/b.png"]
    assert "picture" in visitor.draw(work=answer["files"][1]["id"])


def test_a_zip_writes_nowhere_else(visitor: Visitor) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("/etc/a.png", "C:\\b.png", "../../c.png", "..\\..\\d.png"):
            archive.writestr(name, photo())
    answer = visitor.send(out.getvalue(), "x.zip")
    assert [file["name"] for file in answer["files"]] == ["etc/a.png", "C_/b.png"]
    assert answer["skipped"] == 2


def test_zips_that_cannot_be_used(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="x.zip holds no picture"):
        visitor.send(zipped(notes_dot_txt=b"x"), "x.zip")
    with pytest.raises(DataError, match="x.zip cannot be unpacked"):
        visitor.send(b"PK no zip", "x.zip")
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(DataError, match="unpacks to more than"):
        visitor.send(zipped(a_dot_png=photo()), "x.zip")
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_BATCH", 1)
    with pytest.raises(DataError, match="holds more than 1 pictures"):
        visitor.send(zipped(a_dot_png=photo(), b_dot_png=photo()), "x.zip")


# ---- masks


def labels(values: np.ndarray) -> bytes:
    return png((values * 32).astype(np.uint8))


def test_regions_become_masks() -> None:
    painted = np.array([[0, 1, 2, KEEP]], np.uint8)
    both = StyleControls(styles=("spring", "moulin", "", ""))
    masks = [mask.pixels[0, :, 0].tolist() for mask in region_masks(painted, both)]
    assert masks == [[255, 255, 0, 0], [255, 0, 255, 0]]
    one = StyleControls(styles=("", "moulin", "", ""))
    assert [mask.pixels[0, :, 0].tolist() for mask in region_masks(painted, one)] == [[255, 255, 255, 0]]
    kept = region_masks(np.array([[0, KEEP]], np.uint8), both)  # no region of a style: one mask, and the styles mix
    assert [mask.pixels[0, :, 0].tolist() for mask in kept] == [[255, 0]]
    away = region_masks(np.array([[0, 1, 3, KEEP]], np.uint8), both)  # style 3 has been taken away
    assert [mask.pixels[0, :, 0].tolist() for mask in away] == [[255, 255, 255, 0], [255, 0, 255, 0]]
    assert region_masks(None, both) is None


def test_a_region_keeps_the_photo_byte_for_byte(visitor: Visitor) -> None:
    work = visitor.send(photo(60, 80))["id"]
    values = np.zeros((30, 40))
    values[:, :20] = KEEP
    mask = visitor.send(labels(values), "mask.png", "mask")["id"]
    shown = opened(visitor.draw(work=work, mask=mask)["picture"])
    assert far(shown[:, :36], blobs(60, 80, 1)[:, :36]) < NOISE < far(shown[:, 44:], blobs(60, 80, 1)[:, 44:])
    done = open_picture(made(visitor, work=work, mask=mask)).pixels
    assert np.array_equal(done[:, :36], blobs(60, 80, 1)[:, :36])
    assert not np.array_equal(done[:, 44:], blobs(60, 80, 1)[:, 44:])


def test_regions_have_their_styles(visitor: Visitor) -> None:
    work = visitor.send(photo(60, 80))["id"]
    tones = [((220, 10, 10), "red.png"), ((10, 10, 220), "blue.png")]
    red, blue = (visitor.send(png(np.full((40, 40, 3), c, np.uint8)), n, "style")["id"] for c, n in tones)
    values = np.ones((30, 40))
    values[:, 20:] = 2
    mask = visitor.send(labels(values), "mask.png", "mask")["id"]
    shown = opened(visitor.draw(work=work, mask=mask, styles=[red, blue, "", ""])["picture"]).astype(float)
    left, right = shown[:, :30].mean(axis=(0, 1)), shown[:, 50:].mean(axis=(0, 1))
    assert left[0] > left[2] + 50 and right[2] > right[0] + 50


def test_a_mask_whose_levels_a_browser_has_blurred(services: Services, visitor: Visitor) -> None:
    values = np.array([[0, 1, 2, 5]])
    noisy = (values * 32 + np.array([[9, -12, 14, -7]])).clip(0).astype(np.uint8)
    mask = visitor.send(png(noisy), "mask.png", "mask")["id"]
    assert services.shelf.labels(visitor.desk, mask).tolist() == values.tolist()


# ---- finished work


def test_the_finished_picture_is_that_of_the_settings_and_says_how_it_was_made(
    visitor: Visitor, services: Services
) -> None:
    work = visitor.send(photo(333, 200), "sea.jpeg")["id"]
    visitor.start(work=work, strength=0.8, styles=["spring", "", "moulin", ""], weights=[1, 0, 0.5, 0])
    report = ended(visitor)
    assert report["file"]["name"] == "sea-styled.png"
    file = visitor.take(report["file"])
    styles = [open_picture(style_path(name)) for name in ("spring", "moulin")]
    wish = StyleSettings(strength=0.8, weights=(1.0, 0.5))
    right = services.stylist("style").stylize(open_picture(photo(333, 200)), styles, wish)
    assert np.array_equal(open_picture(file).pixels, right.pixels)
    found = read(file)
    assert (found.tool, found.model, found.model_sha256) == ("style", "style", services.engine.info("style").sha256)
    assert [style["name"] for style in found.settings["styles"]] == ["spring", "moulin"]
    assert found.settings["weights"] == [1.0, 0.5]
    assert AI_GENERATED.encode() in read_labels(file).xmp


@pytest.mark.parametrize("format, suffix", [("png", ".png"), ("jpeg", ".jpg"), ("tiff", ".tif"), ("webp", ".webp")])
def test_every_format_brings_the_settings_back(visitor: Visitor, format: str, suffix: str) -> None:
    work = visitor.send(photo(), "sea.png")["id"]
    style = visitor.send(photo(seed=5), "mine.png", "style")["id"]
    settings = dict(work=work, styles=["auvers", style, "", ""], weights=[0.25, 1, 1, 1], strength=0.5, stroke=2.0)
    settings |= {"detail": 0.3, "keep_colour": "luminance", "format": format, "size": 50, "mask": ""}
    visitor.start(**settings)
    report = ended(visitor)
    assert report["file"]["name"] == "sea-styled" + suffix
    again = visitor.send(visitor.take(report["file"]), "dropped" + suffix)
    assert again["settings"] == StyleControls.from_dict(settings).to_dict()
    assert "notice" not in again
    assert (again["width"], again["height"]) == (50, 38)


def test_a_picture_of_the_command_line_brings_what_it_has(
    visitor: Visitor, services: Services, tmp_path: Path
) -> None:
    wish = StyleSettings(strength=0.4, weights=(0.2, 0.8), keep_colour="histogram", stroke=0.5)
    preset = hashlib.sha256(style_path("pesaro").read_bytes()).hexdigest()
    provenance = services.stylist("style").provenance(wish, [("mine.jpg", "e" * 64), ("bellini.jpg", preset)])
    save_picture(tmp_path / "cli.png", Image.fromarray(blobs(20, 30)), labels=provenance.labels())
    found = visitor.send((tmp_path / "cli.png").read_bytes(), "cli.png")["settings"]
    assert found["styles"] == ["e" * 64, "pesaro", "", ""]
    assert (found["weights"], found["strength"], found["keep_colour"]) == ([0.2, 0.8, 1.0, 1.0], 0.4, "histogram")
    assert (found["work"], found["size"]) == ("", 0)


def with_provenance(**changes: Any) -> bytes:
    usual = {"tool": "style", "model": "style", "settings": {"controls": StyleControls().to_dict()}}
    made = Provenance(**{**usual, **changes})
    return encode(Image.fromarray(blobs(20, 30)), "PNG", labels=made.labels())


def test_what_may_look_different_is_said(visitor: Visitor) -> None:
    differs = visitor.send(with_provenance(model_sha256="0" * 64), "old.png")
    assert (differs["notice"], differs["values"]) == ("style.model_differs", {"model": "style"})
    missing = visitor.send(with_provenance(model="gone"), "gone.png")
    assert (missing["notice"], missing["values"]) == ("style.model_missing", {"model": "gone"})
    assert "model" not in missing["settings"]


def test_a_picture_of_another_tab_is_a_photo(visitor: Visitor) -> None:
    info = visitor.send(with_provenance(tool="explore", settings={"seed": 3}), "seed3.png")
    assert "settings" not in info and info["kind"] == "picture"


def test_hostile_settings_in_a_picture_are_refused(visitor: Visitor) -> None:
    for controls in ({"strength": 99}, {"work": "/etc/passwd"}, {"evil": 1}, 3):
        with pytest.raises(SettingError):
            visitor.send(with_provenance(settings={"controls": controls}), "evil.png")


def test_a_picture_made_here_is_a_style_like_any_other(visitor: Visitor) -> None:
    assert "settings" not in visitor.send(with_provenance(), "mine.png", "style")


def test_many_pictures_become_a_zip(visitor: Visitor) -> None:
    sent = [visitor.send(photo(30, 40, seed), f"{seed}.png") for seed in (1, 2, 3)]
    broken = png(blobs(40, 40))
    good = visitor.send(broken, "bad.png")
    visitor.handlers.services.desks.find(visitor.desk, good["id"]).path.write_bytes(broken[:200])
    names = ["trip/a.png", "trip/a.jpg", "b.png", "bad.png"]
    files = [{"id": info["id"], "name": name} for info, name in zip([*sent, good], names)]
    visitor.start(files, work=sent[0]["id"], format="jpeg")
    report = ended(visitor)
    assert (report["note"], report["values"]) == ("style.left_out", {"count": 1})
    assert report["file"]["name"] == "styled-3.zip"
    with zipfile.ZipFile(io.BytesIO(visitor.take(report["file"]))) as pack:
        assert pack.namelist() == ["trip/a.jpg", "trip/a-2.jpg", "b.jpg", "errors.txt"]
        assert pack.read("errors.txt").startswith(b"bad.png: bad.png is damaged")
        assert open_picture(pack.read("b.jpg")).size == (40, 30)
        assert read(pack.read("b.jpg")).tool == "style"


def test_a_hostile_list_of_files(visitor: Visitor) -> None:
    info = visitor.send(photo())
    for files in ("all", [3], [{"id": info["id"]}], [{"id": info["id"], "name": 3}], [{}] * 501):
        with pytest.raises(SettingError):
            visitor.handlers.start({**visitor.ask(work=info["id"]), "files": files})
    names = ["../../x.png", "/abs.png", "a/../b.png"]
    done = made(visitor, [{"id": info["id"], "name": name} for name in names], work=info["id"])
    with zipfile.ZipFile(io.BytesIO(done)) as pack:
        assert all(not name.startswith(("/", "..")) and "../" not in name for name in pack.namelist())


def stopping(services: Services, visitor: Visitor, after: int) -> None:
    """Have the visitor press Stop while picture number `after` is made."""
    stylist, count = services.stylist("style"), 0
    original = stylist.stylize

    def stylize(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == after:
            visitor.handlers.stop({"desk": visitor.desk})
        return original(*arguments, **options)

    stylist.stylize = stylize


def test_stopping_keeps_the_pictures_that_are_done(visitor: Visitor, services: Services) -> None:
    sent = [visitor.send(photo(30, 40, seed), f"{seed}.png") for seed in (1, 2, 3)]
    stopping(services, visitor, after=2)
    visitor.start([{"id": info["id"], "name": info["name"]} for info in sent], work=sent[0]["id"])
    report = ended(visitor)
    assert (report["state"], report["note"]) == ("done", "style.kept_part")
    with zipfile.ZipFile(io.BytesIO(visitor.take(report["file"]))) as pack:
        assert pack.namelist() == ["1.png"]


def test_stopping_the_only_picture_leaves_nothing(visitor: Visitor, services: Services) -> None:
    work = visitor.send(photo())["id"]
    stopping(services, visitor, after=1)
    visitor.start(work=work)
    report = ended(visitor)
    assert (report["state"], "file" in report) == ("stopped", False)


def test_work_needs_a_style(visitor: Visitor) -> None:
    work = visitor.send(photo())["id"]
    with pytest.raises(SettingError, match="no style is chosen"):
        visitor.start(work=work, styles=[""] * 4)


def test_a_fine_picture_is_watched_and_says_how_it_was_made(visitor: Visitor) -> None:
    work = visitor.send(photo(40, 48), "sea.png")["id"]
    style = visitor.send(photo(64, 64, 3), "mine.png", "style")["id"]
    visitor.start(work=work, styles=[style, "", "", ""], quality="fine", steps=3)
    report = ended(visitor)
    assert report["state"] == "done" and report["pictures"] >= 1
    assert opened(report["picture"]).shape == (40, 48, 3)
    file = visitor.take(report["file"])
    assert open_picture(file).size == (48, 40)
    assert (read(file).model, len(read(file).model_sha256)) == ("vgg", 64)
    again = visitor.send(file, "dropped.png")
    assert (again["settings"]["quality"], again["settings"]["steps"]) == ("fine", 3)
    assert "notice" not in again


def test_stopping_a_fine_picture_keeps_the_best_so_far(visitor: Visitor) -> None:
    work = visitor.send(photo(40, 48))["id"]
    visitor.start(work=work, quality="fine", steps=10_000)
    while visitor.handlers.watch({"desk": visitor.desk, "shown": 0})["fraction"] == 0:
        threading.Event().wait(0.02)
    visitor.handlers.stop({"desk": visitor.desk})
    report = ended(visitor)
    assert (report["state"], report["note"]) == ("done", "style.kept_best")
    assert report["fraction"] < 1
    done = open_picture(visitor.take(report["file"])).pixels
    assert not np.array_equal(done, blobs(40, 48, 1))


# ---- films


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    return save_film(tmp_path / "film.mp4").read_bytes()


def test_a_frame_of_a_film_at_a_time(visitor: Visitor, film: bytes) -> None:
    info = visitor.send(film, "walk.mp4")
    assert (info["kind"], info["width"], info["height"], info["seconds"]) == ("film", 64, 48, 1.0)
    greys = []
    for at_s in (0.0, 0.55, 99.0):
        answer = visitor.draw(work=info["id"], at_s=at_s)
        assert answer["before"]["kind"] == "film" and opened(answer["picture"]).shape == (48, 64, 3)
        greys.append(opened(answer["before"]["picture"]).mean())
    assert greys == pytest.approx([10, 110, 190], abs=4)
    key = visitor.draw(work=info["id"], at_s=0.55)["before"]["key"]
    assert "before" not in visitor.draw(has=key, work=info["id"], at_s=0.55, strength=0.5)


def test_a_film_is_painted_and_brings_its_settings_back(visitor: Visitor, film: bytes, tmp_path: Path) -> None:
    work = visitor.send(film, "walk.mp4")["id"]
    visitor.start(work=work, strength=0.5, styles=["spring", "", "pesaro", ""], weights=[0.5, 1, 1, 1])
    report = ended(visitor)
    assert report["state"] == "done", report
    assert report["file"]["name"] == "walk-styled.mp4"
    (tmp_path / "styled.mp4").write_bytes(visitor.take(report["file"]))
    assert len(decode(tmp_path / "styled.mp4").frames) == 10
    again = visitor.send((tmp_path / "styled.mp4").read_bytes(), "styled.mp4")
    assert again["kind"] == "film"
    assert (again["settings"]["strength"], again["settings"]["styles"]) == (0.5, ["spring", "pesaro", "", ""])
    assert again["settings"]["weights"] == [0.5, 1, 1, 1]


@pytest.mark.parametrize("many", [False, True])
def test_a_full_disk_is_said_without_the_servers_paths(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    def full(*values: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile if many else Path, "writestr" if many else "write_bytes", full)
    works = [visitor.send(photo(seed=seed))["id"] for seed in (1, 2)]
    visitor.start([{"id": id, "name": f"{id[:2]}.png"} for id in works] if many else [], work=works[0])
    report = ended(visitor)
    reason = "the studio's disk is full or cannot be written, and the result was lost"
    sentence = f"{reason}; free some space and try again"
    assert (report["state"], report["error"]) == ("failed", sentence)
    assert "picture" in visitor.draw(work=works[0])  # the photo is still there


def test_a_transparent_photo_is_no_jpeg(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that is said before minutes of work."""
    monkeypatch.setattr(style_work, "SlowPainting", None)
    work = visitor.send(png(blobs(30, 40, channels=4)))["id"]
    visitor.start(work=work, format="jpeg", quality="fine")
    assert ended(visitor)["error"].startswith("the photo is transparent in places, which JPEG cannot hold")
    opaque = np.dstack([blobs(30, 40), np.full((30, 40), 255, np.uint8)])
    with Image.open(io.BytesIO(made(visitor, work=visitor.send(png(opaque))["id"], format="jpeg"))) as file:
        assert (file.format, file.size) == ("JPEG", (40, 30))


def test_a_film_that_is_stopped_keeps_what_is_done(
    visitor: Visitor, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FramePainter.paint

    def paint(self: FramePainter, frame: Any) -> Any:
        if frame.time * self._time_base >= 0.35:
            visitor.handlers.stop({"desk": visitor.desk})
        return original(self, frame)

    monkeypatch.setattr(FramePainter, "paint", paint)
    work = visitor.send(film, "walk.mp4")["id"]
    visitor.start(work=work)
    report = ended(visitor)
    assert (report["state"], report["note"]) == ("done", "style.kept_part_of")
    assert "/" not in report["values"]["said"]
    shorter = visitor.send(visitor.take(report["file"]), "part.mp4")
    assert 0.2 <= shorter["seconds"] <= 0.5


def test_a_film_that_cannot_be_read_is_said_by_its_name(visitor: Visitor, film: bytes) -> None:
    with pytest.raises(VideoError, match="^walk.mp4 ") as caught:
        visitor.send(film[:400], "walk.mp4")
    assert "atelier-desks" not in str(caught.value)


# ---- for scripts


def base64_of(file: bytes) -> str:
    return base64.b64encode(file).decode()


def test_scripts_get_the_same_picture(handlers: StyleHandlers, services: Services) -> None:
    own = photo(seed=4)
    settings = {"strength": 0.7, "weights": [0.3, 0.6]}
    file = handlers.png("data:image/png;base64," + base64_of(photo()), ["spring", base64_of(own)], settings)
    styles = [open_picture(style_path("spring")), open_picture(own)]
    right = services.stylist("style").stylize(
        open_picture(photo()), styles, StyleSettings(strength=0.7, weights=(0.3, 0.6))
    )
    assert np.array_equal(open_picture(file).pixels, right.pixels)
    assert [s["sha256"] for s in read(file).settings["styles"]][1] == hashlib.sha256(own).hexdigest()
    assert settings == {"strength": 0.7, "weights": [0.3, 0.6]}


@pytest.mark.parametrize(
    "photo_, styles, settings, error",
    [
        (None, ["spring"], {}, ImageError), ("§", ["spring"], {}, ImageError), ("bm8=", ["spring"], {}, ImageError),
        (base64_of(photo()), [], {}, SettingError), (base64_of(photo()), ["spring"] * 5, {}, SettingError),
        (base64_of(photo()), "spring", {}, SettingError), (base64_of(photo()), ["winter"], {}, ImageError),
        (base64_of(photo()), ["spring"], {"strength": 2}, SettingError),
        (base64_of(photo()), ["spring"], [], SettingError),
    ],
)
def test_scripts_get_sentences(
    handlers: StyleHandlers, photo_: object, styles: object, settings: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        handlers.png(photo_, styles, settings)


def test_a_style_model_is_chosen_among_several(save_tiny: Callable[..., Path], tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny")
    save_style(tmp_path / "ink", seed=2)
    services = Services.on(Library((tmp_path,)), "cpu")
    assert services.models("style") == ["ink"]
    visitor = Visitor(StyleHandlers(services))
    work = visitor.send(photo())["id"]
    assert "picture" in visitor.draw(work=work, model="ink")
    services.close()
