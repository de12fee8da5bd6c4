"""Journeys through the style tab in a real browser."""

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.ui.i18n import messages
from tests.film import decode
from tests.tiny_style import blobs, save_style
from tests.ui.conftest import serving
from tests.ui.test_browser import Visit
from tests.ui.visitor import photo, png, save_film

EN, ZH = messages("en"), messages("zh-CN")
STRENGTH = "#style-strength input[type=range]"
RED, BLUE = (220, 10, 10), (10, 10, 220)
NOISE = 10  # mean difference that JPEG makes of grainy pictures


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, save_tiny: Callable[..., Path]) -> Iterator[str]:
    root = tmp_path_factory.mktemp("models")
    save_tiny(root / "tiny")
    save_style(root / "style")
    with serving(root) as url:
        yield url


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


class StyleVisit(Visit):
    """A visit to the style tab."""

    def ready(self) -> None:
        self.page.locator("[role=tab]").nth(1).click()
        self.page.wait_for_selector(".palette-presets button")
        self.page.wait_for_selector(STRENGTH)

    def settings(self) -> dict[str, Any]:
        return self.page.evaluate("atelier.live.style.settings")

    def set(self, **settings: Any) -> None:
        self.page.evaluate("(settings) => atelier.live.style.set(settings)", settings)

    def settle(self) -> np.ndarray:
        """Wait until the painting rests, and return it."""
        kept, live = "JSON.stringify(atelier.recall('style'))", "JSON.stringify(atelier.live.style.settings)"
        self.page.wait_for_function(f"atelier.live.style.good && {kept} === {live}")
        return self.seen(".compare-after")

    def seen(self, image: str) -> np.ndarray:
        url = self.page.get_attribute(image, "src")
        return decoded(base64.b64decode(url.split(",")[1]))

    def drop(self, selector: str, **files: bytes) -> None:
        """Drop files, named by their keywords with __ for a dot, as a person would."""
        listed = [{"name": n.replace("__", "."), "body": base64.b64encode(b).decode()} for n, b in files.items()]
        self.page.evaluate(
            """([selector, files]) => {
            const data = new DataTransfer();
            for (const { name, body } of files) {
              const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
              data.items.add(new File([bytes], name, { type: /png$/.test(name) ? "image/png" : "" }));
            }
            const target = document.querySelector(selector);
            for (const kind of ["dragenter", "dragover", "drop"]) {
              target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
            }
            }""",
            [selector, listed],
        )

    def bring(self, **file: bytes) -> np.ndarray:
        """Drop a photo onto the stage and wait for its painting."""
        before = self.settings()["work"]
        self.drop(".stage", **file)
        self.page.wait_for_function(f"atelier.live.style.settings.work !== '{before}'")
        return self.settle()

    def finish(self) -> bytes:
        """Press the button for the finished work, wait for it, and fetch it."""
        self.page.click(".stage [data-do=save]")
        self.page.wait_for_selector(".stage [data-do=fetch]:visible")
        with self.page.expect_download() as download:
            self.page.click(".stage [data-do=fetch]")
        self.name = download.value.suggested_filename
        return Path(download.value.path()).read_bytes()

    def says(self, line: str, text: str) -> None:
        self.page.wait_for_function(
            "([line, text]) => document.querySelector(line)?.textContent.includes(text)", arg=[line, text]
        )


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[StyleVisit]:
    with StyleVisit(browser, address) as visit:
        yield visit


def plain(colour: tuple[int, int, int]) -> bytes:
    return png(np.full((40, 40, 3), colour, np.uint8))


def far(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_drop_a_photo_and_a_painting_and_drag_the_divider(visit: StyleVisit) -> None:
    page = visit.page
    assert page.is_visible(".stage-invite") and page.is_disabled(".stage [data-do=save]")
    first = visit.bring(sea__png=photo(120, 160))
    assert not page.is_visible(".stage-invite")
    assert far(visit.seen(".compare-before"), blobs(120, 160, 1)) < NOISE < far(first, blobs(120, 160, 1))
    visit.drop(".palette", red__png=plain(RED))
    page.wait_for_function("atelier.live.style.settings.styles[0] !== 'great_wave'")
    second = visit.settle()
    assert second[..., 0].mean() > second[..., 2].mean() + 50
    box = page.locator(".stage-frame").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.8 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], y, steps=8)
    page.mouse.up()
    clip = page.evaluate("getComputedStyle(document.querySelector('.compare-after')).clipPath")
    assert clip == "inset(0px 0px 0px 25%)"
    page.keyboard.press("ArrowRight")
    assert page.get_attribute(".compare-divider", "aria-valuenow") == "27"
    assert "sea.png · 160 × 120 px" in page.inner_text(".stage-goal")
    file = visit.finish()
    assert decoded(file).shape == (120, 160, 3) and visit.name == "sea-styled.png"
    page.reload()
    page.wait_for_selector(".stage [data-do=fetch]:visible")
    assert np.array_equal(visit.settle(), second)
    assert page.get_attribute(".compare-divider", "aria-valuenow") == "27"
    with page.expect_download() as download:
        page.click(".stage [data-do=fetch]")
    assert Path(download.value.path()).read_bytes() == file


