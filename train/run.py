"""One training run from its settings to its end: device, data, recipe, lock, loop."""

import contextlib
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout

from studio.device import choose_device
from studio.errors import DeviceError, RunError, StudioError
from studio.files import disk_errors, write_json
from studio.nn.memory import keep_freed_memory
from studio.runfolder import RunFolder
from train.data import Pictures, open_pictures
from train.loop import Outcome, train
from train.recipes import RECIPES, LoopConfig, Recipe

Report = Callable[[dict], None]


def start(recipe: str, config: LoopConfig, data: Path, run: RunFolder, device: str, report: Report) -> Outcome:
    """Begin a run in a folder that has none. Raises RunError if it has one: resume it, or choose another folder."""
    kind = RECIPES.get(recipe)
    accelerator = _accelerator(device)
    with _locked(run, accelerator):
        if run.config_path.exists():
            raise RunError(f"{run.path} holds a run already; go on with: python -m train resume {run.path}")
        pictures = _load(config, data)
        accelerator.wait_for_everyone()  # before the config appears, which the other processes check for above
        if accelerator.is_main_process:
            write_json(run.path / "dataset.json", {"source": str(data.absolute()), **pictures.summary()})
            stored = {"version": 1, "recipe": recipe, "data": str(data.absolute()), "settings": config.to_dict()}
            write_json(run.config_path, stored)
        return _work(kind, config, pictures, run, accelerator, report)


def resume(run: RunFolder, kimg: float | None, device: str, report: Report) -> Outcome:
    """Go on with a run from its newest state, to another length if `kimg` is given."""
    name, config, data = stored_config(run)
    if kimg is not None:
        config = config.replace(kimg=kimg)
    accelerator = _accelerator(device)
    with _locked(run, accelerator):
        if accelerator.is_main_process:
            run.clear_requests()
        return _work(RECIPES.get(name), config, _load(config, data), run, accelerator, report)


def stored_config(run: RunFolder) -> tuple[str, LoopConfig, Path]:
    """Recipe, settings and data of a run. Raises RunError for a damaged config.json."""
    stored = run.config()
    missing = [key for key in ("recipe", "data", "settings") if key not in stored]
    if missing:
        raise RunError(f"{run.config_path} has no {missing[0]!r}; mend it or start another run")
    if not isinstance(stored["recipe"], str) or not isinstance(stored["data"], str):
        raise RunError(f"{run.config_path}: recipe and data are not both texts; mend it or start another run")
    try:
        config = RECIPES.get(stored["recipe"]).settings.from_dict(stored["settings"])
    except StudioError as error:
        raise RunError(f"{run.config_path}: {error}; mend it or start another run") from error
    return stored["recipe"], config, Path(stored["data"])


def build_recipe(kind: type[Recipe], config: LoopConfig, pictures: Pictures, device: torch.device) -> Recipe:
    """The recipe on a device, in the precision the settings ask for."""
    bf16 = config.precision == "bf16" or (
        config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return kind(config, pictures, device, torch.bfloat16 if bf16 else torch.float32)


def _work(
    kind: type[Recipe], config: LoopConfig, pictures: Pictures, run: RunFolder, accelerator: Accelerator, report: Report
) -> Outcome:
    keep_freed_memory()
    (run.path / "exit.json").unlink(missing_ok=True)
    torch.backends.cudnn.benchmark = True
    if accelerator.is_main_process:
        write_json(run.path / "machine.json", {"machine": _machine(accelerator)})
    try:
        with _memory_errors(config, accelerator.device):
            recipe = build_recipe(kind, config, pictures, accelerator.device)
            return train(recipe, config, pictures, run, accelerator, report)
    except StudioError as error:
        if accelerator.is_main_process:
            # A full disk may refuse this line as well; the sentence itself must still reach the person.
            with contextlib.suppress(StudioError):
                run.write_exit("failed", str(error), run.kimg())
        raise


def _machine(accelerator: Accelerator) -> str:
    """What a model's card says it was trained on."""
    if accelerator.device.type == "cuda":
        return f"{accelerator.num_processes} x {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} CPU cores ({platform.machine()})" + (", MPS" if accelerator.device.type == "mps" else "")


def _load(config: LoopConfig, data: Path) -> Pictures:
    return open_pictures(data, config.resolution, config.channels, classes=config.classes, part="train", holdout=config.holdout)


def _accelerator(device: str) -> Accelerator:
    chosen = choose_device(device)
    if chosen.type == "cuda" and chosen.index is not None:
        torch.cuda.set_device(chosen)
    return Accelerator(cpu=chosen.type == "cpu")


@contextlib.contextmanager
def _memory_errors(config: LoopConfig, device: torch.device) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{device} has too little memory for batch={config.batch} in {config.accumulate} rounds; "
            "lower --batch or raise --accumulate, in another run folder"
        ) from error


@contextlib.contextmanager
def _locked(run: RunFolder, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run folder, made here if need be. Raises RunError if another trainer holds it."""
    if not accelerator.is_main_process:
        yield  # the first process holds it for all
        return
    if run.path.is_file():
        raise RunError(f"{run.path} is a file; give a folder for the run")
    lock = FileLock(run.lock_path)
    try:
        with disk_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{run.path} is in use by another trainer; stop that one first or choose another folder") from None
    try:
        yield
    finally:
        lock.release()
