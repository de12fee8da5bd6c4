"""The page: finds the tabs, puts them side by side, and keeps the reader's place."""

import json
from pathlib import Path
from types import ModuleType

import gradio as gr

from studio.registry import import_all
from studio.ui import tabs
from studio.ui.components.header import header
from studio.ui.i18n import LANGUAGES, text
from studio.ui.services import Services

_COMPONENTS = Path(__file__).parent / "components"
# what any component may call; page.js is the first
_SHARED = ("page", "files", "dropzone", "compare", "grids", "brush", "chart", "workshop")
# Gradio runs them before any component's own script
HEAD = "".join(f"<script>{(_COMPONENTS / f'{name}.js').read_text(encoding='utf-8')}</script>" for name in _SHARED)

# Gradio reports its own choice of the first tab as if the reader had made it: none is kept before the kept one is read.
_REOPEN = """() => {
  atelier.reopened = true;
  const selected = atelier.recall("tab");
  return NAMES.includes(selected) ? { __type__: "update", selected } : undefined;
}"""


def build(services: Services, language: str | None = None) -> gr.Blocks:
    """The whole page. Where the language is forced, it offers no other."""
    found = tabs_for(services)
    with gr.Blocks(title="Atelier", analytics_enabled=False) as page:
        header({} if language else LANGUAGES)
        with gr.Tabs(elem_id="tabs") as bar:
            for tab in found:
                with gr.Tab(text(tab.TITLE), id=name_of(tab)) as place:
                    tab.build(services)
                place.select(fn=None, js=f"() => {{ if (atelier.reopened) atelier.keep('tab', '{name_of(tab)}'); }}")
        page.load(fn=None, outputs=bar, js=_REOPEN.replace("NAMES", json.dumps([name_of(tab) for tab in found])))
    return page


def find_tabs() -> list[ModuleType]:
    """Every module of `tabs`, in their ORDER."""
    return sorted(import_all(tabs), key=lambda tab: tab.ORDER)


def tabs_for(services: Services) -> list[ModuleType]:
    """Those that the page has. A tab that is not for every page says so by `shown(services)`."""
    return [tab for tab in find_tabs() if not hasattr(tab, "shown") or tab.shown(services)]


def name_of(tab: ModuleType) -> str:
    return tab.__name__.rpartition(".")[2]
