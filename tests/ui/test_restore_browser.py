"""Journeys through the restore tab in a real browser, without any network installed."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.images import open_picture
from studio.masks import encode_mask
from studio.ui.i18n import messages
from tests.tiny_style import blobs
from tests.ui.conftest import serving
from tests.ui.test_style_browser import StyleVisit, decoded, far
from tests.ui.visitor import photo

EN, ZH = messages("en"), messages("zh-CN")
HEIGHT, WIDTH = 120, 160
LIVE = "atelier.live.restore"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("models")) as url:
        yield url


class RestoreVisit(StyleVisit):
    """A visit to the restore tab."""

    def ready(self) -> None:
        self.page.locator("[role=tab]").nth(2).click()
        self.page.wait_for_selector("#restore-grow input[type=range]")
        self.page.wait_for_selector(".stage [data-do=fill]", state="attached")

    def settings(self) -> dict[str, Any]:
        return self.page.evaluate(f"{LIVE}.settings")

    def set(self, **settings: Any) -> None:
        self.page.evaluate(f"(settings) => {LIVE}.set(settings)", settings)

    def settle(self) -> np.ndarray:
        kept, live = "JSON.stringify(atelier.recall('restore'))", f"JSON.stringify({LIVE}.settings)"
        self.page.wait_for_function(f"{LIVE}.good && {kept} === {live}")
        return self.seen(".compare-after")

    def bring(self, **file: bytes) -> np.ndarray:
        before = self.settings()["work"]
        self.drop(".stage", **file)
        self.page.wait_for_function(f"{LIVE}.settings.work !== '{before}'")
        return self.settle()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the picture on the screen, in px of the picture."""
        box = self.page.locator(".brush-canvas").bounding_box()
        return box["x"] + x * box["width"] / WIDTH, box["y"] + y * box["height"] / HEIGHT

    def paint(self, *places: tuple[float, float]) -> None:
        """Paint a mask with the mouse."""
        if not self.page.is_visible(".brush-tools"):
            self.page.click(".stage [data-do=brush]")
        self.page.mouse.move(*self.place(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.place(*place), steps=3)
        self.page.mouse.up()
        self.page.wait_for_function(f"{LIVE}.settings.mask !== ''")

    def fill(self, layers: int) -> np.ndarray:
        """Fill the mask; there are so many layers then."""
        self.page.click(".stage [data-do=fill]")
        self.page.wait_for_function(f"{LIVE}.settings.layers.length === {layers} && !{LIVE}.settings.mask")
        self.page.wait_for_function(f"document.querySelectorAll('.fills li').length === {layers}")
        return self.settle()

    def saved(self, button: str = ".stage [data-do=save]") -> bytes:
        """Press a button that gives a file."""
        with self.page.expect_download() as download:
            self.page.click(button)
        self.name = download.value.suggested_filename
        return Path(download.value.path()).read_bytes()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[RestoreVisit]:
    with RestoreVisit(browser, address) as visit:
        yield visit


def hole(where: Any = np.s_[50:60, 40:120]) -> bytes:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[where] = True
    return encode_mask(mask)


def test_paint_fill_compare_undo_save_and_find_it_again(visit: RestoreVisit) -> None:
    page = visit.page
    assert EN["restore.no_network"] in page.inner_text(".desk:has(.repair) .desk-controls")
    assert visit.settings()["method"] == "biharmonic"
    original = blobs(HEIGHT, WIDTH, 1)
    before = visit.bring(wall__png=photo(HEIGHT, WIDTH))
    for name in ("fill", "save", "suggest"):
        assert page.is_disabled(f".stage [data-do={name}]")
    visit.paint((40, 55), (120, 55))
    after = visit.fill(layers=1)
    assert not page.is_visible(".brush-tools")
    changed = np.abs(after.astype(int) - before).max(axis=2) > 30
    assert changed[50:60, 45:115].any() and not changed[:30].any() and not changed[90:].any()
    # compared by the divider and by a held key
    page.keyboard.down("v")
    clip = "getComputedStyle(document.querySelector('.compare-after')).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 100%)"
    page.keyboard.up("v")
    assert page.evaluate(clip) == "inset(0px 0px 0px 0%)"
    box = page.locator(".stage-frame").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 20)
    assert page.get_attribute(".compare-divider", "aria-valuenow") == "50"
    # saved
    file = visit.saved()
    assert visit.name == "wall-restored.png"
    result = decoded(file)
    where = (result != original).any(axis=2)
    assert 200 < where.sum() < 4000 and not where[:30].any() and not where[90:].any()
    # every step back and forth
    page.evaluate(f"{LIVE}.actions.undo()")
    page.wait_for_function(f"{LIVE}.settings.mask !== '' && {LIVE}.settings.layers.length === 0")
    assert np.array_equal(visit.settle(), before)
    page.evaluate(f"{LIVE}.actions.redo()")
    page.wait_for_function(f"{LIVE}.settings.layers.length === 1")
    assert np.array_equal(visit.settle(), after)
    # found again after a reload, also where the server has forgotten it
    settings = visit.settings()
    for forget in ("0", "sessionStorage.clear()"):
        page.evaluate(forget)
        page.reload()
        page.wait_for_selector(".stage.has-picture")
        page.wait_for_selector(".fills li")
        assert np.array_equal(visit.settle(), after) and visit.settings() == settings
    assert visit.saved() and visit.name == "wall-restored.png"


