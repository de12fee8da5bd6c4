"""How long a training will take here: the loop itself is run for a minute, in a folder that is thrown away."""

import gc
import json
import math
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from studio.capabilities import NoiseGenerator
from studio.device import choose_device
from studio.errors import Cancelled, DeviceError, SettingError
from studio.nn.features import feature_network
from studio.runfolder import RunFolder
from train.data import Pictures
from train.drawing import BATCH, generated
from train.health import HealthConfig
from train.loop import check_split, train
from train.metrics import extract
from train.recipes import RECIPES, LoopConfig, Recipe
from train.run import build_recipe
from train.threads import counts, fastest, threads

BENCH_S = 60.0
ROUNDS = 3  # the first one, in which algorithms are chosen and memory is asked for, is not counted
PICTURES = 64
_POLL_S = 0.1


@dataclass(frozen=True)
class Plan:
    """What a run of `kimg` takes at the pace that was measured.

    memory_bytes: at its peak; None where it was too short.
    """

    seconds_per_kimg: float
    kimg: float
    memory_bytes: int | None = None

    @property
    def seconds(self) -> float:
        return self.seconds_per_kimg * self.kimg

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": self.seconds, "words": duration(self.seconds)}


def duration(seconds: float) -> str:
    """In words that promise no more than an estimate can: 40 s, 7 min, 2 h 40 min, 3.5 days."""
    if seconds < 59.5:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes >= 120:
        minutes = round(minutes / 10) * 10
    if minutes < 60:
        return f"{minutes} min"
    if minutes >= 24 * 60:
        return f"{seconds / 86400:.1f} days"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes % 60 else f"{minutes // 60} h"


def plan(
    recipe: str,
    config: LoopConfig,
    data: Path | None = None,
    device: str = "auto",
    seconds: float = BENCH_S,
    cancelled: Callable[[], bool] = lambda: False,
    health: HealthConfig = HealthConfig(),
) -> Plan:
    """Train for at most about `seconds`, and say what `config.kimg` will take, watched as `health` says.

    data: pictures as for a training; without them pictures of noise do, which cost the same and need no scan. Recipes
    that learn from something else than one folder of squares need theirs. Raises StudioError as a training does;
    Cancelled once `cancelled` says so.
    """
    kind = RECIPES.get(recipe)
    chosen = choose_device(device)
    check_split(config, 1)
    pictures = kind.open_data(config, data) if data else _noise(recipe, config)
    accelerator = Accelerator(cpu=chosen.type == "cpu")
    try:
        build = lambda: build_recipe(kind, config, pictures, accelerator.device)
        count, built = fastest(build, pictures, accelerator, counts(), cancelled), build()
        # Whole rounds: some phases come every 16th step alone, and a part of a round has too many or too few of them.
        steps = min(math.lcm(*(phase.interval for phase in built.phases)), 64)
        length = ROUNDS * steps * config.batch / 1000
        short = config.replace(kimg=length, tick_kimg=steps * config.batch / 1000, sample_ticks=10_000)
        with tempfile.TemporaryDirectory() as folder:
            run, lines = RunFolder(Path(folder)), []
            with threads(count), _Watchdog(run, seconds, cancelled):
                train(built, short, pictures, run, accelerator, lines.append)
            if cancelled():
                raise Cancelled
            state = json.loads((run.states()[-1] / "state.json").read_text(encoding="utf-8"))
        with threads(count):
            beside = _beside(built, config, health, accelerator.device)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{chosen} has too little memory for batch={config.batch} in {config.accumulate} rounds; lower --batch or "
            "raise --accumulate"
        ) from error
    finally:
        gc.collect()
        if chosen.type == "cuda":
            torch.cuda.empty_cache()
    return Plan(_pace(lines, state) + beside, config.kimg, lines[-1]["memory_bytes"] if lines else None)


def _pace(lines: list[dict], state: dict) -> float:
    """Seconds a kimg: between the first and the last whole round where there are two, else of all steps."""
    if len(lines) > 1:
        return (lines[-1]["trained_s"] - lines[0]["trained_s"]) / (lines[-1]["kimg"] - lines[0]["kimg"])
    if not state["images"]:
        raise SettingError("the time was over before the first step; give --seconds more of them")
    return state["trained_s"] / (state["images"] / 1000)


def _beside(recipe: Recipe, config: LoopConfig, health: HealthConfig, device: torch.device) -> float:
    """Seconds a kimg for what is done beside the steps: sample grids, and measuring what is drawn."""
    grid = _timed(recipe.sample, device) / (config.sample_ticks * config.tick_kimg)
    if not health.measure_ticks or not isinstance(G := recipe.model()[2], NoiseGenerator):
        return grid
    network = feature_network(health.measure_features, device)
    look = lambda: extract(generated(G, BATCH, 0, device), network)
    look()
    batches = health.measure_samples / BATCH
    return grid + batches * _timed(look, device) / (health.measure_ticks * config.tick_kimg)


def _timed(work: Callable[[], Tensor], device: torch.device) -> float:
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def _noise(recipe: str, config: LoopConfig) -> Pictures:
    resolution, channels = getattr(config, "resolution", None), getattr(config, "channels", None)
    if resolution is None or channels is None:
        raise SettingError(f"the recipe {recipe!r} is measured on its own pictures; give them with --data")
    levels = torch.randint(
        0, 256, [PICTURES, channels, resolution, resolution], dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )
    classes = ["a", "b"] if getattr(config, "classes", False) else []
    labels = torch.arange(PICTURES) % max(len(classes), 1)
    return Pictures(_Noise(), [f"{i}.png" for i in range(PICTURES)], resolution, channels, labels, classes, [], levels)


class _Noise:
    names: list[str] = []

    def read(self, name: str) -> bytes:
        raise DeviceError(f"{name!r} was asked of pictures of noise; plan with --data")


class _Watchdog:
    """Asks a run to stop when its time is over, or when nobody waits for it any more."""

    def __init__(self, run: RunFolder, seconds: float, cancelled: Callable[[], bool]) -> None:
        self._run, self._deadline, self._cancelled = run, time.monotonic() + seconds, cancelled
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_POLL_S):
            if self._cancelled() or time.monotonic() > self._deadline:
                self._run.request_stop()
                return