def test_the_painting_follows_the_slider(visit: StyleVisit) -> None:
    page = visit.page
    before = visit.bring(sea__png=photo())
    shown = int(page.get_attribute(".stage", "data-pictures"))
    box = page.locator(STRENGTH).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 4, y)
    page.mouse.down()
    for i in range(1, 21):
        page.mouse.move(box["x"] + box["width"] * (1 - i / 25), y)
        page.wait_for_timeout(30)
    moving = int(page.get_attribute(".stage", "data-pictures")) - shown  # the button is still down
    page.mouse.up()
    after = visit.settle()
    assert moving >= 3
    timing = json.loads(page.get_attribute(".stage", "data-timing"))
    assert set(timing["server_ms"]) == {"wait", "draw", "encode", "total"}
    assert 0.1 < visit.settings()["strength"] < 0.35
    assert far(after, blobs(60, 80, 1)) < far(before, blobs(60, 80, 1))
    page.locator(".stage-frame").click(position={"x": 5, "y": 5})
    page.keyboard.press("Control+z")
    page.wait_for_function("atelier.live.style.settings.strength === 1")
    assert np.array_equal(visit.settle(), before)


def test_four_styles_and_their_weights(visit: StyleVisit) -> None:
    page = visit.page
    visit.bring(sea__png=photo())
    visit.drop(".palette", a__png=plain(RED), b__png=plain(BLUE))
    page.wait_for_function("atelier.live.style.settings.styles.filter(Boolean).length === 2")
    both = visit.settle()
    weight = page.locator(".palette-slots [data-place='1'] input")
    weight.fill("0")
    page.wait_for_function("atelier.live.style.settings.weights[1] === 0")
    red = visit.settle()
    assert red[..., 2].mean() < both[..., 2].mean()
    assert page.inner_text(".palette-slots [data-place='0'] output") == "100%"
    page.click(".palette-slots .empty .palette-pick")
    page.click("[data-preset=spring]")
    page.wait_for_function("atelier.live.style.settings.styles[2] === 'spring'")
    visit.settle()
    assert page.get_attribute("[data-preset=spring]", "aria-pressed") == "true"
    visit.drop(".palette", c__png=plain((0, 90, 0)), d__png=plain((9, 9, 9)), e__png=plain((99, 9, 9)))
    visit.says(".palette [role=alert]", EN["style.four"].replace("{count}", "4"))
    visit.settle()
    page.click(".palette-slots [data-place='0'] .palette-drop")
    page.wait_for_function("atelier.live.style.settings.styles[0] === ''")
    visit.drop(".palette", notes__txt=b"hello")
    visit.says(".palette [role=alert]", "notes.txt is not a picture")


def test_a_painted_region_keeps_the_photo(visit: StyleVisit) -> None:
    page = visit.page
    before = visit.bring(sea__png=photo(120, 160))
    page.click(".stage [data-do=brush]")
    page.fill(".brush-size input", "60")
    box = page.locator(".brush-canvas").bounding_box()
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 4, y, steps=3)
    page.mouse.up()
    page.wait_for_function("atelier.live.style.settings.mask !== ''")
    after = visit.settle()
    inside, outside = np.s_[56:64, 38:44], np.s_[:, 120:]
    photo_there = blobs(120, 160, 1)[inside]
    assert far(after[inside], photo_there) < 2 * NOISE < far(before[inside], photo_there)
    assert far(after[outside], before[outside]) < 1
    page.keyboard.press("Escape")
    assert not page.is_visible(".brush-tools")
    done = decoded(visit.finish())
    assert np.array_equal(done[inside], blobs(120, 160, 1)[inside])
    page.keyboard.press("m")
    page.wait_for_selector(".brush-tools")
    page.click("[data-brush=clear]")
    page.wait_for_function("atelier.live.style.settings.mask === ''")
    assert np.array_equal(visit.settle(), before)
    page.evaluate("atelier.live.style.actions.undo()")
    page.wait_for_function("atelier.live.style.settings.mask !== ''")
    assert np.array_equal(visit.settle(), after)
    page.click("[data-brush=clear]")  # the mask came back to the brush as well
    page.wait_for_function("atelier.live.style.settings.mask === ''")