def test_fills_are_hidden_done_again_and_removed(visit: RestoreVisit) -> None:
    page = visit.page
    before = visit.bring(wall__png=photo(HEIGHT, WIDTH))
    visit.paint((30, 30), (60, 30))
    visit.fill(layers=1)
    visit.paint((90, 80), (130, 80))
    both = visit.fill(layers=2)
    rows = page.locator(".fills li")
    assert rows.nth(0).inner_text().startswith("2 · " + EN["restore.method_biharmonic"])
    rows.nth(0).locator("[data-fill=hide]").click()
    page.wait_for_function(f"{LIVE}.settings.hidden.length === 1")
    one = visit.settle()
    assert far(one[70:90], before[70:90]) < 1 < far(both[70:90], before[70:90])
    rows.nth(0).locator("[data-fill=hide]").click()
    page.wait_for_function(f"{LIVE}.settings.hidden.length === 0")
    visit.settle()
    layers = visit.settings()["layers"]
    page.click(f"#restore-method label:has-text('{EN['restore.method_telea']}')")
    page.wait_for_function(f"{LIVE}.settings.method === 'telea'")
    visit.settle()
    rows.nth(1).locator("[data-fill=redo]").click()
    page.wait_for_function(f"{LIVE}.settings.layers[0] !== '{layers[0]}'")
    visit.settle()
    assert visit.settings()["layers"][1] == layers[1]
    row = f"1 · {EN['restore.method_telea']}"
    page.wait_for_function(f"document.querySelectorAll('.fills li')[1].innerText.startsWith('{row}')")
    rows.nth(1).locator("[data-fill=remove]").click()
    page.wait_for_function(f"{LIVE}.settings.layers.length === 1")
    assert far(visit.settle()[20:40], before[20:40]) < 1


