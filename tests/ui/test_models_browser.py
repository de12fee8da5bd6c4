"""A journey through the models tab in a real browser, against a server that speaks the Hub's protocol."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.inventory import inventory
from studio.library import Library
from studio.ui.i18n import messages
from tests.hub_server import Fault, HubServer
from tests.ui.conftest import serving
from tests.ui.test_browser import Visit
from tests.ui.visitor import photo

EN, ZH = messages("en"), messages("zh-CN")
CARD = """---
license: cc-by-4.0
---
# A brush

It paints **ink**. <script>document.title = "stolen"</script><img src=x onerror="document.title='stolen'">
[a page](https://example.org/ink) and [a trap](javascript:document.title='stolen') ![spy](https://example.org/spy.png)
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(
    home: Path, hub: HubServer, save_tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    models = home / "models"
    save_tiny(models / "tiny")
    brush = save_tiny(tmp_path_factory.mktemp("hub") / "brush", seed=3, channel_base=2048, channel_max=128)
    files = {path.name: path.read_bytes() for path in brush.iterdir()}
    files |= {"README.md": CARD.encode(), "samples.png": photo(64, 64)}
    hub.add("ann/brush", files, card={"license": "cc-by-4.0"}, task="unconditional-image-generation")
    hub.add("ann/brushwords", {"pytorch_model.bin": b"x"}, task="text-generation")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_XET": "1", "ATELIER_HOME": str(home),
        }.items():
            patch.setenv(name, value)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            patch.delenv(name, raising=False)
        with serving(models, "--own") as url:
            yield url


class ModelsVisit(Visit):
    """A visit to the models tab."""

    def ready(self) -> None:
        self.page.wait_for_selector(".live.has-picture")
        self.page.click("[data-tab-id=models]")
        self.page.wait_for_selector(".shelf-list .run")

    def names(self) -> list[str]:
        return self.page.eval_on_selector_all(".shelf-list .run", "rows => rows.map((row) => row.dataset.model)")

    def room(self, name: str) -> None:
        self.page.click(f".models [role=tab][data-room={name}]")


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[ModelsVisit]:
    with ModelsVisit(browser, address) as visit:
        yield visit


def test_from_a_search_to_explore_and_gone_again(visit: ModelsVisit, hub: HubServer, home: Path) -> None:
    page = visit.page
    assert visit.names() == ["model:tiny"]
    visit.room("add")
    page.fill(".add-search input", "brush")
    page.press(".add-search input", "Enter")
    page.wait_for_selector(".add-hub .found")
    found = page.inner_text(".add-hub .add-found")
    assert "ann/brush" in found and "cc-by-4.0" in found and EN["models.not_pictures"] in found

    # a look: licence, size, card and picture, and not a byte of the weights
    page.click(".add-hub .found >> nth=0")
    page.wait_for_selector(".look-picture:not([hidden])")
    page.wait_for_selector(".look-card:not([hidden])")
    assert "cc-by-4.0" in page.inner_text(".add-look > .facts")
    weights = hashlib.sha256(hub.repos["ann/brush"].at("main")[1]["model.safetensors"]).hexdigest()
    assert hub.seen(weights) == []
    page.click(".look-card > summary")
    assert page.inner_text(".look-card b") == "ink"
    links = page.eval_on_selector_all(".look-card a", "links => links.map((a) => a.href)")
    assert links == ["https://example.org/ink"]
    assert page.locator(".look-card :is(img, script)").count() == 0
    assert page.title() == "Atelier"

    # a connection that is cut at half keeps the bar there for a moment
    hub.faults.append(Fault(weights, cut=1_000_000))
    page.fill(".look-install input", "my brush")
    page.click(".look-install [type=submit]")
    percent = "Number(document.querySelector('.models-work .stage-progress').getAttribute('aria-valuenow'))"
    page.wait_for_function(f"{percent} > 5 && {percent} < 97")
    assert "ann/brush" in page.inner_text(".models-work")
    page.wait_for_selector(".models-status:has-text('my brush')")
    assert visit.names() == ["model:my brush", "model:tiny"]
    assert EN["models.does_noise"] in page.inner_text(".about-can")
    page.wait_for_selector(".about-model[data-told=true]")
    assert "ann/brush" in page.inner_text(".about-model > .facts")
    assert page.get_attribute(".about-picture", "src").startswith("data:image/jpeg")

    # beside another, at the same seeds
    page.click(".models [data-do=compare]")
    page.wait_for_function("document.querySelectorAll('.versus-cell img').length === 12")
    shown = page.eval_on_selector_all(".versus-cell img", "pictures => pictures.map((one) => one.src)")
    assert shown[0] != shown[6]
    assert page.locator(".versus-facts .differs").count() > 0
    page.click(".models [data-do=versus_close]")

    page.click(".models [data-do=open]")
    page.wait_for_function("atelier.live.explore.settings.model === 'my brush' && atelier.live.explore.good")
    assert page.is_visible("#live-explore")

    page.click("[data-tab-id=models]")
    page.click(".models [data-do=rename]")
    page.fill(".about-rename input", "ink")
    page.press(".about-rename input", "Enter")
    page.wait_for_selector(".shelf-list .run[data-model='model:ink']")
    assert Library((home / "models",)).names() == ["ink", "tiny"]

    page.click(".models [data-do=delete]")
    page.click(".models [data-do=delete_not]")
    assert Library((home / "models",)).names() == ["ink", "tiny"]
    page.click(".models [data-do=delete]")
    page.click(".models [data-do=delete_sure]")
    page.wait_for_function("document.querySelectorAll('.shelf-list .run').length === 1")
    assert [item.name for item in inventory(Library((home / "models",)))] == ["tiny"]

    # the cache still has it, until it is told to forget
    visit.room("cache")
    page.wait_for_selector(".cache-table th:has-text('ann/brush')")
    page.click(".cache-table button")
    page.click(".cache-table .lead")
    page.wait_for_function("!document.querySelector('.cache-table tr')")
    assert not (home / "hf" / "hub" / "models--ann--brush").exists()


def test_a_dropped_network_opens_in_restore(visit: ModelsVisit, home: Path, tmp_path: Path) -> None:
    import torch

    compact = pytest.importorskip("spandrel.architectures.Compact").Compact
    network = compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2)
    torch.save(network.state_dict(), tmp_path / "sharp.pth")
    page = visit.page
    visit.room("add")
    page.set_input_files(".add-chooser", tmp_path / "sharp.pth")
    page.wait_for_selector(".add-name:not([hidden])")
    page.press(".add-name input", "Enter")
    page.wait_for_selector(".shelf-list .run[data-model='network:sharp.pth'][aria-selected=true]")
    assert (home / "networks" / "sharp.pth").is_file()
    page.wait_for_selector(".about-model[data-told=true]")
    assert "Compact" in page.inner_text(".about-model > .facts") and "×2" in page.inner_text(".about-model > .facts")
    page.click(".models [data-do=open]")
    page.wait_for_function("atelier.live.restore?.settings.enlarger.length === 64")
    page.click(f"text={EN['restore.enlarge_title']}")
    page.wait_for_selector(".network-brought[data-does=enlarges]:has-text('sharp.pth')")
    assert page.input_value(".networks[data-does=enlarges] select") == "sharp.pth"
    page.select_option(".networks[data-does=enlarges] select", "")
    page.wait_for_function("atelier.live.restore.settings.enlarger === ''")
    page.click("[data-tab-id=models]")
    page.click(".models [data-do=delete]")
    page.click(".models [data-do=delete_sure]")
    page.wait_for_function("document.querySelectorAll('.shelf-list .run').length === 1")
    assert list((home / "networks").iterdir()) == []


