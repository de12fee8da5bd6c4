"""Explore: one picture under many controls; every control moves it at once."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.explore import TOOL, ExploreSettings
from studio.latent.directions import DIALS
from studio.seeds import MAX_SEED
from studio.ui.components.controls import Controls, say, translated
from studio.ui.components.live import connect, data_url, live_view
from studio.ui.components.sheet import Paged, sheet
from studio.ui.handlers.explore import SEEDS, ExploreHandlers
from studio.ui.i18n import text
from studio.ui.services import Services

ORDER = 10
TITLE = "explore.title"
_ACTIONS = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_KEYS = {  # as explore.js has them
    "R": "random", "← →": "seed", "E": "end", "X": "swap", "Space": "play", "D": "shuffle", "0": "reset", "B": "bookmark",
    "Z Y": "undo", "S O": "save",
}
_MOVEMENT = {"shift_right": (0.5, 0.01), "shift_down": (0.5, 0.01), "turn": (180, 1)}  # ends and step
_DIAL_KEYS = [f"dials.{i}" for i in range(DIALS)]


def build(services: Services) -> None:
    handlers, controls, defaults = ExploreHandlers(services), Controls(TOOL), services.opening()
    with gr.Row(elem_classes="desk"):
        with gr.Column(elem_classes="desk-picture", min_width=300):
            live = live_view(TOOL, defaults, [handlers.draw, handlers.save, handlers.open], _ACTIONS)
            sheet(TOOL, "strip", handlers.strip, "explore.strip_cell", ignored=["walk"])
        with gr.Column(elem_classes="desk-controls", min_width=300):
            about = _picture(controls, defaults, services.models("explore"))
            _walk(controls, defaults)
            _mix(controls, defaults)
            _dials(controls)
            _details(controls, defaults)
            _keyboard()
    say("h3", "explore.bookmarks", "sheet-heading")
    sheet(TOOL, "kept", handlers.kept, "explore.bookmark_cell", kept="bookmarks")
    say("h3", "explore.neighbours", "sheet-heading")
    pages = Paged("seed", SEEDS, MAX_SEED)
    sheet(TOOL, "grid", handlers.grid, "explore.grid_cell", ignored=["seed", "walk", "to_seed", "path"], paged=pages)

    connect(live, TOOL, controls.made, defaults)
    shown = ("label", *_MOVEMENT, *_DIAL_KEYS)
    described = [controls.made["model"], about, *(controls.made[key] for key in shown)]
    live.model(
        lambda model: _describe(handlers, model),
        inputs=controls.made["model"],
        outputs=described,
        show_progress="hidden",
        api_visibility="private",
    )
    gr.api(_endpoint(handlers), api_name="explore")


def _picture(controls: Controls, d: ExploreSettings, models: list[str]) -> gr.HTML:
    with gr.Group(elem_classes="card"):
        # a name that Gradio has not heard of may be a model that was trained a moment ago; draw refuses any other
        controls.menu("model", d.model, models, allow_custom_value=True)
        about = gr.HTML(elem_classes="about", apply_default_css=False)
        with gr.Row(elem_classes="seed-row"):
            controls.number("seed", d.seed, MAX_SEED)
            controls.button("previous")
            controls.button("random", style="lead")
            controls.button("next")
        controls.slider("psi", -1, 2, d.psi, 0.01, info=text("explore.psi_info"))
    return about


def _walk(controls: Controls, d: ExploreSettings) -> None:
    with gr.Group(elem_classes="card"):
        say("h3", "explore.walk_title")
        with gr.Row(elem_classes="seed-row"):
            controls.number("to_seed", d.to_seed, MAX_SEED)
            controls.button("random_end", "random")
            controls.button("swap")
            controls.button("play")
        controls.slider("walk", 0, 1, d.walk, 0.005)
        controls.choice("path", d.path, ["w", "z"])


def _mix(controls: Controls, d: ExploreSettings) -> None:
    with gr.Accordion(text("explore.mix_title"), open=False, elem_classes="card fold"):
        with gr.Row(elem_classes="seed-row"):
            controls.number("mix_seed", d.mix_seed, MAX_SEED)
            controls.button("random_mix", "random")
        for part in ("mix_coarse", "mix_middle", "mix_fine"):
            controls.slider(part, 0, 1, 0.0, 0.01)


def _dials(controls: Controls) -> None:
    with gr.Accordion(text("explore.dials_title"), open=True, elem_classes="card fold"):
        for key, (end, step) in _MOVEMENT.items():
            controls.slider(key, -end, end, 0.0, step, visible=False)
        say("p", "explore.dials_info")
        with gr.Row(elem_classes="dials"):
            for key in _DIAL_KEYS:
                controls.slider(key, -1, 1, 0.0, 0.02, "dial", visible=False)
        with gr.Row(elem_classes="button-row"):
            controls.button("shuffle_dials")
            controls.button("reset_dials")


def _details(controls: Controls, d: ExploreSettings) -> None:
    with gr.Accordion(text("explore.details_title"), open=False, elem_classes="card fold"):
        controls.choice("noise", d.noise, ["const", "random", "none"], info=text("explore.noise_info"))
        controls.slider("label", 0, 1, d.label, 1, visible=False)
        with gr.Row(elem_classes="button-row"):
            controls.button("reset")


def _keyboard() -> None:
    rows = "".join(f'<dt><kbd>{key}</kbd></dt><dd data-t="explore.key_{does}"></dd>' for key, does in _KEYS.items())
    with gr.Accordion(text("explore.keys_title"), open=False, elem_classes="card fold"):
        translated(f'<dl class="keys">{rows}</dl>')


def _describe(handlers: ExploreHandlers, model: Any) -> list[Any]:
    """What the controls show of a model: names, origin, classes, dials. The live view says what is wrong with it."""
    names, hidden = gr.update(choices=handlers.services.models("explore")), gr.update(visible=False)
    try:
        found = handlers.describe(model)
    except StudioError:
        return [names, "", hidden, *[hidden] * len(_MOVEMENT), *[hidden] * DIALS]
    labels = [text("explore.dial") + f" {i + 1} · {effect:.0%}" for i, effect in enumerate(found.effects)]
    dials = [gr.update(visible=True, label=label) for label in labels]
    classes = gr.update(visible=found.classes > 0, maximum=max(found.classes - 1, 1))
    moves = [gr.update(visible=found.movable)] * len(_MOVEMENT)
    return [names, html.escape(" · ".join(found.facts)), classes, *moves, *dials, *[hidden] * (DIALS - len(dials))]


def _endpoint(handlers: ExploreHandlers) -> Callable[[dict[str, Any]], str]:
    def explore(settings: dict[str, Any]) -> str:
        """A picture as a PNG data URL, its settings inside; settings that are not given have their defaults."""
        try:
            return data_url("png", handlers.png(ExploreSettings.from_dict(settings)))
        except StudioError as error:
            raise gr.Error(str(error)) from error

    return explore