def test_a_finished_picture_brings_everything_back(visit: StyleVisit, browser: Any, address: str) -> None:
    page = visit.page
    visit.bring(sea__png=photo(90, 120))
    visit.drop(".palette", red__png=plain(RED))
    page.wait_for_function("atelier.live.style.settings.styles[0] !== 'great_wave'")
    visit.set(strength=0.6, keep_colour="luminance", stroke=0.5)
    picture, settings = visit.settle(), visit.settings()
    file = visit.finish()
    assert visit.name == "sea-styled.png"
    assert decoded(file).shape == (90, 120, 3)
    visit.set(strength=1, keep_colour="no", stroke=1, styles=["spring", "", "", ""])
    visit.bring(other__png=photo(seed=7))
    visit.drop(".stage", saved__png=file)
    page.wait_for_function("atelier.live.style.settings.strength === 0.6")
    assert np.array_equal(visit.settle(), picture)
    assert visit.settings() == settings
    page.wait_for_function(f"document.querySelector('{STRENGTH}').value === '0.6'")
    visit.says(".stage [role=status]", EN["live.opened"].replace("{name}", "saved.png"))
    page.click(f"text={EN['stage.use_picture']}")
    page.wait_for_function(f"atelier.live.style.settings.work !== '{settings['work']}'")
    # Another browser has neither the photo nor the style, and says so.
    other = StyleVisit(browser, address)
    other.bring(mine__png=photo(seed=8))
    work = other.settings()["work"]
    other.drop(".stage", saved__png=file)
    other.says(".stage [role=status]", EN["stage.partly"].replace("{name}", "saved.png"))
    assert other.settings()["strength"] == 0.6
    assert (other.settings()["work"], other.settings()["styles"]) == (work, [""] * 4)
    other.context.close()


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_reload_keeps_the_pictures_and_the_settings(visit: StyleVisit, forgotten: bool) -> None:
    """Also where the server has forgotten them: the browser sends them again."""
    page = visit.page
    visit.bring(sea__png=photo())
    visit.drop(".palette", red__png=plain(RED))
    page.wait_for_function("atelier.live.style.settings.styles[0] !== 'great_wave'")
    visit.set(strength=0.7)
    picture, settings = visit.settle(), visit.settings()
    if forgotten:
        page.evaluate("sessionStorage.clear()")  # another desk
    page.reload()
    page.wait_for_selector(".stage.has-picture")  # and it is this tab that opens
    assert np.array_equal(visit.settle(), picture)
    assert visit.settings() == settings
    page.wait_for_function(f"document.querySelector('{STRENGTH}').value === '0.7'")
    page.wait_for_selector(".palette-slots [data-place='0'] img[src^='data:image/jpeg']")


def test_what_the_browser_has_not_kept_is_let_go_and_said(visit: StyleVisit) -> None:
    page = visit.page
    visit.bring(sea__png=photo())
    visit.settle()
    page.evaluate("sessionStorage.clear(); indexedDB.deleteDatabase('atelier')")
    page.reload()
    visit.says(".stage [role=status]", EN["stage.lost"])
    page.wait_for_selector(".stage-invite")
    assert visit.settings()["work"] == ""
    visit.bring(sky__png=photo(seed=2))


def test_work_goes_on_while_the_page_is_reloaded(visit: StyleVisit) -> None:
    page = visit.page
    visit.bring(sea__png=photo())
    visit.set(quality="fine", steps=2000)
    visit.settle()
    assert page.inner_text(".stage [data-do=save]") == EN["style.make_fine"]
    page.click(".stage [data-do=save]")
    page.wait_for_function("document.querySelector('.stage').dataset.drafts > 1")  # it is watched
    draft = visit.seen(".compare-after")
    page.reload()
    page.wait_for_selector(".stage-work[data-state=running]")
    page.wait_for_function("document.querySelector('.stage').dataset.drafts > 2")  # and still is
    page.click(".stage [data-do=stop]")
    visit.says(".stage-work-note", EN["style.kept_best"])
    with page.expect_download() as download:
        page.click(".stage [data-do=fetch]")
    best = decoded(Path(download.value.path()).read_bytes())
    assert best.shape == (60, 80, 3) and far(best, blobs(60, 80, 1)) > 1
    assert draft.shape == (60, 80, 3)
    page.click(".stage [data-do=dismiss]")
    assert not page.is_visible(".stage-work")
    page.reload()
    page.wait_for_selector(".stage.has-picture")
    page.wait_for_timeout(300)
    assert not page.is_visible(".stage-work")


