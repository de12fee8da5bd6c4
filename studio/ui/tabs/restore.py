"""Restore: damage suggested or painted, and filled in layers over an original that is never altered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.formats.spandrel import SUFFIXES
from studio.restore import AUTO, NETWORK, TOOL
from studio.session import SUFFIX
from studio.ui.components.controls import Controls, menu_follows, say, translated
from studio.ui.components.live import connect, data_url
from studio.ui.components.stage import stage
from studio.ui.handlers.restore import UNCONTROLLED, RestoreHandlers
from studio.ui.handlers.restore_controls import FORMATS, MAX_NOTE, SCALES, RestoreControls
from studio.ui.i18n import text
from studio.ui.services import Services

ORDER = 30
TITLE = "restore.title"
_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_GRID_PX = 4096  # longest side of a mask; larger pictures get a coarser one
_METHODS = ("biharmonic", "patches", "ns", "telea")  # without a network, the best first
_KEYS = {  # as restore.js, brush.js and stage.js have them
    "O": "open", "D": "suggest", "M": "brush", "F": "fill", "V": "peek", "+ − 0": "zoom", "S": "save", "Z Y": "undo",
    "← →": "turn",
    "B R P": "shapes", "E": "erase", "[ ]": "size", "G H": "grow",
}


def build(services: Services) -> None:
    handlers, controls = RestoreHandlers(services), Controls(TOOL)
    networks = services.models("inpaint")
    defaults = RestoreControls() if networks else RestoreControls(method=_METHODS[0])
    if networks and defaults.model not in networks:
        defaults = defaults.replace(model=networks[0])
    tasks = {"fills": "inpaint", "finds": "damage", "enlarges": "upscale"}
    has = {does: bool(services.models(task)) for does, task in tasks.items()}
    with gr.Row(elem_classes="desk desk-wide"):
        with gr.Column(elem_classes="desk-picture", min_width=300):
            live = stage(
                TOOL, defaults, handlers, UNCONTROLLED, _SCRIPT, accept=f"image/*,.zip,{SUFFIX}",
                more=("propose", "adopt", "layers", "networks", "choose"), grid_px=_GRID_PX, white=True, has=has,
                classical=_METHODS[0], weights=list(SUFFIXES),
            )
        with gr.Column(elem_classes="desk-controls", min_width=300):
            _fill(controls, defaults, networks)
            _fills()
            _result(controls, defaults)
            _enlarge(controls, defaults, has["enlarges"])
            _keyboard()
    connect(live, TOOL, controls.made, defaults, UNCONTROLLED)
    menu_follows(live, controls.made["model"], lambda: services.models("inpaint"))
    gr.api(_endpoint(handlers), api_name="restore")


def _fill(controls: Controls, d: RestoreControls, networks: list[str]) -> None:
    with gr.Group(elem_classes="card"):
        say("h3", "restore.fill_title")
        if not networks:
            say("p", "restore.no_network", "no-network")
        controls.menu("model", d.model, networks, visible=len(networks) > 1, allow_custom_value=True)
        controls.choice("method", d.method, [AUTO, NETWORK, *_METHODS], info=text("restore.method_info"))
        controls.slider("grow", -8, 16, d.grow, 1, info=text("restore.grow_info"))
        controls.slider("feather", 0, 16, d.feather, 1, info=text("restore.feather_info"))
        _brought(controls, "fills")


def _brought(controls: Controls, does: str) -> None:
    """The place of a network that the person brings as a file, or chooses among those that are installed as such."""
    _installed(does)
    translated(f'<p class="network-brought" data-does="{does}" hidden></p>')
    with gr.Row(elem_classes="button-row"):
        controls.button(f"network_{does}", "network")


def _fills() -> None:
    with gr.Group(elem_classes="card"):
        say("h3", "restore.fills")
        translated('<ol class="fills" reversed></ol><p class="fills-none" data-t="restore.fills_none"></p>')


def _result(controls: Controls, d: RestoreControls) -> None:
    with gr.Accordion(text("restore.result_title"), open=True, elem_classes="card fold"):
        controls.choice("format", d.format, list(FORMATS))
        controls.choice("strokes", d.strokes, ["no", "yes"], info=text("restore.strokes_info"))
        controls.lines("note", d.note, MAX_NOTE, info=text("restore.note_info"))
        with gr.Row(elem_classes="button-row"):
            for action in ("layers", "report", "session"):
                controls.button(action)


def _enlarge(controls: Controls, d: RestoreControls, installed: bool) -> None:
    with gr.Accordion(text("restore.enlarge_title"), open=False, elem_classes="card fold"):
        if not installed:
            say("p", "restore.no_enlarger", "no-enlarger")
        controls.choice("scale", d.scale, list(SCALES))
        controls.slider("noise", 0, 1, d.noise, 0.01, info=text("restore.noise_info"))
        with gr.Row(elem_classes="button-row"):
            controls.button("enlarge")
            controls.button("network_enlarges", "network")
        _installed("enlarges")
        translated('<p class="network-brought" data-does="enlarges" hidden></p>')


def _installed(does: str) -> None:
    translated(
        f'<label class="networks" data-does="{does}" hidden><span data-t="restore.installed_networks"></span>'
        "<select></select></label>"
    )


def _keyboard() -> None:
    rows = "".join(f'<dt><kbd>{key}</kbd></dt><dd data-t="restore.key_{does}"></dd>' for key, does in _KEYS.items())
    with gr.Accordion(text("explore.keys_title"), open=False, elem_classes="card fold"):
        translated(f'<dl class="keys">{rows}</dl>')


def _endpoint(handlers: RestoreHandlers) -> Callable[[str, str, dict[str, Any]], str]:
    def restore(picture: str, mask: str, settings: dict[str, Any]) -> str:
        """The picture, filled where the mask says so and untouched elsewhere, as a PNG data URL, its settings inside.

        picture: a data URL or Base64. mask: the same, white where it is to be filled; or "auto": what looks damaged.
        settings: model, method, grow, feather, strokes, threshold; those that are not given have their defaults.
        """
        try:
            return data_url("png", handlers.png(picture, mask, settings))
        except StudioError as error:
            raise gr.Error(str(error)) from error

    return restore
