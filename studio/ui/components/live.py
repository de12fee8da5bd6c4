"""The live view: a picture that follows the controls, past Gradio's queue.

In the browser (live.js) at most one request is under way and the newest settings win. On the server a request that a
newer one of the same page has overtaken while it waited for the device is dropped. Everything a request holds is the
page's word and is checked before use.
"""

import base64
import functools
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from studio.config import Config
from studio.errors import SettingError, StudioError

MAX_PAGES = 1024  # open pages whose newest request is remembered
MAX_FILE_BYTES = 32 << 20  # of a picture that is opened to restore its settings
_HERE = Path(__file__).parent
_PAGE = re.compile(r"[0-9a-f]{32}")
Answer = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a page asks: `page` is the name it gave itself, `n` counts its requests."""

    page: str
    n: int
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, data: Any) -> "Request":
        """Raises SettingError if the page's word has another form; the settings' values are still unchecked."""
        if isinstance(data, dict):
            page, n, settings = data.get("page"), data.get("n"), data.get("settings")
            good_page = isinstance(page, str) and _PAGE.fullmatch(page)
            if good_page and type(n) is int and 0 <= n < 2**53 and isinstance(settings, dict):
                return cls(page, n, settings)
        raise SettingError("the request is not of the form {page, n, settings}; reload the page")


class Newest:
    """The newest request of each page. Pages that were silent for longest are forgotten first."""

    def __init__(self, pages: int = MAX_PAGES) -> None:
        self._pages = pages
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._guard = threading.Lock()

    def arrive(self, request: Request) -> None:
        with self._guard:
            self._numbers[request.page] = max(request.n, self._numbers.pop(request.page, 0))
            while len(self._numbers) > self._pages:
                self._numbers.popitem(last=False)

    def overtaken(self, request: Request) -> bool:
        """Whether the page has asked for something newer since."""
        with self._guard:
            return self._numbers.get(request.page, 0) > request.n


def answering(ask: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    """A server function that answers a mendable error with its sentence, which the page shows in place."""

    @functools.wraps(ask)
    def answer(data: Any) -> Answer:
        try:
            return ask(data)
        except StudioError as error:
            return {"error": str(error)}

    return answer


def data_url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def control_keys(config: Config, uncontrolled: Iterable[str] = ()) -> list[str]:
    """One key for each control of the settings, in order; "dials.3" is the fourth number of the list "dials"."""
    keys = []
    for name, value in config.to_dict().items():
        if name in uncontrolled:
            continue
        keys += [f"{name}.{i}" for i in range(len(value))] if isinstance(value, list) else [name]
    return keys


def live_view(
    view: str,
    defaults: Config,
    server: Iterable[Callable[[Any], Answer]],
    script: str = "",
    template: Path = _HERE / "live.html",
    uncontrolled: Iterable[str] = (),
    **props: Any,
) -> gr.HTML:
    """The component. `server` are the functions draw, save and open; `script` runs after live.js, within it.

    `template`: other markup with the same roles. Settings in `uncontrolled` have no control of Gradio's: the
    script sets them. `props` are for the script. The page finds it as `atelier.live[view]`. Its event
    `controls` writes the settings to the controls; `model` says that the picture is the first of another
    model. `connect` it with the controls.
    """
    return gr.HTML(
        html_template=template.read_text(encoding="utf-8"),
        js_on_load=(_HERE / "live.js").read_text(encoding="utf-8") + script,
        apply_default_css=False,
        server_functions=[answering(ask) for ask in server],
        elem_id=f"live-{view}",
        view=view,
        defaults=defaults.to_dict(),
        max_file_bytes=MAX_FILE_BYTES,
        uncontrolled=list(uncontrolled),
        **props,
    )


def connect(
    live: gr.HTML,
    view: str,
    controls: Mapping[str, gr.components.Component],
    defaults: Config,
    uncontrolled: Iterable[str] = (),
) -> None:
    """Let the controls (by their keys) drive the view, and the view set the controls; both without the server."""
    ordered = [controls[key] for key in control_keys(defaults, uncontrolled)]
    gr.on(
        [control.change for control in ordered],
        fn=None,
        inputs=ordered,
        js=f"(...values) => atelier.live.{view}?.changed(values)",
    )
    live.controls(fn=None, outputs=ordered, js=f"() => atelier.live.{view}.written()")