def test_several_photos_become_a_zip(visit: StyleVisit) -> None:
    page = visit.page
    visit.drop(".stage", a__png=photo(seed=1), notes__txt=b"x", b__png=photo(seed=2), c__png=photo(seed=3))
    visit.says(".stage [role=alert]", EN["stage.refused"].replace("{count}", "1").replace("{names}", "notes.txt"))
    visit.settle()
    assert page.inner_text(".stage-place") == "1 / 3 · a.png"
    page.click(".stage [data-do=next]")
    page.wait_for_function("document.querySelector('.stage-place').textContent === '2 / 3 · b.png'")
    visit.settle()
    assert far(visit.seen(".compare-before"), blobs(60, 80, 2)) < NOISE
    page.reload()
    page.wait_for_selector(".stage.has-picture")
    visit.settle()
    assert page.inner_text(".stage [data-do=save]") == EN["style.make_many"].replace("{count}", "3")
    with zipfile.ZipFile(io.BytesIO(visit.finish())) as pack:
        assert pack.namelist() == ["a.png", "b.png", "c.png"]


def test_a_film(visit: StyleVisit, tmp_path: Path) -> None:
    page = visit.page
    visit.bring(walk__mp4=save_film(tmp_path / "walk.mp4").read_bytes())
    first = visit.seen(".compare-before").mean()
    page.fill(".stage-time input", "0.7")
    page.wait_for_function("atelier.live.style.settings.at_s === 0.7")
    visit.settle()
    assert visit.seen(".compare-before").mean() > first + 100  # the film grows lighter
    assert page.inner_text(".stage-time output") == "0.7 / 1.0 s"
    assert page.inner_text(".stage [data-do=save]") == EN["style.make_film"]
    assert page.is_visible("#style-size")
    assert not page.is_visible("#style-quality") and not page.is_visible("#style-format")
    (tmp_path / "styled.mp4").write_bytes(visit.finish())
    assert visit.name == "walk-styled.mp4"
    assert len(decode(tmp_path / "styled.mp4").frames) == 10


def test_a_paste_is_a_photo_or_a_style(visit: StyleVisit) -> None:
    page = visit.page
    paste = """async (body) => {
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File([new Uint8Array(body)], "image.png", { type: "image/png" }));
      document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true, bubbles: true }));
    }"""
    page.evaluate(paste, list(photo()))
    page.wait_for_selector(".stage.has-picture")
    visit.settle()
    work = visit.settings()["work"]
    page.focus("[data-preset=spring]")
    page.evaluate(paste, list(plain(BLUE)))
    page.wait_for_function("atelier.live.style.settings.styles[0].length === 64")
    assert visit.settings()["work"] == work
    assert (shown := visit.settle())[..., 2].mean() > shown[..., 0].mean() + 50


def test_what_moves_is_known_by_its_first_frame_and_that_is_said(visit: StyleVisit) -> None:
    file = io.BytesIO()
    pictures = [Image.fromarray(blobs(30, 40, seed)) for seed in range(3)]
    pictures[0].save(file, "WEBP", save_all=True, append_images=pictures[1:])
    visit.bring(loop__webp=file.getvalue())
    loop = lambda key: EN[key].replace("{name}", "loop.webp").replace("{count}", "3")
    visit.says(".stage [role=status]", loop("style.first_painted"))
    visit.drop(".palette", loop__webp=file.getvalue())
    visit.says(".palette [role=status]", loop("style.first_frame"))


