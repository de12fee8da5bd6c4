"""Models: what is installed and what it can do; more from the Hub, the catalogue or a file; publishing one's own."""

from pathlib import Path

import gradio as gr

from studio.adopt import SUFFIXES
from studio.publish import LICENCES
from studio.ui.components.live import answering
from studio.ui.handlers.models import ModelsHandlers
from studio.ui.handlers.models_library import SEEDS
from studio.ui.services import Services

ORDER = 60
TITLE = "models.title"
# which the locales explain
CAPABILITIES = ("noise", "styles", "move", "paint", "fill", "translate", "detect", "enlarge")
ORIGINS = ("bundled", "hub", "trained", "imported", "file")
_HERE = Path(__file__).parent
_PARTS = ("models", "models_installed", "models_add", "models_publish")


def build(services: Services) -> None:
    handlers = ModelsHandlers(services)
    gr.HTML(
        html_template=(_HERE / "models.html").read_text(encoding="utf-8"),
        js_on_load="".join((_HERE / f"{part}.js").read_text(encoding="utf-8") for part in _PARTS),
        apply_default_css=False,
        server_functions=[answering(ask) for ask in handlers.functions()],
        elem_id="models",
        own=services.paths,
        seeds=SEEDS,
        licences=list(LICENCES),
        suffixes=list(SUFFIXES),
        max_bytes=services.desks.limits.file,
        capabilities=list(CAPABILITIES),
        origins=list(ORIGINS),
    )
