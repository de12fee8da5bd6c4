"""Repair: a picture and a mask in, a layer out that lies over the picture and touches nothing else.

The fill is reckoned in the picture's own numbers: an Adobe RGB scan stays one, and 16 bits stay 16 bits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from studio.canvas import Pixels
from studio.capabilities import DamageDetector, Inpainter, require
from studio.community import Networks, public_name
from studio.compositing import MAX_FEATHER
from studio.config import Config, setting
from studio.engine import Engine, LoadedModel
from studio.errors import ImageError, UnknownName, stop_if
from studio.exemplars import exemplars
from studio.fills import FILLS, Fill
from studio.grain import with_grain
from studio.holes import fill_again, fill_holes
from studio.layers import Layer, Treatment, make_layer
from studio.masks import MAX_GROWTH, check_fillable, grown, opened
from studio.models.inpaint import WIDE
from studio.originals import CPU, paper_of
from studio.padding import padded
from studio.provenance import ENHANCED, PARTLY_GENERATED, Provenance
from studio.raster.labels import Labels
from studio.raster.opening import Picture
from studio.suggestion import Suggestion, detect

TOOL = "restore"
NETWORK, AUTO, PATCHES = "network", "auto", "patches"
BY_NETWORK = (AUTO, NETWORK)
CLASSICAL = tuple(FILLS.names())
MIN_SIDE = 64  # px; a network sees no less, be the picture smaller


@dataclass(frozen=True)
class RestoreSettings(Config):
    """What the restore tab's controls say of one fill."""

    method: str = setting(
        AUTO, "auto: the network, and in holes too wide for it the grain of the same picture; or one of these alone",
        choices=[AUTO, NETWORK, *CLASSICAL],
    )
    grow: int = setting(
        0, "how far the mask is grown; shrunk if below 0", low=-MAX_GROWTH, high=MAX_GROWTH, unit="px"
    )
    feather: int = setting(
        0, "how far a fill fades in within the mask, for masks that reach beyond the damage", low=0, high=MAX_FEATHER,
        unit="px",
    )


