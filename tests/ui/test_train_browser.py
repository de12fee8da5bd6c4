"""Journeys through the train tab in a real browser: from a folder to a model in Explore, with a real training at toy size."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.jobs import Jobs
from studio.ui.i18n import messages
from tests.ui.conftest import serving
from tests.ui.test_browser import CHROMIUM, QUIET, Visit, sync_api
from tests.ui.visitor import photo

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium binary on the PATH")

EN, ZH = messages("en"), messages("zh-CN")
TRAINING_MS = 180_000  # a trainer's start alone takes many seconds on a busy machine


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """The runs of a home of this module's own; what is at work there is ended with it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_HOME", str(home))
        jobs = Jobs()
        yield jobs
        for run in jobs.all():
            if run.alive or run.state == "queued":
                jobs.kill(run.name)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, save_tiny: Callable[..., Path], jobs: Jobs) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    save_tiny(models / "tiny")
    with serving(models, "--train") as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class TrainVisit(Visit):
    """A visit to the train tab."""

    def ready(self) -> None:
        self.page.locator("#tabs [role=tab]").nth(3).click()
        self.page.wait_for_selector(".presets .preset", state="attached")

    def bring(self, folder: Path) -> None:
        self.page.set_input_files(".pictures-folder", folder)
        self.page.wait_for_selector(".pictures-found:not([hidden])")
        self.page.wait_for_selector(".seen-cells img")

    def fill(self, field: str, value: str) -> None:
        self.page.fill(f"[data-field={field}]", value)
        self.page.press(f"[data-field={field}]", "Tab")

    def state(self) -> str:
        return self.page.get_attribute(".watched", "data-state")

    def becomes(self, *states: str) -> None:
        among = json.dumps(states)
        self.page.wait_for_function(f"{among}.includes(document.querySelector('.watched').dataset.state)", timeout=TRAINING_MS)


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[TrainVisit]:
    visit = TrainVisit(browser, address)
    yield visit
    visit.context.close()
    assert visit.errors == []
    assert visit.hosts <= {"127.0.0.1", "data", "blob"}, "the page asked for something that is not on this machine"


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drop") / "flowers"
    for i in range(12):
        path = folder / ("roses" if i % 2 else "tulips") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(24, 32, seed=i))
    (folder / "roses" / "broken.png").write_bytes(b"no picture")
    return folder


def test_from_a_folder_to_explore(visit: TrainVisit, browser: Any, address: str, flowers: Path, jobs: Jobs) -> None:
    page = visit.page
    assert page.is_disabled("[data-do=start]")
    visit.bring(flowers)
    said = page.inner_text(".pictures")
    assert f"{EN['train.count'].replace('{count}', '12')} · in 2 folders · 32 × 24 px" in said
    assert page.inner_text(".workshop-alert") == EN["train.left_out"].replace("{count}", "1")
    assert page.locator(".seen-cells img").count() == 8

    # what was found says what to do, in a button
    page.click(f".findings >> text={EN['train.use_side'].replace('{side}', '16')}")
    page.wait_for_function("document.querySelector('[data-field=resolution]').value === '16'")
    page.check(f".preset:has-text('{EN['train.preset_first_look']}') input")
    page.select_option("[data-field=resolution]", "16")
    page.click(".recipe > .more > summary")
    for field, value in {"kimg": "500", "tick_kimg": "0.5", "batch": "8", "width": "8", "watching-measure_ticks": "0"}.items():
        visit.fill(field, value)
    page.fill(".run-name", "my flowers")
    page.wait_for_function("document.querySelector('.begin .command').textContent.includes('--measure-ticks 0')")
    page.click("[data-do=start]")

    # it trains, in a process of its own; another page sees the same
    visit.becomes("running")
    page.wait_for_selector(".samples-frame img.compare-after[src]", timeout=TRAINING_MS)
    page.wait_for_function("document.querySelectorAll('.chart path').length > 1", timeout=TRAINING_MS)
    other = TrainVisit(browser, address)
    other.page.click("[role=tab][data-room=runs]")
    other.page.wait_for_selector(".run:has-text('my flowers')")
    other.becomes("running")

    # a reload finds it again
    page.reload()
    visit.ready()
    page.wait_for_selector(".watched-title:has-text('my flowers')")
    assert page.get_attribute("[role=tab][data-room=runs]", "aria-selected") == "true"
    visit.becomes("running")

    page.click("[data-act=pause]")
    visit.becomes("paused")
    other.becomes("paused")
    other.page.click("[data-act=resume]")
    other.becomes("running")
    visit.becomes("running")
    other.context.close()

    # its first sample beside its latest
    page.wait_for_function("Number(document.querySelector('.samples-time input').max) > 1", timeout=TRAINING_MS)
    page.click("[data-do=compare]")
    page.wait_for_selector(".samples-frame.comparing")
    first, latest = (page.get_attribute(f".samples-frame .compare-{side}", "src") for side in ("before", "after"))
    assert first != latest

    # a snapshot of the running run, at the latents that stand in Explore
    settings = page.evaluate("atelier.recall('explore')") or {}
    page.select_option(".watched-use select", index=0)
    page.click("[data-do=explore]")
    page.wait_for_function("/^my flowers .* kimg$/.test(atelier.live.explore?.settings.model)", timeout=TRAINING_MS)
    page.wait_for_function("atelier.live.explore.good")
    assert page.is_visible("#live-explore")
    now = page.evaluate("atelier.live.explore.settings")
    assert {key: now[key] for key in settings if key != "model"} == {key: settings[key] for key in settings if key != "model"}

    page.locator("#tabs [role=tab]").nth(3).click()
    page.click("[data-act=stop]")
    visit.becomes("stopped")
    page.click("[data-do=delete]")
    page.click("[data-do=keep]")
    assert jobs.names() == ["my flowers"]
    page.click("[data-do=delete]")
    page.click(".watched-sure [data-act=delete]")
    page.wait_for_selector(".runs-none:not([hidden])")
    assert jobs.names() == []


def test_a_folder_on_this_machine(visit: TrainVisit, flowers: Path) -> None:
    page = visit.page
    page.fill(".pictures-path input", str(flowers))
    page.press(".pictures-path input", "Enter")
    page.wait_for_selector(".pictures-found:not([hidden])")
    assert EN["train.found_unreadable"].replace("{count}", "1") in page.inner_text(".findings")
    page.click(f"text={EN['train.others']}")
    page.fill(".pictures-path input", str(flowers / "lilies"))
    page.press(".pictures-path input", "Enter")
    page.wait_for_selector(".workshop-alert:has-text('there is no')")
    assert page.is_disabled("[data-do=start]")


def test_chinese_on_a_narrow_screen(browser: Any, address: str, flowers: Path) -> None:
    visit = TrainVisit(browser, address, locale="zh-CN")
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    visit.bring(flowers)
    page.click(".recipe > .more > summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    said = page.inner_text(".workshop")
    keys = ["train.prepare", "train.pictures", "train.seen", "train.found_few", "train.preset_first_look", "train.start"]
    assert [key for key in keys if ZH[key].replace("{count}", "12") not in said] == []
    assert page.evaluate("document.body.innerText.match(/__i18n__|\\b(train|chart|stage)\\.[a-z_]+/g)") is None
    # the rooms are tabs: arrows go from one to the other
    page.focus("[role=tab][data-room=prepare]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#train-runs")
    assert not page.is_visible("#train-prepare")
    visit.context.close()
    assert visit.errors == []
