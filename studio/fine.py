"""Style transfer, slow and fine: a photo and up to four styles, optimised for minutes, to be watched and stopped.

What `studio/style.py` does in one pass, `studio/gatys.py` does by optimising the picture, at a bounded size; what a
larger photo shows beyond that is given to the painting as its detail. Sizes, masks, colours, profiles and depth are
treated alike.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.canvas import Canvas, Pixels, Scaled, Whole, Window, everything, floats, render
from studio.checkpoint import load_network
from studio.engine import Engine
from studio.gatys import FineSettings, Progress, level_sizes, optimise, recolour
from studio.library import BUNDLED
from studio.originals import mask_levels, paintable, paper_of, result_size, small_copy, with_alpha_of
from studio.painting import Underpainting
from studio.profiles import from_srgb
from studio.raster.opening import Picture
from studio.retouch import Regions, feather_px
from studio.scans import inside_margins
from studio.style import Stylist, check_counts
from studio.styling import Styled, StyleSettings

PERCEPTUAL = "vgg"
STYLE_SIDE = 2048  # px; longest side at which a style is looked at, that of the largest picture optimised


def paint_slowly(
    engine: Engine, content: Picture, styles: Sequence[Picture], settings: StyleSettings = StyleSettings(),
    fine: FineSettings = FineSettings(), *, masks: Sequence[Picture] | None = None, fit_masks: bool = False,
    model: str = "style", progress: Callable[[float], None] = lambda fraction: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Picture:
    """The painted photo, of the same format, profile, EXIF, depth and transparency, as `Stylist.stylize` gives it.

    Once `cancelled` says so, the best so far is the result. `model` is for fine.start "fast". Raises StudioError.
    """
    painting = SlowPainting(engine, content, styles, settings, fine, masks=masks, fit_masks=fit_masks, model=model)
    for step in painting:
        progress(step.fraction)
        if cancelled():
            break
    return painting.result()


class SlowPainting:
    """A painting being optimised: iterate to work on it, a step at a time; `result` is what there is so far.

        painting = SlowPainting(engine, photo, [style])
        for step in painting:  # to stop, leave the loop; to go on, iterate again
            show(step.picture, step.fraction)
        picture = painting.result()

    The device is taken for one step at a time. Raises StudioError, when made, for what does not fit together.
    """

    def __init__(
        self, engine: Engine, content: Picture, styles: Sequence[Picture], settings: StyleSettings = StyleSettings(),
        fine: FineSettings = FineSettings(), *, masks: Sequence[Picture] | None = None, fit_masks: bool = False,
        model: str = "style",
    ) -> None:
        check_counts(styles, settings, len(masks or ()))
        self.engine, self.settings, self.fine, self.model = engine, settings, fine, model
        self.content = paintable(content)
        self.size = result_size(self.content, settings.size)
        arrays = [mask_levels(mask, self.content, self.size, fit_masks) for mask in masks or ()]
        self.masks = _masks(arrays, settings.weights)
        self.best: Progress | None = None
        self._steps = self._work(styles)

    def __iter__(self) -> Iterator[Progress]:
        return self

    def __next__(self) -> Progress:
        """One step. Its picture is at the size being optimised, in the photo's own colour space."""
        # the engine's turns forbid gradients, which are what is wanted here
        with self.engine.turn(PERCEPTUAL), torch.inference_mode(False), torch.enable_grad():
            self.best = next(self._steps)
        return self.best

    def result(self) -> Picture:
        """The best so far, finished: at the photo's size and in its kind. Takes the first step if none was taken."""
        best = self.best or next(self)
        turn = lambda: self.engine.turn(PERCEPTUAL)
        with turn():
            photo = self._photo()
            painting: Canvas = Whole(best.picture.to(self.engine.device))
            if all(mine < wanted for mine, wanted in zip(painting.size, self.size)):
                painting = Underpainting(painting, photo, torch.eye(3, device=self.engine.device)[None])
            below = Pixels(self.content.pixels, self.engine.device)
            below = below if below.size == self.size else photo
            everywhere = np.max(self.masks, axis=0)[None] if self.masks else None
            regions = Regions(everywhere, feather_px(max(self.size))) if self.masks else None
            styled = Styled(below, (Scaled(painting, self.size),), self.settings, regions)

        def look(tile: Window) -> Tensor:
            with turn():
                return styled.look(tile).clamp(-1, 1)

        pixels = render(look, self.size, self.content.pixels.dtype)
        return dataclasses.replace(self.content, pixels=with_alpha_of(self.content, pixels))

    def _photo(self) -> Scaled:
        return Scaled(Pixels(self.content.pixels, self.engine.device, paper_of(self.content)), self.size)

    def _work(self, styles: Sequence[Picture]) -> Iterator[Progress]:
        """All of what takes long, from its first step on."""
        device = self.engine.device
        vgg = load_network(BUNDLED / PERCEPTUAL).to(device)
        photo = _everything(Scaled(self._photo(), level_sizes(self.size, self.fine.side)[-1]))
        looks = [_read(style, self.content.icc).to(device) for style in styles]
        if self.settings.keep_colour != "no":
            looks = [recolour(look, [photo], torch.ones(1, 1, device=device)) for look in looks]
        start = self._start(styles) if self.fine.start == "fast" else None
        masks = _levels(self.masks, photo.shape[2:])
        yield from optimise(
            vgg, photo, looks, self.fine, weights=self.settings.weights, stroke=self.settings.stroke, masks=masks,
            start=start,
        )

    def _start(self, styles: Sequence[Picture]) -> Tensor:
        """What the fast network paints all over the photo, small."""
        wish = self.settings.replace(strength=1.0, detail=0.0)
        small = Stylist(self.engine, self.model).preview(self.content, styles, wish)
        return floats(small, self.engine.device)


def _read(style: Picture, icc: bytes) -> Tensor:
    """A style [1, 3, h, w] in [-1, 1] in a profile's colours, without a scan's margins; white where transparent."""
    image = from_srgb(small_copy(style, STYLE_SIDE).rgb(), icc)
    return inside_margins(floats(np.array(image), torch.device("cpu")))


def _masks(masks: list[np.ndarray], weights: Sequence[float]) -> list[np.ndarray]:
    """Masks [H, W] uint8, each as strong as its style's weight beside the heaviest."""
    if len(masks) < 2 or not weights:
        return masks
    return [np.rint(mask * (weight / max(weights))).astype(np.uint8) for mask, weight in zip(masks, weights)]


def _levels(masks: Sequence[np.ndarray], size: Sequence[int]) -> Tensor | None:
    """[R, 1, h, w] from 0 to 1 at a size, or None without masks."""
    if not masks:
        return None
    parts = (torch.from_numpy(mask)[None, None] / 255 for mask in masks)
    return torch.cat([F.interpolate(part, size=tuple(size), mode="area") for part in parts])


def _everything(canvas: Canvas) -> Tensor:
    return canvas.look(everything(canvas))
