"""The stage: a live view of the person's own pictures and films, before and after,
with a mask and work that takes long.

Other tabs than style may use it: their settings hold `work` and `mask`, files on the desk by their hash, and
`at_s`, a time in a film; their script sets `hooks.labels` and `hooks.changed` (see stage.js). Their handlers
have the functions below.
"""

from pathlib import Path
from typing import Any, Protocol

import gradio as gr

from studio.config import Config
from studio.ui.components.live import Answer, live_view

MAX_BATCH = 500  # pictures that are done in one go
ACCEPT = "image/*,video/*,.mkv,.zip"
_HERE = Path(__file__).parent


class StageHandlers(Protocol):
    """What the page may ask.

    Each takes what the page sent and may raise StudioError; `desk` is the page's secret name.
    """

    max_bytes: int  # of one file

    def draw(self, data: Any) -> Answer:
        """{picture, before?} of the settings; {"empty": True} without a work, {"missing": [files]}, {"stale": True}.

        `before` is {key, picture, name, kind, width, height, seconds}, given where data["has"] is another key.
        """
        ...

    def receive(self, data: Any) -> Answer:
        """A piece of a file; to the last one, its info: {id, name, kind, thumb, width, height ...}."""
        ...

    def look(self, data: Any) -> Answer:
        """{"files": infos, "missing": hashes} of data["files"]."""
        ...

    def start(self, data: Any) -> Answer:
        """Begin the work that the settings ask for; answers as watch."""
        ...

    def watch(self, data: Any) -> Answer: ...

    def stop(self, data: Any) -> Answer: ...

    def take(self, data: Any) -> Answer:
        """A piece of a file on its way to the person."""
        ...

    def sample(self, data: Any) -> Answer:
        """{picture, name} to try the tab with."""
        ...


def stage(
    view: str, defaults: Config, handlers: StageHandlers, uncontrolled: list[str], script: str, *,
    accept: str = ACCEPT, more: tuple[str, ...] = (), **props: Any,
) -> gr.HTML:
    """The component; `connect` it with the controls as any live view. `script` runs after stage.js, within it.

    more: names of further functions of the handlers that the script calls. props are for the scripts; of them the brush
    takes `grid_px`, the longest side of a mask, and `white`: masks are black and white, for there is one label.
    """
    names = ("draw", "receive", "look", "start", "watch", "stop", "take", "sample", *more)
    return live_view(
        view,
        defaults,
        [getattr(handlers, name) for name in names],
        (_HERE / "stage.js").read_text(encoding="utf-8") + script,
        template=_HERE / "stage.html",
        uncontrolled=uncontrolled,
        max_bytes=handlers.max_bytes,
        max_batch=MAX_BATCH,
        accept=accept,
        **props,
    )
