"""Style: the person's photo or film in the style of any painting, before and after in one place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.style import TOOL
from studio.styling import MAX_SIZE
from studio.ui.components.controls import Controls, menu_follows, say, translated
from studio.ui.components.live import connect, data_url
from studio.ui.components.palette import palette
from studio.ui.components.stage import stage
from studio.ui.handlers.style import UNCONTROLLED, StyleHandlers
from studio.ui.handlers.style_controls import StyleControls
from studio.ui.i18n import text
from studio.ui.services import Services

ORDER = 20
TITLE = "style.title"
_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_KEYS = {  # as style.js and stage.js have them
    "O": "open", "V": "peek", "M": "brush", "S": "make", "Z Y": "undo", "← →": "turn", "Ctrl V": "paste",
}


def build(services: Services) -> None:
    handlers, controls = StyleHandlers(services), Controls(TOOL)
    models = services.models("style")
    defaults = StyleControls() if not models or "style" in models else StyleControls(model=models[0])
    with gr.Row(elem_classes="desk desk-wide"):
        with gr.Column(elem_classes="desk-picture", min_width=300):
            live = stage(TOOL, defaults, handlers, UNCONTROLLED, _SCRIPT)
        with gr.Column(elem_classes="desk-controls", min_width=300):
            with gr.Group(elem_classes="card"):
                say("h3", "style.styles")
                palette(TOOL, handlers.presets)
            _painting(controls, defaults)
            _result(controls, defaults, models)
            _keyboard()
    connect(live, TOOL, controls.made, defaults, UNCONTROLLED)
    menu_follows(live, controls.made["model"], lambda: services.models("style"))
    gr.api(_endpoint(handlers), api_name="style")


def _painting(controls: Controls, d: StyleControls) -> None:
    with gr.Group(elem_classes="card"):
        controls.slider("strength", 0, 1, d.strength, 0.01)
        controls.slider("stroke", 0.25, 4, d.stroke, 0.05, info=text("style.stroke_info"))
        controls.slider("detail", 0, 1, d.detail, 0.01, info=text("style.detail_info"))
        controls.choice("keep_colour", d.keep_colour, ["no", "luminance", "histogram"])


def _result(controls: Controls, d: StyleControls, models: list[str]) -> None:
    with gr.Accordion(text("style.result_title"), open=True, elem_classes="card fold"):
        controls.choice("quality", d.quality, ["fast", "fine"], info=text("style.quality_info"))
        controls.slider("steps", 50, 1000, d.steps, 10, info=text("style.steps_info"))
        controls.choice("format", d.format, ["png", "jpeg", "tiff", "webp"])
        controls.number("size", d.size, MAX_SIZE, info=text("style.size_info"))
        controls.menu("model", d.model, models, visible=len(models) > 1, allow_custom_value=True)


def _keyboard() -> None:
    rows = "".join(f'<dt><kbd>{key}</kbd></dt><dd data-t="style.key_{does}"></dd>' for key, does in _KEYS.items())
    with gr.Accordion(text("explore.keys_title"), open=False, elem_classes="card fold"):
        translated(f'<dl class="keys">{rows}</dl>')


def _endpoint(handlers: StyleHandlers) -> Callable[[str, list[str], dict[str, Any]], str]:
    def style(photo: str, styles: list[str], settings: dict[str, Any]) -> str:
        """The photo in the styles as a PNG data URL, its settings inside.

        photo: a data URL or Base64. styles: up to four, each the same or the name of a preset. settings: strength,
        weights, stroke, detail, keep_colour, size; those that are not given have their defaults.
        """
        try:
            return data_url("png", handlers.png(photo, styles, settings))
        except StudioError as error:
            raise gr.Error(str(error)) from error

    return style
