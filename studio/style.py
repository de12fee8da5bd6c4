"""Style transfer: a photo and up to four styles in, the painted photo out, at any size and in the photo's own kind.

A photo is painted in its own numbers: an Adobe RGB photo stays one, and 16 bits stay 16 bits. The styles are brought
into the photo's colour space instead.
"""

import dataclasses
import hashlib
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio.canvas import Canvas, Pixels, Scaled, Whole, Window, everything, floats, levels, render
from studio.capabilities import Styler, require
from studio.engine import Engine
from studio.errors import SettingError, stop_if
from studio.models.style import StyleCode, blend
from studio.originals import mask_levels, paintable, paper_of, read_style, result_size, small_copy, with_alpha_of
from studio.painting import Painter
from studio.provenance import Provenance
from studio.raster.opening import Picture
from studio.recent import Recent
from studio.retouch import Regions, feather_px
from studio.styling import MAX_STYLES, Styled, StyleSettings, Styling

TOOL = "style"
TILE = 896  # px; of what is looked at together: 24 megapixels are painted within 2 GB
PREVIEW_SIDE = 640
CACHED_CODES, CACHED_PREVIEWS = 64, 8


class Stylist:
    """Paints with one model. Remembers styles, and what previews are made of. Safe to call from several threads."""

    def __init__(self, engine: Engine, model: str = "style") -> None:
        self.engine, self.model = engine, model
        self._codes: Recent[StyleCode] = Recent(CACHED_CODES)
        self._photos: Recent[Picture] = Recent(CACHED_PREVIEWS)
        self._paintings: Recent[Canvas] = Recent(CACHED_PREVIEWS)
        self._hashes: weakref.WeakKeyDictionary[Picture, str] = weakref.WeakKeyDictionary()

    def check(self) -> None:
        """Load the model. Raises StudioError for one that is missing, damaged or of another kind."""
        with self.engine.use(self.model) as model:
            require(model.network, Styler, model.name, TOOL)

    def code(self, style: Picture, stroke: float = 1.0, icc: bytes = b"") -> StyleCode:
        """What the model reads from a style, at the scale that the strokes' size asks for, in a profile's colours."""
        with self.engine.use(self.model) as model:
            network = require(model.network, Styler, model.name, TOOL)
            key = (model.info.sha256, self._hash(style), stroke, icc)
            return self._codes.get(key, lambda: network.encode(read_style(style, stroke, icc).to(model.device)))

    def styling(
        self, size: tuple[int, int], styles: Sequence[Picture], settings: StyleSettings, *,
        masks: Sequence[np.ndarray] = (), icc: bytes = b"",
    ) -> Styling:
        """How pictures of one (height, width) are painted, whose colours have the profile `icc`: for a film's frames.

        masks: [H, W] uint8 of that size; none, one for all, or one for each style. Raises StudioError.
        """
        check_counts(styles, settings, len(masks))
        codes = [self.code(style, settings.stroke, icc) for style in styles]
        weights = torch.tensor(settings.weights or (1.0,) * len(styles))
        if len(masks) > 1:
            shares = (255 * weights / weights.max()).round().int().tolist()
            scaled = lambda mask, share: ((mask.astype(np.uint16) * share + 127) // 255).astype(np.uint8)
            masks = list(map(scaled, masks, shares))
        else:
            together = StyleCode(*(torch.cat(parts) for parts in zip(*map(_parts, codes))))
            codes = [blend(together, weights.to(together.texture.device))]
        with self.engine.use(self.model) as model:
            network, keep = model.network, settings.keep_colour != "no"
            painters = tuple(Painter(network, code, size, settings.stroke, keep) for code in codes)
        return Styling(painters, settings, Regions(np.stack(masks), feather_px(max(size))) if len(masks) else None)

    def stylize(
        self, content: Picture, styles: Sequence[Picture], settings: StyleSettings = StyleSettings(), *,
        masks: Sequence[Picture] | None = None, fit_masks: bool = False,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
    ) -> Picture:
        """The painted photo, of the same format, profile, EXIF, depth and transparency.

        masks: white is painted, black stays as it is, byte for byte; one for all the styles or one for each. A mask
        of another size is stretched if `fit_masks`, and otherwise an error. progress hears fractions from 0 to 1.
        Raises StudioError; Cancelled once `cancelled` says so.
        """
        check_counts(styles, settings, len(masks or ()))
        content = paintable(content)
        size = result_size(content, settings.size)
        arrays = [mask_levels(mask, content, size, fit_masks) for mask in masks or ()]
        styling = self.styling(size, styles, settings, masks=arrays, icc=content.icc)
        total, done = styling.early_pixels + size[0] * size[1], 0

        def each(pixels: int) -> None:
            nonlocal done
            done += pixels
            progress(done / total)
            stop_if(cancelled)

        turn = lambda: self.engine.turn(self.model)
        photo = Scaled(Pixels(content.pixels, self.engine.device, paper_of(content)), size)
        below = Pixels(content.pixels, self.engine.device)
        styled, _ = styling.paint(photo, below=below if below.size == size else photo, turn=turn, each=each)

        def look(tile: Window) -> Tensor:
            with turn():
                part = styled.look(tile)
            each(tile.height * tile.width)
            return part

        pixels = render(look, size, content.pixels.dtype, TILE)
        return dataclasses.replace(content, pixels=with_alpha_of(content, pixels))

    def preview(
        self, content: Picture, styles: Sequence[Picture], settings: StyleSettings = StyleSettings(), *,
        masks: Sequence[Picture] | None = None,
    ) -> np.ndarray:
        """What `stylize` would give, small: [H, W, 3] uint8 sRGB over white, longest side at most PREVIEW_SIDE px.

        Paintings are remembered: another strength, detail or mask of the same ones takes a few milliseconds. Masks of
        any size are stretched.
        """
        check_counts(styles, settings, len(masks or ()))
        side = min(max(result_size(content, settings.size)), PREVIEW_SIDE)
        where = (self._hash(content), side)
        small = self._photos.get(where, lambda: small_copy(content, side))
        size = small.pixels.shape[:2]
        arrays = [mask_levels(mask, small, size, fit=True) for mask in masks or ()]
        styling = self.styling(size, styles, settings, masks=arrays)
        photo = Pixels(small.pixels, self.engine.device, paper_of(small))
        with self.engine.use(self.model) as model:
            made = (model.info.sha256, settings.stroke, settings.keep_colour != "no")
            names = [self._hash(style) for style in styles]
            mixes = [(name,) for name in names] if len(arrays) > 1 else [(*names, *settings.weights)]
            paintings = tuple(
                self._paintings.get((*where, *made, *mix), lambda p=painter: _painted(p, photo))
                for mix, painter in zip(mixes, styling.painters)
            )
            styled = Styled(Pixels(small.pixels, self.engine.device), paintings, settings, styling.regions)
            x = styled.look(everything(styled))
            if small.has_alpha:
                alpha = (floats(small.pixels[..., -1:], x.device) + 1) / 2
                x = x * alpha + (1 - alpha)
            return levels(x, np.uint8)

    def provenance(self, settings: StyleSettings, styles: Sequence[tuple[str, str]]) -> Provenance:
        """What made a picture, to be written into its file. styles: each one's file name and SHA-256."""
        model = os.path.basename(os.path.abspath(self.engine.library.find(self.model)))  # paths tell of their owner
        values = provenance_settings(settings, styles)
        return Provenance(tool=TOOL, model=model, model_sha256=self.engine.info(self.model).sha256, settings=values)

    def _hash(self, picture: Picture) -> str:
        if picture not in self._hashes:
            digest = hashlib.blake2b(repr((picture.pixels.shape, picture.pixels.dtype, picture.icc)).encode())
            digest.update(np.ascontiguousarray(picture.pixels))
            self._hashes[picture] = digest.hexdigest()
        return self._hashes[picture]


def provenance_settings(settings: StyleSettings, styles: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Every control of the tool as JSON values; of the styles' names, nothing of the folders that they lie in."""
    used = [{"name": os.path.basename(name), "sha256": sha256} for name, sha256 in styles]
    return {**settings.to_dict(), "styles": used}


def read_provenance(made: Provenance) -> tuple[StyleSettings, list[tuple[str, str]]]:
    """The settings of a picture that `stylize` made, and its styles' names and SHA-256. Raises SettingError."""
    values = dict(made.settings)
    styles = values.pop("styles", [])
    values.pop("fine", None)  # how it was optimised, if it was
    try:
        return StyleSettings.from_dict(values), [(str(style["name"]), str(style["sha256"])) for style in styles]
    except (TypeError, KeyError):
        raise SettingError("the picture's styles cannot be read; choose them by hand") from None


def check_counts(styles: Sequence[object], settings: StyleSettings, masks: int) -> None:
    """Raises SettingError unless there are styles, at most MAX_STYLES, and none or as many weights and masks."""
    if not 1 <= len(styles) <= MAX_STYLES:
        raise SettingError(f"{len(styles)} styles; choose 1 to {MAX_STYLES}")
    if settings.weights and len(settings.weights) != len(styles):
        counts = f"{len(settings.weights)} weights do not fit {len(styles)} styles"
        raise SettingError(f"{counts}; give one for each, or none")
    if masks not in (0, 1, len(styles)):
        raise SettingError(f"{masks} masks do not fit {len(styles)} styles; give one for all, or one for each")


def _parts(code: StyleCode) -> tuple[Tensor, Tensor, Tensor]:
    return code.mean, code.root, code.texture


def _painted(painter: Painter, photo: Canvas) -> Whole:
    canvas, _ = painter.paint(photo)
    return Whole(canvas.look(everything(canvas)))
