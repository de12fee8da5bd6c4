"""Models: what is installed and what it can do; more from the Hub, the catalogue or a file; publishing one's own."""

from studio.adopt import SUFFIXES
from studio.publish import LICENCES
from studio.ui.components.workshop import workshop
from studio.ui.handlers.models import ModelsHandlers
from studio.ui.handlers.models_library import SEEDS
from studio.ui.services import Services

ORDER = 60
TITLE = "models.title"
# which the locales explain
CAPABILITIES = ("noise", "styles", "move", "paint", "fill", "translate", "detect", "enlarge")
ORIGINS = ("bundled", "hub", "trained", "imported", "file")
_PARTS = ("models", "models_installed", "models_add", "models_publish")


def build(services: Services) -> None:
    handlers = ModelsHandlers(services)
    workshop(
        "models", _PARTS, handlers.functions(),
        own=services.paths,
        seeds=SEEDS,
        licences=list(LICENCES),
        suffixes=list(SUFFIXES),
        max_bytes=services.desks.limits.file,
        capabilities=list(CAPABILITIES),
        origins=list(ORIGINS),
    )
