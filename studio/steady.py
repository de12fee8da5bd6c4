"""What keeps a painted film from flickering: every picture holds on to the one before,
where the film's motion is known.

Where something comes into view, moves too fast to follow or changes its colours, a picture is as it was painted:
what is held there would be a ghost.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from studio.flow import estimate, trust
from studio.painting import Look

Looks = tuple[Look, ...]  # of all the painters of a picture

FLOW_SIDE = 512  # px; longest side at which motion is looked for
HOLD_S = 0.2  # after this time, 1/e of a picture is still in those that follow it
LOOK_S = 0.5  # the same of a look
MEASURE_EVERY = 8  # frames
CUT = 0.35  # distance of two histograms, 0..1, from which two pictures are of different scenes; a pan makes up to 0.09
NEAR = 0.12  # distance of two histograms up to which a look fits both pictures
KNOWN = 0.1  # mean trust below which nothing of a scene was there before
BINS = 8  # of a histogram, for each colour
THUMBNAIL = (96, 64)  # px; width and height of what histograms are made of
FINE, AROUND = 2, 8  # px; what is smaller is detail, and how far around its strength is taken
MOST_GAIN = 1.3
STRIP = 256  # rows at a time, which bounds the memory


@dataclass(frozen=True)
class Motion:
    """Since the frame before: see studio/flow.py. Both at the size at which motion is looked for."""

    flow: Tensor  # [1, 2, h, w]
    trust: Tensor  # [1, 1, h, w]


@dataclass(frozen=True)
class Sight:
    """What is seen of a frame before it is painted."""

    colours: np.ndarray  # its histogram
    motion: Motion | None  # None begins a scene


def histogram(frame: np.ndarray) -> np.ndarray:
    """A frame's [H, W, 3] uint8 colours: [BINS^3], with a sum of 1."""
    import cv2

    small = cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.int32) * BINS // 256
    return np.bincount((small @ [BINS * BINS, BINS, 1]).ravel(), minlength=BINS**3) / (small.size / 3)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """How much of two histograms is not common to them: 0..1."""
    return float(np.abs(a - b).sum() / 2)


class Watch:
    """Sees a film's frames in order, and how each came about from the one before."""

    def __init__(self) -> None:
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def see(self, frame: np.ndarray) -> Sight:
        """frame [H, W, 3] uint8, all of one size."""
        small, colours = _small(frame), histogram(frame)
        last, self._last = self._last, (small, colours)
        if last is None or apart(colours, last[1]) > CUT:
            return Sight(colours, None)
        flow, back = estimate(small, last[0]), estimate(last[0], small)
        sure = trust(flow, back, _floats(small), _floats(last[0]))
        return Sight(colours, Motion(flow, sure) if sure.mean() > KNOWN else None)


class SteadyLooks:
    """The looks to paint a film's frames with. They follow those of the frames slowly, and begin anew with each scene.

    Where a frame's colours are far from those that the looks come from, as in a fade, they follow as fast: a look
    from the dark would make of a bright picture nothing but noise.
    """

    def __init__(self) -> None:
        self._looks: Looks | None = None

    def follow(self, sight: Sight, seconds: float, measure: Callable[[], Looks]) -> Looks:
        """For the next frame, so long after the one before. `measure` gives the frame's own looks, which takes time."""
        if self._looks is None or sight.motion is None:
            self._looks = self._wanted = measure()
            self._colours = self._measured = sight.colours
            self._age = 0
            return self._looks
        self._age += 1
        if self._age >= MEASURE_EVERY or apart(sight.colours, self._measured) > NEAR:
            self._wanted, self._measured, self._age = measure(), sight.colours, 0
        far = (apart(sight.colours, self._colours) - NEAR) / (CUT - NEAR)
        share = min(max(1 - math.exp(-seconds / LOOK_S), far), 1.0)
        self._looks = tuple(look.towards(wanted, share) for look, wanted in zip(self._looks, self._wanted))
        self._colours = self._colours + share * (sight.colours - self._colours)
        return self._looks


class Hold:
    """Paintings of a film's frames in order; each keeps a part of the one before. They stay as crisp as they were."""

    def __init__(self, amount: float = 1.0) -> None:
        """amount: 0 holds nothing, 1 all that is good for a film."""
        self.amount = amount
        self._last: np.ndarray | None = None

    def steady(self, painting: Tensor, motion: Motion | None, seconds: float) -> Tensor:
        """painting [1, 3, H, W] in [-1, 1], and how long ago the one before was shown -> the same shape, on the CPU."""
        now = np.ascontiguousarray(painting[0].permute(1, 2, 0).float().cpu().numpy())
        if self._last is not None and motion is not None and self.amount > 0:
            now = _held(now, self._last, motion, self.amount * math.exp(-seconds / HOLD_S))
        self._last = now
        return torch.from_numpy(now).permute(2, 0, 1)[None]


def _held(now: np.ndarray, last: np.ndarray, motion: Motion, share: float) -> np.ndarray:
    """`now` mixed with `last` [H, W, 3] where that went: `share` of it where the motion is sure."""
    import cv2

    height, width = now.shape[:2]
    flow = motion.flow[0].permute(1, 2, 0).numpy()
    scale = np.float32([width / flow.shape[1], height / flow.shape[0]])
    flow = cv2.resize(np.ascontiguousarray(flow), (width, height), interpolation=cv2.INTER_LINEAR)
    sure = cv2.resize(motion.trust[0, 0].numpy(), (width, height), interpolation=cv2.INTER_LINEAR)
    result = np.empty_like(now)
    margin = FINE + AROUND
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        first, end = max(top - margin, 0), min(bottom + margin, height)
        places = flow[first:end] * scale
        places += np.stack(np.meshgrid(np.arange(width), np.arange(first, end)), axis=-1)
        went = cv2.remap(last, places.astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        fresh = now[first:end]
        mixed = fresh + share * sure[first:end, :, None] * (went - fresh)
        result[top:bottom] = _crisp_as(fresh, mixed)[top - first : bottom - first]
    return np.clip(result, -1, 1, out=result)


def _crisp_as(wanted: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """`mixed` with its detail as strong, place by place, as that of `wanted`:
    a mean of two pictures is softer than both.
    """
    import cv2

    mean = lambda x, radius: cv2.blur(x, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REPLICATE)
    soft = mean(mixed, FINE)
    detail = mixed - soft
    power = lambda x: mean(np.square(x).mean(axis=2), AROUND) + 1e-5
    gain = np.sqrt(power(wanted - mean(wanted, FINE)) / power(detail))
    return soft + np.clip(gain, 1, MOST_GAIN)[..., None] * detail


def _small(frame: np.ndarray) -> np.ndarray:
    import cv2

    height, width = frame.shape[:2]
    scale = FLOW_SIDE / max(height, width)
    if scale >= 1:
        return frame
    return cv2.resize(frame, tuple(max(round(n * scale), 1) for n in (width, height)), interpolation=cv2.INTER_AREA)


def _floats(frame: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 127.5 - 1
