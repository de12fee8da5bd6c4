"""Gradio's controls as the tab of a live view uses them: named by their setting, found by live.js through their ids.

A label is the message `<view>.<key>` unless another is given.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from studio.ui.i18n import text


def control_id(view: str, key: str) -> str:
    return f"{view}-{key.replace('.', '-')}"


class Controls:
    """Makes the controls of one view and keeps them by their keys."""

    def __init__(self, view: str) -> None:
        self.view = view
        self.made: dict[str, gr.components.Component] = {}

    def slider(
        self, key: str, low: float, high: float, value: float, step: float, label: str = "", **more: Any
    ) -> gr.Slider:
        options = {"step": step, "buttons": [], "min_width": 140, **self._named(key, label), **more}
        return self._keep(key, gr.Slider(low, high, value, **options))

    def number(self, key: str, value: int, high: int, **more: Any) -> gr.Number:
        """A whole number from 0 to `high`."""
        limits = {"precision": 0, "minimum": 0, "maximum": high}
        return self._keep(key, gr.Number(value, min_width=120, **limits, **self._named(key), **more))

    def choice(self, key: str, value: str, values: list[str], **more: Any) -> gr.Radio:
        """One of a few; the message of each is `<view>.<key>_<value>`."""
        choices = [(text(f"{self.view}.{key}_{v}"), v) for v in values]
        return self._keep(key, gr.Radio(choices, value=value, elem_classes="choice", **self._named(key), **more))

    def lines(self, key: str, value: str, most: int, **more: Any) -> gr.Textbox:
        """A text of at most so many characters, on some lines."""
        return self._keep(key, gr.Textbox(value, lines=2, max_length=most, **self._named(key), **more))

    def menu(self, key: str, value: str, values: list[str], **more: Any) -> gr.Dropdown:
        chosen = value if value in values else None
        return self._keep(key, gr.Dropdown(values, value=chosen, **self._named(key), **more))

    def button(self, action: str, label: str = "", style: str = "quiet") -> gr.Button:
        """A button for an action of the view (see live.js)."""
        words, name = text(f"{self.view}.{label or action}"), control_id(self.view, action.replace("_", "-"))
        button = gr.Button(words, elem_id=name, elem_classes=style, size="sm", min_width=40)
        button.click(fn=None, js=f"() => atelier.live.{self.view}.actions.{action}()")
        return button

    def _named(self, key: str, label: str = "") -> dict[str, Any]:
        return {"label": text(f"{self.view}.{label or key}"), "elem_id": control_id(self.view, key)}

    def _keep(self, key: str, control: Any) -> Any:
        self.made[key] = control
        return control


def menu_follows(live: gr.HTML, menu: gr.components.Component, names: Callable[[], list[str]]) -> None:
    """Let a menu of models offer those that are installed when the view shows another model's picture."""

    def offered() -> Any:
        found = names()
        return gr.update(choices=found, visible=len(found) > 1)

    live.model(offered, outputs=menu, show_progress="hidden", api_visibility="private")


def say(tag: str, key: str, style: str = "") -> gr.HTML:
    """A message as an element of the page."""
    return translated(f'<{tag} class="{style}" data-t="{key}"></{tag}>')


def translated(markup: str) -> gr.HTML:
    """Markup whose data-t attributes are filled in (see page.js)."""
    return gr.HTML(markup, js_on_load="atelier.translate(element)", apply_default_css=False)
