"""Pictures of one kind turned into another, by networks that were trained to: CycleGAN, CUT and pix2pix from files.

Such a network normalises a picture as a whole: tiles of one would not fit together. So it is shown the picture in one
piece, not larger than `side`, and what it makes is brought to the picture's own size.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch

from studio.canvas import Pixels, Scaled, Whole, everything, render
from studio.capabilities import Translator, require
from studio.config import Config, setting
from studio.engine import Engine
from studio.errors import stop_if
from studio.originals import paintable, paper_of, result_size, with_alpha_of
from studio.padding import padded
from studio.provenance import Provenance
from studio.raster.opening import Picture

TOOL = "translate"
MIN_SIDE = 64  # px; a smaller picture is shown with its mirror image around it


@dataclass(frozen=True)
class TranslateSettings(Config):
    """How a picture is shown to the network."""

    side: int = setting(
        1024, "longest side at which the network is shown a larger picture: a smaller one makes larger shapes", low=64,
        high=2048, unit="px",
    )


class PictureTranslator:
    """Translates with one model of the engine's library. Safe to call from several threads."""

    def __init__(self, engine: Engine, model: str) -> None:
        self.engine, self.model = engine, model

    def check(self) -> None:
        """Load the model. Raises StudioError for one that is missing, damaged or of another kind."""
        with self.engine.use(self.model) as model:
            require(model.network, Translator, model.name, TOOL)

    def translate(
        self, picture: Picture, settings: TranslateSettings = TranslateSettings(), *,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
    ) -> Picture:
        """The translated picture, of the same size, format, profile, EXIF, depth and transparency, in colours.

        progress hears fractions from 0 to 1. Raises StudioError; Cancelled once `cancelled` says so.
        """
        picture = paintable(picture)
        size = result_size(picture, None)
        shown = result_size(picture, min(settings.side, max(size)))
        canvas = Scaled(Pixels(picture.pixels, self.engine.device, paper_of(picture)), shown)
        stop_if(cancelled)
        with self.engine.use(self.model) as model, torch.inference_mode():
            network = require(model.network, Translator, model.name, TOOL)
            x = padded(canvas.look(everything(canvas)), network.multiple, MIN_SIDE)
            made = Whole(network.translate(x)[:, :, : shown[0], : shown[1]])
        stop_if(cancelled)
        progress(0.9)
        pixels = render(Scaled(made, size).look, size, picture.pixels.dtype)
        progress(1.0)
        return dataclasses.replace(picture, pixels=with_alpha_of(picture, pixels))

    def provenance(self, settings: TranslateSettings) -> Provenance:
        """What made a picture, to be written into its file. Raises StudioError as `check` does."""
        with self.engine.use(self.model) as model:
            require(model.network, Translator, model.name, TOOL)
            return Provenance(
                tool=TOOL, model=model.name, model_sha256=model.info.sha256,
                settings={**settings.to_dict(), "licence": model.info.licence},
            )
