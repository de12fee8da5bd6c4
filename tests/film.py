"""A film as a player sees it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True)
class Film:
    frames: list[np.ndarray]  # [H, W, 3] int, 0..255
    times_s: list[float]
    rate: Fraction
    metadata: dict[str, str]
    codec: str


def decode(path: Path) -> Film:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        pixels = [frame.to_ndarray(format="rgb24").astype(int) for frame in frames]
        times = [float(frame.time) for frame in frames]
        return Film(pixels, times, stream.average_rate, dict(file.metadata), stream.codec_context.name)
