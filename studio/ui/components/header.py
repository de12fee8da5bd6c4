"""The page's head: the name, what it is, and a switch between the languages."""

from collections.abc import Mapping
from pathlib import Path

import gradio as gr

from studio.ui.i18n import COOKIE

_HERE = Path(__file__).parent


def header(languages: Mapping[str, str]) -> gr.HTML:
    """`languages` by code, each with its own name for itself; none where the language is forced."""
    return gr.HTML(
        html_template=(_HERE / "header.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "header.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        languages=dict(languages),
        cookie=COOKIE,
    )