class Restorer:
    """Suggests and fills. Both models are names in the engine's library, or paths of the community's files."""

    def __init__(self, engine: Engine, model: str | Path = "inpaint", detector: str | Path = "damage") -> None:
        self.engine, self.model, self.detector = engine, model, detector
        self._networks = Networks(engine)

    def check(self, settings: RestoreSettings = RestoreSettings()) -> None:
        """Load what the settings need. Raises StudioError for a model that is missing, damaged or of another kind."""
        if settings.method in BY_NETWORK:
            self._inpainter()

    def check_detector(self) -> None:
        """As `check`, for what suggests."""
        self._detector()

    def suggest(
        self, picture: Picture, *, progress: Callable[[float], None] = lambda fraction: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Suggestion:
        """Where a picture may be damaged. Raises StudioError; Cancelled once `cancelled` says so."""
        model = self._detector()
        each = meter(picture.pixels.shape[0] * picture.pixels.shape[1], progress, cancelled)
        detector = require(model.network, DamageDetector, model.name, "suggesting damage")
        canvas = Pixels(picture.pixels, self.engine.device, paper_of(picture))
        return detect(canvas, _InTurns(detector, self.engine, model.name), each)

    def fill(
        self, picture: Picture, mask: np.ndarray, settings: RestoreSettings = RestoreSettings(), *,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
    ) -> Layer:
        """A layer over a picture that fills a mask [H, W] bool, grown as the settings say.

        progress hears fractions from 0 to 1. Raises StudioError, for an empty mask and for one of everything too;
        Cancelled once `cancelled` says so.
        """
        if mask.shape != picture.pixels.shape[:2]:
            sizes = "the mask has {1} x {0} px and the picture {2} x {3}".format(*mask.shape, *picture.size)
            raise ImageError(f"{sizes}; make them the same")
        area = grown(mask, settings.grow)
        if not area.any():
            raise ImageError("the mask is empty (0 px): there is nothing to restore; paint what is to be filled")
        check_fillable(area)
        stopping = partial(stop_if, cancelled)
        made: dict[str, Any] = {**settings.to_dict(), "area_px": int(area.sum())}
        soft: np.ndarray | None = None  # where the fill wants grain
        if settings.method in BY_NETWORK:
            model = self._inpainter()
            fill, device = self._by_network(model), self.engine.device
            if settings.method == AUTO and getattr(model.network, "narrow", False):
                soft = opened(area, WIDE)
                made["grain_px"] = int(soft.sum())
            made |= {"model": public_name(model), "model_sha256": model.info.sha256, "licence": model.info.licence}
        elif settings.method == PATCHES:
            fill, device = partial(exemplars, each=stopping), CPU
        else:
            fill, device = FILLS.get(settings.method), CPU
        canvas = Pixels(picture.pixels, device, paper_of(picture))
        each = meter(int(area.sum()) + made.get("grain_px", 0), progress, cancelled)
        filled = fill_holes(canvas, area, fill, each)
        if soft is not None and soft.any():
            filled = fill_again(canvas, area, filled, soft, partial(with_grain, each=stopping), each)
        return make_layer(picture, area, filled, settings.feather, made)

    def _inpainter(self) -> LoadedModel:
        try:
            with self._networks.use(self.model) as model:
                require(model.network, Inpainter, model.name, TOOL)
                return model
        except UnknownName as error:
            raise UnknownName(f"{error}; or fill without one: --method {'|'.join(CLASSICAL)}") from error

    def _detector(self) -> LoadedModel:
        try:
            with self._networks.use(self.detector) as model:
                require(model.network, DamageDetector, model.name, "suggesting damage")
                return model
        except UnknownName as error:
            raise UnknownName(f"{error}; or give a mask of your own: --mask FILE") from error

    def _by_network(self, model: LoadedModel) -> Fill:
        network = require(model.network, Inpainter, model.name, TOOL)

        def fill(picture: Tensor, mask: Tensor) -> Tensor:
            height, width = picture.shape[2:]
            with self.engine.turn(model.name):
                holes = padded(mask.to(picture.dtype), network.multiple, MIN_SIDE)
                found = network.fill(padded(picture, network.multiple, MIN_SIDE), holes)
            return found[:, :, :height, :width]

        return fill


@dataclass(frozen=True)
class _InTurns:
    """A detector that takes the device for one tile at a time, so that others are served in between."""

    detector: DamageDetector
    engine: Engine
    name: str

    @property
    def classes(self) -> tuple[str, ...]:
        return self.detector.classes

    def detect(self, pictures: Tensor) -> Tensor:
        with self.engine.turn(self.name):
            return self.detector.detect(pictures)


def provenance(treatment: Treatment, shown: Mapping[str, Any] | None = None) -> Provenance:
    """What made a treated picture: what made each visible layer. `shown` are settings of how they are drawn."""
    layers = [dict(layer.made) for layer in treatment.layers if not layer.hidden]
    by_network = [made for made in layers if made.get("model")]
    last: Mapping[str, Any] = by_network[-1] if by_network else {}
    return Provenance(
        tool=TOOL, model=last.get("model", ""), model_sha256=last.get("model_sha256", ""),
        settings={"layers": layers, **(shown or {})},
    )


def labels(made: Provenance) -> Labels:
    """To be written into a treated picture's file, which is generated in parts, or mended by rules alone."""
    return made.labels(PARTLY_GENERATED if made.model else ENHANCED)


def meter(
    total: int, progress: Callable[[float], None], cancelled: Callable[[], bool]
) -> Callable[[int], None]:
    """Counts what was done of `total`, says so, and stops the work where that was asked."""
    done = 0

    def each(part: int) -> None:
        nonlocal done
        done += part
        progress(done / total)
        stop_if(cancelled)

    return each
