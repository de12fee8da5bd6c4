"""A contact sheet beside a live view: small pictures of where the controls could go; a click goes there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui.components.live import Answer, answering

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Paged:
    """Pages of `size` along the setting `key`, a number from 0 to `last`."""

    key: str
    size: int
    last: int


def sheet(
    view: str,
    name: str,
    ask: Callable[[Any], Answer],
    cell_label: str,
    ignored: Iterable[str] = (),
    paged: Paged | None = None,
    kept: str = "",
) -> gr.HTML:
    """The component. `ask` answers a live view's request with {"cells": [{picture, caption, patch}]}; a cell without a
    picture `says` why.

    A cell's patch is what a click changes in the settings; settings in `ignored` do not change the sheet. A paged
    sheet can be turned, and its request holds the `first` number of the page. A `kept` sheet shows the settings that
    the person bookmarked, which the browser keeps under that name, without the model: its request holds them in a list
    of that name, and the answer's cells are theirs. `cell_label`: a message with {caption}.
    """
    answer = answering(ask)
    answer.__name__ = "cells"  # as sheet.js calls it
    return gr.HTML(
        html_template=(_HERE / "sheet.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "sheet.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        server_functions=[answer],
        elem_id=f"sheet-{name}",
        view=view,
        ignored=list(ignored),
        paged=vars(paged) if paged else None,
        kept=kept,
        cell_label=cell_label,
    )
