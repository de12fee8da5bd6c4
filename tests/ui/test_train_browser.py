"""Journeys through the train tab in a real browser, with a real training at toy size."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.files import write_json
from studio.jobs import Jobs
from studio.runfolder import RunFolder
from studio.ui.i18n import messages
from tests.ui.conftest import serving
from tests.ui.test_browser import Visit
from tests.ui.visitor import photo

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
        self.page.wait_for_function(
            f"{among}.includes(document.querySelector('.watched').dataset.state)", timeout=TRAINING_MS
        )


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[TrainVisit]:
    with TrainVisit(browser, address) as visit:
        yield visit


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
    for field, value in {
        "kimg": "500",
        "tick_kimg": "0.5",
        "batch": "8",
        "width": "8",
        "watching-measure_ticks": "0",
    }.items():
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
    assert {key: now[key] for key in settings if key != "model"} == {
        key: settings[key] for key in settings if key != "model"
    }

    # the same as a file, with a card in one's own words
    page.locator("#tabs [role=tab]").nth(3).click()
    page.click(".model-card > summary")
    assert page.input_value("[data-card=title]") == "my flowers"
    page.fill("[data-card=title]", "Tulips at night")
    page.fill("[data-card=data_note]", "Twelve photos of mine.")
    page.select_option(".model-card select >> nth=1", "CC-BY-4.0")
    page.select_option(".model-card select >> nth=0", "…")
    page.fill("[data-card=data_licence]", "as the garden allows")
    with page.expect_download(timeout=TRAINING_MS) as download:
        page.click("[data-do=export]")
    with zipfile.ZipFile(download.value.path()) as packed:
        card = packed.read(next(name for name in packed.namelist() if name.endswith("README.md"))).decode()
    said = [
        "# Tulips at night",
        "Twelve photos of mine.",
        "as the garden allows",
        "licence of the weights | CC-BY-4.0",
    ]
    assert [text for text in said if text not in card] == []

    page.click("[data-act=stop]")
    visit.becomes("stopped")
    page.click("[data-do=delete]")
    page.click("[data-do=keep]")
    assert jobs.names() == ["my flowers"]
    page.click("[data-do=delete]")
    page.click(".watched-sure [data-act=delete]")
    page.wait_for_selector(".runs-none:not([hidden])")
    assert jobs.names() == []


# What the page's own timers see it say while it works.
NOTES = """() => {
    window.notes = new Set();
    setInterval(() => {
        const note = document.querySelector(".pictures-work .stage-work-note").textContent;
        if (note) window.notes.add(note);
    }, 20);
}"""
# A folder of the page's own file system stands for the one that a person would pick.
PICK = """async ([count, bytes]) => {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle("many", { create: true });
    const picture = new Uint8Array(bytes);
    for (let i = 0; i < 4; i++) {
        const kind = await folder.getDirectoryHandle(`kind ${i}`, { create: true });
        for (let j = 0; j < count / 4; j++) {
            const file = await (await kind.getFileHandle(`${j}.png`, { create: true })).createWritable();
            await file.write(picture);
            await file.close();
        }
    }
    window.showDirectoryPicker = async () => folder;
}"""


def test_a_large_folder_is_picked_while_the_page_stays_alive(visit: TrainVisit) -> None:
    """2,000 pictures; benchmarks/bringing.py does the same with 50,000."""
    page = visit.page
    page.evaluate(PICK, [2000, list(photo(8, 8))])
    page.evaluate(NOTES)
    page.click("[data-do=folder]")
    page.wait_for_selector(".pictures-work .stage-work-note:has-text('of 2,000 pictures')")
    assert page.is_visible(".pictures-work [data-do=halt]")
    page.wait_for_selector(".pictures-found:not([hidden])", timeout=TRAINING_MS)
    assert "2,000 pictures · in 4 folders · 8 × 8 px" in page.inner_text(".pictures-facts")
    assert EN["train.found_copies"].split(":")[0] in page.inner_text(".findings")
    notes = page.evaluate("[...notes]")
    assert any(note.startswith("Reading the folder") for note in notes)
    assert sum("have arrived" in note for note in notes) > 10

    # what is stopped on its way leaves nothing
    sets = "document.querySelectorAll('.pictures-sets button').length"
    before = page.evaluate(sets)
    page.click("[data-do=others]")
    page.wait_for_selector(".pictures-invite:not([hidden])")
    page.wait_for_function(f"{sets} === {before + 1}")  # the folder above
    page.click("[data-do=folder]")
    page.wait_for_selector(".pictures-work .stage-work-note:has-text('have arrived')")
    page.click(".pictures-work [data-do=halt]")
    page.wait_for_selector(".pictures-work", state="hidden")
    page.reload()
    visit.ready()
    page.wait_for_selector(".pictures-invite:not([hidden])")
    page.wait_for_timeout(500)
    assert page.evaluate(sets) == before + 1


def test_pictures_that_come_while_something_else_is_done_arrive_and_are_looked_at(
    visit: TrainVisit, flowers: Path
) -> None:
    """During a measurement, which ends for them; a second drop meanwhile is told to wait, and takes nothing away."""
    page = visit.page
    page.evaluate(PICK, [300, list(photo(8, 8))])
    page.click("[data-do=measure]")
    page.wait_for_selector(".begin-work:not([hidden])")
    page.click("[data-do=folder]")
    page.wait_for_selector(".pictures-work .stage-work-note:has-text('of 300 pictures')")
    assert page.is_disabled("[data-do=measure]")
    page.set_input_files(".pictures-folder", flowers)
    page.wait_for_selector(f".workshop-alert:has-text('{EN['train.bringing']}')")
    page.wait_for_selector(".pictures-found:not([hidden])", timeout=TRAINING_MS)
    assert "300 pictures" in page.inner_text(".pictures-facts")
    page.wait_for_selector(".pictures-work", state="hidden")
    page.wait_for_selector(".begin-work", state="hidden")
    assert page.is_enabled("[data-do=measure]")


def test_a_choice_made_while_pictures_are_on_their_way_takes_their_place(
    visit: TrainVisit, flowers: Path
) -> None:
    page = visit.page
    page.evaluate(PICK, [500, list(photo(8, 8))])
    page.click("[data-do=folder]")
    page.wait_for_selector(".pictures-work .stage-work-note:has-text('have arrived')")
    page.fill(".pictures-path input", str(flowers))
    page.press(".pictures-path input", "Enter")
    page.wait_for_selector(".pictures-name:has-text('flowers')")
    page.wait_for_selector(".pictures-found:not([hidden])")
    page.wait_for_timeout(5000)  # in which those on their way would all have come
    page.wait_for_selector(".pictures-work", state="hidden")
    assert "12 pictures" in page.inner_text(".pictures-facts") and page.inner_text(".pictures-name") == "flowers"


def test_a_hundred_thousand_ticks_can_be_read(visit: TrainVisit, jobs: Jobs) -> None:
    """Behind the means of noisy values lie the values themselves, whose one spike is seen; new ticks come in."""
    run = RunFolder(jobs.root / "long")
    run.path.mkdir(parents=True)
    write_json(run.config_path, {"version": 1, "recipe": "dcgan", "data": "/far", "settings": {"resolution": 16}})
    line = lambda i: {"tick": i, "step": i, "kimg": i / 100, "loss_G": 50.0 if i == 61_234 else 2 + (-1) ** i}
    run.progress_path.write_text("".join(json.dumps(line(i)) + "\n" for i in range(1, 100_001)))
    run.write_exit("stopped", "stopped at 1000 kimg", 1000.0)
    page = visit.page
    page.reload()
    visit.ready()
    page.click("[role=tab][data-room=runs]")
    page.click(".run:has-text('long')")
    page.wait_for_selector(".chart path.chart-faint", timeout=TRAINING_MS)
    extent = "(style) => document.querySelector(`.chart path.${style}`).getBBox().height"
    assert page.evaluate(extent, "chart-faint") > 100 > page.evaluate(extent, "chart-line-0:not(.chart-faint)")
    assert page.inner_text(".chart-entry") == f"{EN['train.line_loss_G']} 2"

    # what a trainer adds is drawn
    for i in range(100_001, 100_006):
        run.append_progress(line(i) | {"loss_D": 1.0})
        page.wait_for_timeout(200)
    page.wait_for_selector(f".chart-entry:has-text('{EN['train.line_loss_D']} 1')", timeout=TRAINING_MS)


def test_how_pictures_fit_is_chosen_where_it_is_seen(visit: TrainVisit, flowers: Path) -> None:
    page = visit.page
    visit.bring(flowers)
    first = lambda: page.get_attribute(".seen-cells img", "src")
    pressed = lambda: page.get_attribute(".fits [aria-pressed=true]", "data-seen")
    assert pressed() == "crop" and EN["train.says_crop"].split("{")[0] in page.inner_text(".seen-says")
    cropped = first()
    page.click(".fits [data-seen=pad]")
    page.wait_for_function("(old) => document.querySelector('.seen-cells img').src !== old", arg=cropped)
    assert pressed() == "pad" and EN["train.says_pad"].split("{")[0] in page.inner_text(".seen-says")
    page.wait_for_function("document.querySelector('.begin .command').textContent.includes('--fit pad')")
    # a preset leaves it alone, and the form says the same
    page.check(f".preset:has-text('{EN['train.preset_first_look']}') input")
    page.wait_for_function("document.querySelector('.begin .command').textContent.includes('train dcgan')")
    assert "--fit pad" in page.text_content(".begin .command")
    page.click(".recipe > .more > summary")
    assert page.input_value("[data-field=fit]") == "pad"
    page.select_option("[data-field=fit]", "squeeze")
    page.wait_for_function("document.querySelector('.fits [aria-pressed=true]').dataset.seen === 'squeeze'")


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
    page.click(".fields-more > .more > summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    said = page.inner_text(".workshop")
    keys = ["prepare", "pictures", "seen", "found_few", "preset_first_look", "start", "fit", "fit_pad", "says_crop"]
    keys = [f"train.{key}" for key in keys]
    words = {key: ZH[key].replace("{count}", "12").replace("{side}", "64") for key in keys}
    assert [key for key, text in words.items() if text not in said] == []
    labels = page.eval_on_selector_all(".fields label > span", "all => all.map((one) => one.firstChild.textContent)")
    assert len(labels) > 40 and [label for label in labels if not re.search("[\u4e00-\u9fff]", label)] == []
    assert page.evaluate("document.body.innerText.match(/__i18n__|\\b(train|chart|stage)\\.[a-z_]+/g)") is None
    # the rooms are tabs: arrows go from one to the other
    page.focus("[role=tab][data-room=prepare]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#train-runs")
    assert not page.is_visible("#train-prepare")
    visit.context.close()
    assert visit.errors == []