def test_a_session_report_and_layers_are_saved_and_the_session_reopened(
    visit: RestoreVisit, browser: Any, address: str
) -> None:
    page = visit.page
    visit.bring(wall__png=photo(HEIGHT, WIDTH))
    visit.paint((40, 55), (120, 55))
    after = visit.fill(layers=1)
    with zipfile.ZipFile(io.BytesIO(visit.saved("#restore-report"))) as pack:
        assert b"No pixel outside the mask was changed" in pack.read("report.html")
    page.wait_for_selector("#restore-layers:enabled")
    with zipfile.ZipFile(io.BytesIO(visit.saved("#restore-layers"))) as pack:
        assert pack.namelist() == ["original.png", "fill-01.png", "mask.png"]
    page.wait_for_selector("#restore-session:enabled")
    session = visit.saved("#restore-session")
    assert visit.name == "wall-session.atelier"
    other = RestoreVisit(browser, address)
    other.drop(".stage", wall__atelier=session)
    other.page.wait_for_function(f"{LIVE}.settings.layers.length === 1")
    assert np.array_equal(other.settle(), after)
    other.says(".stage [role=status]", "wall.atelier")
    other.page.keyboard.press("z")
    other.page.wait_for_function(f"{LIVE}.settings.layers.length === 0 && {LIVE}.settings.mask !== ''")
    other.settle()
    other.page.keyboard.press("y")
    other.page.wait_for_function(f"{LIVE}.settings.layers.length === 1")
    other.settle()  # what was in the session is this browser's
    other.page.evaluate("sessionStorage.clear()")
    other.page.reload()
    other.page.wait_for_selector(".fills li")
    assert np.array_equal(other.settle(), after)
    assert other.errors == []
    other.context.close()


def test_several_pictures_with_their_masks(visit: RestoreVisit) -> None:
    page = visit.page
    photos = {"a__png": photo(HEIGHT, WIDTH, 1), "b__png": photo(HEIGHT, WIDTH, 2)}
    visit.drop(".stage", **{"a-mask__png": hole(), **photos, "b_mask__png": hole()})
    page.wait_for_function("document.querySelector('.stage-place').textContent === '1 / 2 · a.png'")
    page.wait_for_function(f"{LIVE}.settings.mask !== ''")
    visit.settle()
    assert page.evaluate("document.querySelector('.stage').classList.contains('masked')")
    page.click(".stage [data-do=next]")
    page.wait_for_function("document.querySelector('.stage-place').textContent === '2 / 2 · b.png'")
    visit.settle()
    with zipfile.ZipFile(io.BytesIO(visit.saved())) as pack:
        assert pack.namelist() == ["a.png", "b.png"]
        changed = (open_picture(pack.read("b.png")).pixels != blobs(HEIGHT, WIDTH, 2)).any(axis=2)
        assert changed[50:60, 40:120].mean() > 0.5 and changed.sum() <= 800


def test_a_network_from_a_file_says_its_licence(visit: RestoreVisit, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    compact = pytest.importorskip("spandrel.architectures.Compact").Compact
    weights = compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2).state_dict()
    save_file(weights, tmp_path / "big.safetensors", {"license": "CC-BY-4.0"})
    page = visit.page
    visit.bring(wall__png=photo(HEIGHT, WIDTH))
    page.click(f"text={EN['restore.enlarge_title']}")
    with page.expect_file_chooser() as chooser:
        page.click("#restore-network-enlarges")
    chooser.value.set_files(tmp_path / "big.safetensors")
    line = ".network-brought[data-does=enlarges]"
    visit.says(line, "CC-BY-4.0")
    page.click("#restore-scale label:has-text('" + EN["restore.scale_2"] + "')")
    page.wait_for_function(f"{LIVE}.settings.scale === '2'")
    visit.settle()
    assert decoded(visit.saved("#restore-enlarge")).shape == (2 * HEIGHT, 2 * WIDTH, 3)
    page.click(f"text={EN['restore.go_on']}")
    visit.says(".stage-goal", f"{2 * WIDTH}")
    page.reload()
    page.wait_for_selector(".stage.has-picture")
    page.click(f"text={EN['restore.enlarge_title']}")
    visit.says(line, "big.safetensors")
    page.click(f"{line} button")
    page.wait_for_function(f"{LIVE}.settings.enlarger === ''")
    page.wait_for_selector(line, state="hidden")


