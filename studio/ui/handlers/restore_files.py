"""The restore tab's files on a desk: originals, masks, layers and proposals, written and read back.

A layer is a PNG of its fill, of the original's depth; a proposal a PNG of how likely each kind of damage is, one
below the other. What they are stands in a text within them. A page may send them again: they are a stranger's.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from studio.counterparts import opened
from studio.errors import ImageError
from studio.images import encode, open_picture
from studio.layers import Layer, Treatment
from studio.masks import THRESHOLD
from studio.originals import mask_levels
from studio.raster.labels import Labels, read_labels
from studio.raster.opening import Picture
from studio.raster.untrusted import MAX_PIXELS
from studio.suggestion import Suggestion
from studio.ui.desks import Desks, Kept
from studio.ui.handlers.restore_controls import RestoreControls
from studio.ui.shelf import called

LAYER, PROPOSAL = "atelier-layer", "atelier-proposal"  # of the texts
MAX_TEXT = 64 << 10
MAX_KINDS = 16


def open_original(kept: Kept) -> Picture:
    """Raises ImageError, also for a file of several pages or frames."""
    with called(kept) as path:
        return opened(path)


def treatment_of(desks: Desks, desk: str, controls: RestoreControls) -> Treatment:
    """The picture with its layers, without the mask. Raises MissingFile, ImageError."""
    original = open_original(desks.find(desk, controls.work))
    hidden = set(controls.hidden)
    layers = [read_layer(desks.find(desk, name), original, name in hidden) for name in controls.stack]
    return Treatment(original, tuple(layers))


def read_mask_of(desks: Desks, desk: str, file: str, picture: Picture) -> np.ndarray:
    """A mask [H, W] bool of the picture's size, scaled where it is of another one; none without a file.

    Raises MissingFile, and ImageError for one of another shape.
    """
    height, width = picture.pixels.shape[:2]
    if not file:
        return np.zeros((height, width), bool)
    kept = desks.find(desk, file)
    with called(kept) as path:
        mask = open_picture(path)
    wide, high = mask.size
    if abs(wide * height - high * width) > max(wide, high, width, height):  # more than rounding makes of one shape
        sizes = f"the mask has {wide} x {high} px and the picture {width} x {height}"
        raise ImageError(f"{sizes}, which is another shape; save the mask at the picture's size")
    return mask_levels(mask, picture, (height, width), fit=True) >= THRESHOLD


def encode_layer(layer: Layer) -> bytes:
    """A layer as a file, which `read_layer` gives back as it was."""
    facts = {"top": layer.top, "left": layer.left, "made": dict(layer.made)}
    return _encode(layer.pixels, LAYER, facts)


def read_layer(kept: Kept, original: Picture, hidden: bool = False) -> Layer:
    """Raises ImageError for a file that is no layer of that picture."""
    pixels, facts = _read(kept, LAYER)
    top, left, made = facts.get("top"), facts.get("left"), facts.get("made")
    whole = original.pixels
    good = type(top) is int and type(left) is int and isinstance(made, dict)
    good = good and 0 <= top <= whole.shape[0] - pixels.shape[0] and 0 <= left <= whole.shape[1] - pixels.shape[1]
    if not good or pixels.dtype != whole.dtype or pixels.shape[2] != (2 if whole.shape[2] < 3 else 4):
        raise ImageError("a layer does not fit the picture; remove it, and fill again")
    return Layer(top, left, pixels, made, hidden)


def layer_facts(kept: Kept) -> dict[str, Any]:
    """What made a layer, as its file says, without its pixels."""
    made = _facts(kept, LAYER).get("made")
    return made if isinstance(made, dict) else {}


def encode_proposal(found: Suggestion) -> bytes:
    """A suggestion as a file. Of the largest pictures it is kept at a half or a quarter of their size."""
    levels = found.levels
    while levels.size > MAX_PIXELS:
        levels = pooled(levels, 2)
    kinds, height, width = levels.shape
    return _encode(levels.reshape(kinds * height, width, 1), PROPOSAL, {"classes": list(found.classes)})


def read_proposal(kept: Kept) -> Suggestion:
    """Raises ImageError for a file that is none."""
    pixels, facts = _read(kept, PROPOSAL)
    classes = facts.get("classes")
    good = isinstance(classes, list) and 1 <= len(classes) <= MAX_KINDS and all(isinstance(c, str) for c in classes)
    if not good or len(set(classes)) < len(classes) or pixels.shape[0] % len(classes) or pixels.dtype != np.uint8:
        raise ImageError("the suggestion cannot be read; suggest again")
    return Suggestion(tuple(classes), pixels[..., 0].reshape(len(classes), -1, pixels.shape[1]))


def pooled(levels: np.ndarray, step: int) -> np.ndarray:
    """[K, H, W] at a whole fraction of its size, the largest of each square kept: thin cracks stay."""
    kinds, height, width = levels.shape
    padded = np.pad(levels, ((0, 0), (0, -height % step), (0, -width % step)))
    return padded.reshape(kinds, padded.shape[1] // step, step, -1, step).max(axis=(2, 4))


def _encode(pixels: np.ndarray, key: str, facts: Mapping[str, Any]) -> bytes:
    labels = Labels({key: json.dumps(facts)})
    return encode(Picture(np.ascontiguousarray(pixels), "", 8 * pixels.itemsize, b"", b""), "PNG", labels=labels)


def _read(kept: Kept, key: str) -> tuple[np.ndarray, dict[str, Any]]:
    facts = _facts(kept, key)
    with called(kept) as path:
        return open_picture(path).pixels, facts


def _facts(kept: Kept, key: str) -> dict[str, Any]:
    with called(kept) as path:
        text = read_labels(path).text.get(key, "")
    try:
        facts = json.loads(text) if len(text) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise ImageError(f"{kept.name} was not made in this tab; load the page again")
    return facts
