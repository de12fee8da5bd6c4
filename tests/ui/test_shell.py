import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import gradio as gr
import pytest

from studio.library import Library
from studio.ui import shell, tabs
from studio.ui.services import Services

TAB = '''
import gradio as gr

ORDER = {order}
TITLE = "explore.title"


def build(services):
    gr.Textbox("{name}")
'''


def built(services: Services, language: str | None = None) -> gr.Blocks:
    """Gradio leaves an event loop open for every page that is built outside of one."""

    async def build() -> gr.Blocks:
        return shell.build(services, language)

    return asyncio.run(build())


@pytest.fixture
def two_more_tabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, order in (("test_first", -1), ("test_last", 99)):
        (tmp_path / f"{name}.py").write_text(TAB.format(order=order, name=name))
    monkeypatch.setattr(tabs, "__path__", [*tabs.__path__, str(tmp_path)])
    yield
    for name in ("test_first", "test_last"):
        sys.modules.pop(f"studio.ui.tabs.{name}", None)


def names(found: list[ModuleType]) -> list[str]:
    return [shell.name_of(tab) for tab in found]


def test_a_file_in_tabs_is_a_tab(two_more_tabs: None) -> None:
    found = names(shell.find_tabs())
    assert (found[0], found[-1]) == ("test_first", "test_last")
    assert "explore" in found


def test_every_tab_has_a_place_a_title_and_a_builder() -> None:
    for tab in shell.find_tabs():
        assert isinstance(tab.ORDER, int) and isinstance(tab.TITLE, str) and callable(tab.build)


def test_every_tab_is_on_the_page(two_more_tabs: None, services: Services) -> None:
    page = built(services)
    on_page = [block.id for block in page.blocks.values() if isinstance(block, gr.Tab)]
    assert on_page == names(shell.tabs_for(services))


def test_a_tab_is_on_the_pages_that_it_is_for(
    two_more_tabs: None, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = shell.find_tabs()[-1]
    monkeypatch.setattr(last, "shown", lambda one: one is not services, raising=False)
    assert set(names(shell.find_tabs())) - set(names(shell.tabs_for(services))) == {"test_last", "train"}


def test_tabs_stay_short() -> None:
    long = {
        tab.__name__: lines
        for tab in shell.find_tabs()
        if (lines := Path(tab.__file__).read_text(encoding="utf-8").count("\n")) > 150
    }
    assert long == {}


@pytest.mark.parametrize("language, offered", [(None, {"en": "English", "zh-CN": "中文"}), ("zh-CN", {})])
def test_a_forced_language_offers_no_other(services: Services, language: str | None, offered: dict[str, str]) -> None:
    page = built(services, language)
    props = [block.props for block in page.blocks.values() if isinstance(block, gr.HTML)]
    assert [p["languages"] for p in props if "languages" in p] == [offered]


def test_the_page_opens_without_a_model(tmp_path: Path) -> None:
    assert built(Services.on(Library((tmp_path,)), "cpu"))