def test_each_picture_keeps_its_own_fills(visit: RestoreVisit) -> None:
    visit.bring(wall__png=photo(HEIGHT, WIDTH))
    visit.paint((40, 55), (120, 55))
    after = visit.fill(layers=1)
    visit.bring(other__png=photo(HEIGHT, WIDTH, 5))
    assert visit.settings()["layers"] == [] and visit.page.locator(".fills li").count() == 0
    assert np.array_equal(visit.bring(wall__png=photo(HEIGHT, WIDTH)), after)


def test_errors_are_sentences_in_place_and_nothing_is_lost(visit: RestoreVisit) -> None:
    page = visit.page
    visit.bring(wall__png=photo(HEIGHT, WIDTH))
    visit.paint((40, 55), (120, 55))
    page.keyboard.press("Escape")
    visit.settle()  # a step of its own: what is done within a moment is one step
    settings = visit.settings()
    visit.drop(".stage", notes__txt=b"hello")
    visit.says(".stage [role=alert]", "notes.txt is not a picture")
    visit.drop(".stage", broken__png=photo()[:300])
    visit.says(".stage [role=alert]", "broken.png is damaged, cut short")
    page.click(".stage [data-do=brush]")
    page.click("[data-brush=clear]")
    page.wait_for_function(f"{LIVE}.settings.mask === ''")
    visit.settle()
    page.click("[data-brush=invert]")  # all of it
    page.wait_for_function(f"{LIVE}.settings.mask !== ''")
    visit.settle()
    page.click(".stage [data-do=fill]")
    visit.says(".stage-work-note", "covers 100% of the picture")
    page.click(".stage [data-do=dismiss]")
    for _ in range(2):
        page.evaluate(f"{LIVE}.actions.undo()")
        visit.settle()
    page.wait_for_function(f"{LIVE}.settings.mask === '{settings['mask']}'")
    page.click("#restore-format label:has-text('JPEG')")
    visit.says(".stage-goal", EN["restore.jpeg_says"])


def test_a_picture_that_is_read_otherwise_than_it_is_stored_says_so(visit: RestoreVisit) -> None:
    visit.bring(wall__png=photo(HEIGHT, WIDTH))
    assert EN["restore.reread"] not in visit.page.inner_text(".stage-goal")
    file = io.BytesIO()
    Image.fromarray(blobs(HEIGHT, WIDTH, 1)).convert("CMYK").save(file, "TIFF")
    visit.bring(print__tif=file.getvalue())
    visit.says(".stage-goal", EN["restore.reread"])


def test_chinese(browser: Any, address: str) -> None:
    visit = RestoreVisit(browser, address, locale="zh-CN")
    page = visit.page
    visit.bring(wall__png=photo(HEIGHT, WIDTH))
    visit.paint((40, 55), (120, 55))
    visit.fill(layers=1)
    page.click(".stage [data-do=brush]")
    text = page.inner_text("body")
    keys = [
        "restore.replace", "brush.polygon", "restore.fills", "restore.hide", "restore.no_network",
        "restore.note_info",
    ]
    assert [key for key in keys if ZH[key] not in text] == []
    markers = r"/__i18n__|\b(brush|stage|restore|live|compare)\.[a-z_]+/g"
    assert page.evaluate(f"document.body.innerText.match({markers})") is None
    english = [EN[key] for key in EN if len(EN[key]) > 6 and EN[key] in text]
    assert english in ([], ["English"])
    visit.context.close()


def test_on_a_phone(browser: Any, address: str) -> None:
    visit = RestoreVisit(browser, address, has_touch=True)
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    visit.bring(wall__png=photo(HEIGHT, WIDTH))
    page.click(".stage [data-do=brush]")
    client = page.context.new_cdp_session(page)
    x, y = visit.place(80, 60)
    strokes = {"touchStart": [{"x": x, "y": y}], "touchMove": [{"x": x + 30, "y": y}], "touchEnd": []}
    for kind, points in strokes.items():
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function(f"{LIVE}.settings.mask !== ''")
    visit.fill(layers=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.context.close()