def test_errors_are_sentences_in_place_and_nothing_is_lost(visit: StyleVisit) -> None:
    page = visit.page
    before = visit.bring(sea__png=photo())
    settings = visit.settings()
    visit.drop(".stage", notes__txt=b"hello")
    visit.says(".stage [role=alert]", "notes.txt is not a picture")
    visit.drop(".stage", broken__png=photo()[:300])
    visit.says(".stage [role=alert]", "broken.png is damaged, cut short")
    visit.set(strength=7)
    visit.says(".stage [role=alert]", "strength=7.0 is outside 0..1")
    visit.set(strength=1)
    page.wait_for_function("document.querySelector('.stage [role=alert]').textContent === ''")
    assert np.array_equal(visit.settle(), before) and visit.settings() == settings
    visit.set(styles=["", "", "", ""])
    assert far(visit.settle(), blobs(60, 80, 1)) < NOISE
    page.click(".stage [data-do=save]")
    visit.says(".stage [role=alert]", "no style is chosen")
    page.evaluate("atelier.live.style.send({ name: 'scan.tif', size: 5e9 }, 'work')")
    visit.says(".stage [role=alert]", "scan.tif has 5000.0 MB, over the limit of")


def test_everything_by_keyboard(visit: StyleVisit) -> None:
    """From the top of the page to the finished picture with Tab, Enter, arrows and the shortcuts."""
    page = visit.page
    reached: list[str] = []
    page.locator("[role=tab]").last.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.do") == "open"
    with page.expect_file_chooser():  # the first button is "Choose a photo"
        page.wait_for_timeout(300)  # until the browser listens for it
        page.keyboard.press("Enter")
    page.click(".stage [data-do=sample]")
    page.wait_for_selector(".stage.has-picture")
    visit.settle()
    page.locator("[role=tab]").last.focus()
    name = """() => {
      const e = document.activeElement, ring = getComputedStyle(e).outlineStyle;
      const grip = e.firstElementChild && getComputedStyle(e.firstElementChild).outlineStyle;
      const seen = ring !== "none" || grip === "solid";
      return [e.dataset.do ?? e.dataset.preset ?? e.closest("[id^=style-]")?.id ?? e.className, seen];
    }"""
    unseen = []
    for _ in range(45):
        page.keyboard.press("Tab")
        where, seen = page.evaluate(name)
        reached.append(where)
        unseen += [] if seen else [where]
    wanted = {"compare-divider", "open", "brush", "save", "palette-pick", "palette-drop", "spring", "style-strength"}
    wanted |= {"style-stroke", "style-detail", "style-keep_colour", "style-quality", "style-format", "style-size"}
    assert wanted - set(reached) == set()
    assert set(unseen) - {""} == set()
    page.focus("[data-preset=great_wave]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("atelier.live.style.settings.styles[0] === 'starry_night'")
    page.locator("[role=tab]").last.focus()
    page.keyboard.press("v")
    assert page.get_attribute(".compare-divider", "aria-valuenow") == "100"
    page.keyboard.press("m")
    page.wait_for_selector(".brush-tools")
    for key in (" ", "Shift+ArrowRight", " ", "Escape"):
        page.keyboard.press(key)
    page.wait_for_function("atelier.live.style.settings.mask !== ''")
    visit.settle()
    page.keyboard.press("s")
    page.wait_for_selector(".stage [data-do=fetch]:visible")


def test_chinese(browser: Any, address: str) -> None:
    visit = StyleVisit(browser, address, locale="zh-CN")
    page = visit.page
    visit.bring(sea__png=photo())
    visit.set(styles=["spring", "moulin", "", ""], quality="fine")
    visit.settle()
    page.click(".stage [data-do=brush]")
    text = page.inner_text("body")
    keys = ["stage.replace", "brush.erase", "style.styles_help", "style.keep", "style.make_fine", "style.steps_info"]
    assert [key for key in keys if ZH[key] not in text] == []
    words = r"__i18n__|\b(brush|stage|style|live|compare)\.[a-z_]+"
    markers = page.evaluate(f"document.body.innerText.match(/{words}/g)")
    assert markers is None
    english = [EN[key] for key in EN if len(EN[key]) > 6 and EN[key] in text]
    assert english in ([], ["English"])
    visit.context.close()


def test_on_a_phone(browser: Any, address: str) -> None:
    visit = StyleVisit(browser, address, has_touch=True)
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    visit.bring(sea__png=photo(120, 160))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#style-format").scroll_into_view_if_needed()
    box = page.locator(".stage-frame").bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] < 844 / 2
    page.click(".stage [data-do=brush]")
    client = page.context.new_cdp_session(page)
    box = page.locator(".brush-canvas").bounding_box()
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for kind, points in (("touchStart", [point]), ("touchMove", [{**point, "x": point["x"] + 30}]), ("touchEnd", [])):
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("atelier.live.style.settings.mask !== ''")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.context.close()
