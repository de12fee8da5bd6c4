"""The palette: the styles of a live view and their weights, from presets or from the person's own pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui.components.live import Answer, answering

_HERE = Path(__file__).parent


def palette(view: str, presets: Callable[[Any], Answer]) -> gr.HTML:
    """The component, for a view whose settings hold `styles` and `weights`.

    `presets` answers {"presets": [{name, picture}]}; the message `style.preset_<name>` says what each of them is.
    """
    return gr.HTML(
        html_template=(_HERE / "palette.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "palette.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        server_functions=[answering(presets)],
        elem_id=f"palette-{view}",
        view=view,
    )
