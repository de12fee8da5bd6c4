"""Journeys in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from studio.ui.i18n import messages

WAIT_MS = 20_000
HERE = {"127.0.0.1", "data", "blob"}
EN, ZH = messages("en"), messages("zh-CN")
WALK = "#explore-walk input[type=range]"


class Visit:
    """A page, and what it asked for and complained of."""

    def __init__(self, browser: Any, url: str, locale: str = "en-US", **options: Any) -> None:
        self.context = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900}, **options)
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.page.on("request", lambda r: self.hosts.add(urlsplit(r.url).hostname or urlsplit(r.url).scheme))
        self.page.on("websocket", lambda w: self.hosts.add(urlsplit(w.url).hostname))
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.goto(url)
        self.ready()

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Leave. A visit that went well has had no error, and has asked nobody but this machine."""
        self.context.close()
        if kind is None:
            assert self.errors == []
            assert self.hosts <= HERE, "the page asked for something that is not on this machine"

    def ready(self) -> None:
        self.page.wait_for_selector(".live.has-picture")
        self.page.wait_for_selector("#sheet-strip button img")
        self.page.wait_for_selector("#explore-dials-0 input[type=range]")

    def settings(self) -> dict[str, Any]:
        return self.page.evaluate("atelier.live.explore.settings")

    def picture(self) -> str:
        return self.page.get_attribute(".live img", "src")

    def settle(self) -> str:
        """Wait until the picture rests, and return it."""
        kept, live = "JSON.stringify(atelier.recall('explore'))", "JSON.stringify(atelier.live.explore.settings)"
        self.page.wait_for_function(f"{kept} === {live}")
        return self.picture()

    def shown(self) -> int:
        return int(self.page.get_attribute(".live", "data-pictures"))


@pytest.fixture
def visit(browser: Any, served: str) -> Iterator[Visit]:
    with Visit(browser, served) as visit:
        yield visit


def test_the_picture_follows_the_slider(visit: Visit) -> None:
    page = visit.page
    before, shown = visit.settle(), visit.shown()
    box = page.locator(WALK).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 4, y)
    page.mouse.down()
    for i in range(1, 21):
        page.mouse.move(box["x"] + 4 + i * box["width"] / 25, y)
        page.wait_for_timeout(30)
    moving = visit.shown() - shown  # the button is still down
    page.mouse.up()
    after = visit.settle()
    assert moving >= 3
    assert after != before
    assert 0.6 < visit.settings()["walk"] < 0.95
    timing = json.loads(page.get_attribute(".live", "data-timing"))
    assert set(timing["server_ms"]) == {"wait", "draw", "encode", "total"}
    assert timing["total_ms"] >= timing["server_ms"]["total"]
    # What stands at the end is the picture of the last settings, not of some on the way.
    page.evaluate("atelier.live.explore.set({ seed: 123 })")
    assert visit.settle() != after
    page.keyboard.press("Control+z")
    page.wait_for_function("atelier.live.explore.settings.seed !== 123")
    assert visit.settle() == after


def test_the_last_of_many_is_shown(visit: Visit) -> None:
    page = visit.page
    page.evaluate("() => { for (let i = 0; i < 101; i++) atelier.live.explore.set({ walk: i / 100, to_seed: 77 }); }")
    last = visit.settle()
    page.evaluate("atelier.live.explore.set({ seed: 77, walk: 0, to_seed: 5 })")
    assert visit.settle() == last  # the walk's end is seed 77
    assert visit.shown() < 50  # most were never asked for


def test_keys_and_buttons(visit: Visit) -> None:
    page = visit.page
    page.click(f"text={EN['explore.random']} >> nth=0")
    page.wait_for_function("atelier.live.explore.settings.seed > 0")
    seed = visit.settings()["seed"]
    visit.settle()
    page.locator("body").press("ArrowRight")
    assert visit.settings()["seed"] == seed + 1
    page.wait_for_function(f"document.querySelector('#explore-seed input').value === '{seed + 1}'")
    page.focus(WALK)
    page.keyboard.press("ArrowRight")  # on a slider, the arrow is the slider's
    page.wait_for_function("atelier.live.explore.settings.walk > 0")
    assert visit.settings()["seed"] == seed + 1
    visit.settle()
    page.click(f"text={EN['live.undo']}")
    page.wait_for_function(f"document.querySelector('{WALK}').value === '0'")
    page.click("#sheet-strip button >> nth=3")
    page.wait_for_function("atelier.live.explore.settings.walk === 0.5")
    page.wait_for_function("document.querySelector('#sheet-strip button:nth-child(4)').ariaPressed === 'true'")


