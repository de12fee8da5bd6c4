"""A tab of several rooms: its markup, its scripts in one function, its answers (workshop.js has what they share)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui.components.live import Answer, answering

TABS = Path(__file__).parents[1] / "tabs"


def workshop(
    name: str, parts: Sequence[str], functions: Sequence[Callable[[Any], Answer]], **props: Any
) -> gr.HTML:
    """name: of the tab and its .html; parts: its scripts, in order; functions: which these call, by their names.

    props: what the scripts are told of the server.
    """
    read = lambda file: (TABS / file).read_text(encoding="utf-8")
    return gr.HTML(
        html_template=read(f"{name}.html"), js_on_load="".join(read(f"{part}.js") for part in parts),
        apply_default_css=False, server_functions=[answering(ask) for ask in functions], elem_id=name, **props,
    )
