"""A damaged picture to try the restore tab with: the bundled photo, with cracks and losses drawn over it."""

import cv2
import numpy as np

from studio.images import encode, open_picture
from studio.presets import PHOTO
from studio.raster.opening import Picture

NAME = "cracked-photo.png"
_CRACKS, _STEPS, _STEP = 9, 60, 6  # px of each step
_LOSSES = 4


def damaged_photo() -> bytes:
    """The same PNG every time."""
    photo = np.array(open_picture(PHOTO).rgb())
    random = np.random.default_rng(11)
    size = photo.shape[1::-1]
    for i in range(_CRACKS):
        at, angle, bend = random.random(2) * size, random.random() * 2 * np.pi, 0.0
        colour = (36, 31, 27) if i % 3 else (228, 222, 208)
        for step in range(random.integers(_STEPS // 2, _STEPS)):
            bend = 0.5 * bend + random.normal(0, 0.16)
            angle += bend
            to = at + _STEP * np.array([np.cos(angle), np.sin(angle)])
            ends = at.astype(int).tolist(), to.astype(int).tolist()
            cv2.line(photo, *ends, colour, 2 if step < 20 else 1, cv2.LINE_AA)
            at = to
    for _ in range(_LOSSES):
        centre, turns = (0.15 + 0.7 * random.random(2)) * size, np.linspace(0, 2 * np.pi, 15)[:-1]
        radii = random.uniform(7, 15, 14)
        outline = centre + radii[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        cv2.fillPoly(photo, [outline.astype(np.int32)], (226, 220, 206), cv2.LINE_AA)
    return encode(Picture(photo, "", 8, b"", b""), "PNG")