def test_a_grid_of_seeds(visit: Visit) -> None:
    page = visit.page
    page.locator("#sheet-grid").scroll_into_view_if_needed()
    page.wait_for_selector("#sheet-grid button img")
    page.click(f"#sheet-grid >> text={EN['sheet.more']}")
    page.wait_for_selector("#sheet-grid button:has-text('17')")
    page.click("#sheet-grid button:has-text('17')")
    page.wait_for_function("atelier.live.explore.settings.seed === 17")


def test_bookmarks_stay_when_the_page_is_opened_again_and_can_be_removed(visit: Visit) -> None:
    page = visit.page
    button = f"text={EN['sheet.keep']}"
    visit.settle()
    page.locator("#sheet-kept").scroll_into_view_if_needed()
    page.wait_for_selector(f"text={EN['sheet.keep_says'][:40]}")
    page.evaluate("atelier.live.explore.set({ seed: 7, psi: 0.9 })")
    visit.settle()
    page.click(button)
    page.wait_for_selector("#sheet-kept button[aria-pressed=true] img")
    page.evaluate("atelier.live.explore.set({ seed: 8, noise: 'none', dials: [0.5, 0, 0, 0, 0, 0, 0, 0] })")
    visit.settle()
    page.locator("body").press("b")
    page.wait_for_function("document.querySelectorAll('#sheet-kept .sheet-key').length === 2")
    page.reload()
    page.wait_for_function("atelier.live.explore?.good")
    page.locator("#sheet-kept").scroll_into_view_if_needed()
    page.click("#sheet-kept .sheet-key >> nth=0")
    page.wait_for_function("atelier.live.explore.settings.seed === 7")
    settings = visit.settings()
    assert (settings["psi"], settings["noise"], settings["dials"][0]) == (0.9, "const", 0)
    page.click(f"text={EN['sheet.forget']}")
    page.wait_for_function("document.querySelectorAll('#sheet-kept .sheet-key').length === 1")
    page.click("#sheet-kept .sheet-key >> nth=0")
    page.wait_for_function("atelier.live.explore.settings.dials[0] === 0.5")


def test_bookmarks_that_are_spoilt_can_be_removed_and_keep_nobody_from_new_ones(visit: Visit) -> None:
    page = visit.page
    visit.settle()
    page.evaluate("atelier.keep('bookmarks', { not: 'a list' })")
    page.locator("#sheet-kept").scroll_into_view_if_needed()
    page.click(f"text={EN['sheet.keep']}")
    page.wait_for_selector("#sheet-kept button[aria-pressed=true] img")
    settings = visit.settings()
    page.evaluate(
        "one => atelier.keep('bookmarks', [7, null, { ...one, colour: 'of another version' }, { ...one, label: 'x' }])",
        {name: value for name, value in settings.items() if name != "model"},
    )
    page.evaluate("atelier.live.explore.set({ seed: 31 })")
    visit.settle()
    page.wait_for_function("document.querySelectorAll('#sheet-kept .sheet-key').length === 2")
    assert page.locator("#sheet-kept .sheet-cells img").count() == 1
    assert "label" in page.locator("#sheet-kept .sheet-key").nth(1).get_attribute("title")
    for left in (1, 0):
        page.locator("#sheet-kept .sheet-key").nth(left).hover()
        page.locator("#sheet-kept .sheet-cross").nth(left).click()
        page.wait_for_function(f"document.querySelectorAll('#sheet-kept .sheet-key').length === {left}")
    assert visit.settings()["seed"] == 31
    page.wait_for_selector(f"text={EN['sheet.keep_says'][:40]}")