def test_chinese_on_800_px_by_keyboard(browser: Any, address: str) -> None:
    visit = ModelsVisit(browser, address, locale="zh-CN")
    page = visit.page
    page.set_viewport_size({"width": 800, "height": 900})
    page.focus(".models [role=tab][data-room=installed]")
    for room in ("add", "publish", "cache", "installed"):
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f"#models-{room}:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth") <= 800, room
    page.wait_for_selector(".about-model[data-told=true]")
    said = page.inner_text(".models")
    keys = ("models.installed", "models.rename", "models.fact_licence", "models.does_noise")
    assert [key for key in keys if ZH[key] not in said] == []
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.fill(".publish-form [name=repo]", "ann/tiny")
    page.select_option(".publish-form [name=licence]", "cc-by-4.0")
    page.press(".publish-form [name=repo]", "Enter")
    page.wait_for_selector(".publish-seen:not([hidden])")
    assert "license: cc-by-4.0" in page.inner_text(".publish-card")
    assert ZH["models.signed_out"] in page.inner_text(".publish-login")
    assert page.evaluate("document.documentElement.scrollWidth") <= 800
    assert page.evaluate("document.body.innerText.match(/__i18n__|\\b(models|stage)\\.[a-z_]+/g)") is None
    visit.context.close()
    assert visit.errors == []
