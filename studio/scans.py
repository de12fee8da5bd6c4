"""What scans of paintings have around them: the wall, the paper, a rim of canvas.

A style is read as statistics over the whole picture. A black margin of 2% gives it contrasts and straight lines that
the painter never drew, and what is painted in that style is full of black bars.
"""

import torch
from torch import Tensor

FLAT = 0.06  # standard deviation of a line, in [-1, 1]: what a margin shows besides its colour is the scanner's noise
MOST = 0.06  # of a side is taken away at most: beyond that it is the painter's own sky
RIM = 0.02  # of a side; where there was a margin, so much more, for its slant and the edge of the canvas
MIN_SIDE = 32  # px; smaller pictures are left alone


def inside_margins(picture: Tensor) -> Tensor:
    """The part [1, 3, h, w] of a picture [1, 3, H, W] in [-1, 1] that lies within margins of one colour, a view."""
    height, width = picture.shape[2:]
    if min(height, width) < MIN_SIDE:
        return picture
    top, bottom = _margins(picture[0].transpose(0, 1))
    left, right = _margins(picture[0].permute(2, 0, 1))
    return picture[:, :, top : height - bottom, left : width - right]


def _margins(lines: Tensor) -> tuple[int, int]:
    """How many of the lines [L, 3, n] are to be taken away at the beginning, and how many at the end."""
    most = int(len(lines) * MOST)
    rim = max(round(len(lines) * RIM), 1)
    found = []
    for end in (lines[:most], lines[-most:].flip(0)):
        flat = end.std(dim=2, correction=0).amax(dim=1) < FLAT
        count = int(torch.cumprod(flat.int(), dim=0).sum())
        found.append(min(count + rim, most) if count else 0)
    return found[0], found[1]