def test_a_dropped_picture_brings_the_settings_back(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.evaluate(
        """atelier.live.explore.set({ seed: 9, psi: 0.9, walk: 0.35, path: 'z', mix_seed: 4, mix_fine: 0.5,
        noise: 'none', dials: [0.5, 0, 0, -0.2, 0, 0, 0, 0] })"""
    )
    picture, settings = visit.settle(), visit.settings()
    with page.expect_download() as download:
        page.click(f"text={EN['live.save']}")
    assert download.value.suggested_filename == "tiny-seed9.png"
    file = tmp_path / "saved.png"
    download.value.save_as(file)
    page.evaluate("atelier.live.explore.actions.reset(); atelier.live.explore.set({ seed: 1, mix_seed: 1 })")
    assert visit.settle() != picture
    body = list(file.read_bytes())
    page.evaluate(
        """(body) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(body)], "saved.png", { type: "image/png" }));
        const target = document.querySelector(".live-mat");
        for (const kind of ["dragenter", "dragover", "drop"]) {
            const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data });
            target.dispatchEvent(event);
        }
        }""",
        body,
    )
    page.wait_for_function("atelier.live.explore.settings.seed === 9")
    assert visit.settle() == picture
    assert visit.settings() == settings
    page.wait_for_function("document.querySelector('#explore-psi input[type=range]').value === '0.9'")
    page.wait_for_function("document.querySelector('#explore-dials-3 input[type=number]').value === '-0.2'")
    assert page.inner_text(".live [role=status]") == EN["live.opened"].replace("{name}", "saved.png")


def test_an_error_is_a_sentence_in_place(visit: Visit) -> None:
    page = visit.page
    before = visit.settle()
    page.evaluate("atelier.live.explore.set({ seed: -5 })")
    page.wait_for_selector(".live [role=alert]:has-text('seed=-5 is outside 0..')")
    assert visit.picture() == before  # the last good picture stands
    page.evaluate("atelier.live.explore.set({ seed: 5 })")
    page.wait_for_function("document.querySelector('.live [role=alert]').textContent === ''")


def test_a_reload_keeps_the_settings(visit: Visit) -> None:
    page = visit.page
    page.evaluate("atelier.live.explore.set({ seed: 31, walk: 0.4, dials: [0, 0.3, 0, 0, 0, 0, 0, 0] })")
    picture, settings = visit.settle(), visit.settings()
    page.reload()
    visit.ready()
    assert visit.settings() == settings
    assert visit.settle() == picture
    page.wait_for_function("document.querySelector('#explore-seed input').value === '31'")
    page.wait_for_function("document.querySelector('#explore-dials-1 input[type=number]').value === '0.3'")


def test_kept_settings_that_no_longer_work_are_left_behind(visit: Visit) -> None:
    page = visit.page
    visit.settle()
    page.evaluate("atelier.keep('explore', { ...atelier.live.explore.settings, model: 'gone', seed: 8 })")
    page.reload()
    visit.ready()
    assert visit.settings()["model"] == "tiny"


def test_classes_and_dials_follow_the_model(visit: Visit) -> None:
    page = visit.page
    page.click(f"text={EN['explore.details_title']}")
    assert page.locator("#explore-label").count() == 0
    before = visit.settle()
    page.evaluate("atelier.live.explore.set({ model: 'tiny-classes' })")
    page.wait_for_selector("#explore-label input[type=range]")
    assert page.get_attribute("#explore-label input[type=range]", "max") == "2"
    assert visit.settle() != before


def test_chinese(browser: Any, served: str) -> None:
    visit = Visit(browser, served, locale="zh-CN")
    page = visit.page
    assert page.get_attribute("html", "lang") == "zh-CN"
    text = page.inner_text("body")
    keys = ["page.motto", "live.save", "sheet.more"]
    keys += ["explore." + name for name in ("title", "walk_title", "path_z", "psi_info", "neighbours")]
    assert [key for key in keys if ZH[key] not in text] == []
    assert f"{ZH['explore.dial']} 1 · " in text
    markers = page.evaluate("document.body.innerText.match(/__i18n__|\\b(page|live|sheet|explore)\\.[a-z_]+/g)")
    assert markers is None
    english = [EN[key] for key in EN if len(EN[key]) > 6 and EN[key] in text]
    assert english == ["English"] or english == []
    page.click("text=English")
    page.wait_for_function("document.documentElement.lang === 'en'")
    visit.ready()
    assert EN["explore.walk_title"] in page.inner_text("body")
    visit.context.close()
    assert visit.hosts <= HERE


def test_on_a_phone_the_picture_stays_in_sight(browser: Any, served: str) -> None:
    visit = Visit(browser, served, has_touch=True)
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#explore-dials-0").scroll_into_view_if_needed()
    box = page.locator(".live img").bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] < 844 / 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.context.close()
