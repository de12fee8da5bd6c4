"""One training run from its settings to its end: device, data, recipe, lock, loop."""

import contextlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout

from studio.device import choose_device
from studio.errors import DeviceError, RunError, SettingError, StudioError
from studio.files import disk_errors, write_json
from studio.nn.memory import keep_freed_memory
from studio.processes import ProcessId
from studio.runfolder import RunFolder, read_json
from train.data import Pictures
from train.finetune import describe, locate, take_over
from train.health import HealthConfig, gentler
from train.loop import Diverged, Outcome, check_split, train, warning_line
from train.recipes import RECIPES, LoopConfig, Recipe
from train.state import drop_state
from train.threads import counts, fastest, threads
from train.watch import Watch

Report = Callable[[dict], None]
VERSION = 1  # of config.json


def start(
    recipe: str, config: LoopConfig, data: Path, run: RunFolder, device: str, report: Report,
    health: HealthConfig = HealthConfig(),
) -> Outcome:
    """Begin a run in a folder that has none. Raises RunError if it has one: resume it, or choose another folder.

    What is refused, or fails before its first state, leaves no run behind: the same folder can be tried again.
    """
    kind = RECIPES.get(recipe)
    if config.init:
        config = config.replace(init=str(locate(config.init)))
    accelerator = _accelerator(device)
    with _locked(run, accelerator):
        if run.config_path.exists():
            raise RunError(f"{run.path} holds a run already; go on with: python -m train resume {run.path}")
        pictures = kind.open_data(config, data)
        accelerator.wait_for_everyone()  # before the config appears, which the other processes check for above

        def record(config: LoopConfig) -> None:
            _write_dataset(run, data, pictures)
            _write_config(run, recipe, config, data.absolute(), health)

        try:
            return _work(kind, config, pictures, run, accelerator, report, record, health)
        except StudioError:
            if accelerator.is_main_process and not run.states():
                run.config_path.unlink(missing_ok=True)
            raise


def resume(
    run: RunFolder, changes: Mapping[str, Any], device: str, report: Report, watching: Mapping[str, Any] | None = None
) -> Outcome:
    """Go on with a run from its newest state. `changes` are settings by name; they are kept in its config.json, and so
    is `watching`, of how it is watched.

    Raises SettingError for a value outside its range and for a setting that cannot change in mid-run.
    """
    name, before, data = stored_config(run)
    config = change(before, changes)
    watched = stored_health(run)
    health = watched.change(watching or {})
    changed = _differences(before, config)
    kind = RECIPES.get(name)
    accelerator = _accelerator(device)
    with _locked(run, accelerator):
        if accelerator.is_main_process:
            run.clear_requests()
        pictures = kind.open_data(config, data)
        changed |= _other_pictures(run, data, pictures)

        def record(config: LoopConfig) -> None:
            if "pictures" in changed:
                _write_dataset(run, data, pictures)
            if config != before or health != watched:
                _write_config(run, name, config, data, health)

        return _work(kind, config, pictures, run, accelerator, report, record, health, changed)


def _other_pictures(run: RunFolder, data: Path, pictures: Pictures) -> dict[str, list]:
    """{"pictures": [before, now]} where they are no longer those that the run began with.

    Raises RunError where classes are others: what was learned of one would go on as another.
    """
    had, now = run.dataset(), pictures.summary()
    if isinstance(had.get("classes"), list) and had["classes"] != now["classes"]:
        before, after = (", ".join(map(str, classes)) or "none" for classes in (had["classes"], now["classes"]))
        raise RunError(
            f"{data} has the classes {after} and this run has learned {before}; name its folders as they were, or "
            "start another run"
        )
    if had.get("pictures", now["pictures"]) != now["pictures"]:
        return {"pictures": [had["pictures"], now["pictures"]]}
    if had.get("names_sha256", now["names_sha256"]) != now["names_sha256"]:
        return {"pictures": [now["pictures"], f"{now['pictures']}, others or renamed"]}
    return {}


def change(config: LoopConfig, changes: Mapping[str, Any]) -> LoopConfig:
    """The settings, some of them changed in mid-run. Raises SettingError for one that cannot be."""
    changed = config.from_dict({**config.to_dict(), **changes})
    for name, value in changed.to_dict().items():
        had = config.to_dict()[name]
        if value != had and name not in config.changeable:
            allowed = ", ".join(key for key in config.to_dict() if key in config.changeable)
            raise SettingError(
                f"{name}={value} cannot replace {name}={had} in mid-run, as what was learned so far depends on it; "
                f"start another run, or change one of: {allowed}"
            )
    return changed


def _differences(before: LoopConfig, after: LoopConfig) -> dict[str, list]:
    """[before, after] of every setting that differs, by name."""
    pairs = {key: [value, after.to_dict()[key]] for key, value in before.to_dict().items()}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def check_version(stored: Mapping[str, Any], path: Path) -> None:
    """Raise RunError unless this trainer reads settings of that version; without one they are of version 1."""
    version = stored.get("version", 1)
    if type(version) is not int or version != VERSION:
        raise RunError(f"{path} has version {version!r}, and this trainer reads {VERSION}; use the one that wrote it")


def stored_config(run: RunFolder) -> tuple[str, LoopConfig, Path]:
    """Recipe, settings and data of a run. Raises RunError for a config.json that is damaged or of another version."""
    stored = run.config()
    check_version(stored, run.config_path)
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


def stored_health(run: RunFolder) -> HealthConfig:
    """How a run is watched. Raises RunError for a config.json that is damaged."""
    try:
        return HealthConfig.from_dict(run.config().get("health", {}))
    except SettingError as error:
        raise RunError(f"{run.config_path}: {error}; mend it or start another run") from error


def build_recipe(kind: type[Recipe], config: LoopConfig, pictures: Pictures, device: torch.device) -> Recipe:
    """The recipe on a device, in the precision the settings ask for."""
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    bf16 = config.precision == "bf16" or (config.precision == "auto" and able)
    return kind(config, pictures, device, torch.bfloat16 if bf16 else torch.float32)


def _write_dataset(run: RunFolder, data: Path, pictures: Pictures) -> None:
    write_json(run.dataset_path, {"source": str(data.absolute()), **pictures.summary()})


def _write_config(run: RunFolder, recipe: str, config: LoopConfig, data: Path, health: HealthConfig) -> None:
    stored = {"version": VERSION, "recipe": recipe, "data": str(data), "settings": config.to_dict()}
    if health != HealthConfig():
        stored["health"] = health.to_dict()
    write_json(run.config_path, stored)


def _work(
    kind: type[Recipe],
    config: LoopConfig,
    pictures: Pictures,
    run: RunFolder,
    accelerator: Accelerator,
    report: Report,
    record: Callable[[LoopConfig], None],
    health: HealthConfig,
    changed: Mapping[str, list] | None = None,
) -> Outcome:
    """Build and train; `record` writes the settings down once nothing in them was refused.

    When a loss is not finite, the run goes back to its newest state and on at half the rate,
    as often as `health` allows.
    """
    keep_freed_memory()
    run.exit_path.unlink(missing_ok=True)
    torch.backends.cudnn.benchmark = True
    try:
        check_split(config, accelerator.num_processes)
        with _memory_errors(config, run, accelerator.device), _threads(kind, config, pictures, run, accelerator):
            left = health.rollbacks - _rollbacks(run)
            while True:
                try:
                    return _attempt(kind, config, pictures, run, accelerator, report, record, health, changed)
                except Diverged as error:
                    halves = gentler(config)
                    if left <= 0 or not halves:
                        raise
                    sentence = str(error).partition(";")[0]
                left -= 1
                config, before = config.replace(**halves), config
                changed = _differences(before, config)
                if accelerator.is_main_process:
                    _roll_back(run, sentence, changed, health.rollbacks - left, health.rollbacks, report)
                accelerator.wait_for_everyone()
    except StudioError as error:
        if accelerator.is_main_process:
            # A full disk may refuse this line as well; the sentence itself must still reach the person.
            with contextlib.suppress(StudioError):
                run.write_exit("failed", str(error), run.kimg())
        raise


@contextlib.contextmanager
def _threads(
    kind: type[Recipe], config: LoopConfig, pictures: Pictures, run: RunFolder, accelerator: Accelerator
) -> Iterator[None]:
    """As many as train soonest on this machine; a run that goes on where it began keeps those it had.

    The last digits of a step depend on their number: it is written down so that a resume stays exact.
    """
    machine, choice = _machine(accelerator), counts()
    had: dict = {}
    with contextlib.suppress(RunError):  # one that is damaged is written anew
        had = run.machine_record()
    if run.states() and had.get("machine") == machine and had.get("threads") in choice:
        count = had["threads"]
    else:
        build = lambda: build_recipe(kind, config, pictures, accelerator.device)
        count = fastest(build, pictures, accelerator, choice, lambda: run.stop_requested)
    if accelerator.is_main_process:
        tried = {} if run.stop_requested else {"threads": count}  # a trial that was cut short decides nothing
        write_json(run.machine_path, {"machine": machine, **tried})
    with threads(count):
        yield


def _attempt(
    kind: type[Recipe],
    config: LoopConfig,
    pictures: Pictures,
    run: RunFolder,
    accelerator: Accelerator,
    report: Report,
    record: Callable[[LoopConfig], None],
    health: HealthConfig,
    changed: Mapping[str, list] | None,
) -> Outcome:
    """A function of its own, so that networks that diverged are gone before others are built."""
    recipe = build_recipe(kind, config, pictures, accelerator.device)
    taken = None
    if config.init and not run.states():
        taken = describe(take_over(recipe, config.init), config.init)
    if accelerator.is_main_process:
        record(config)
        if taken:
            write_json(run.path / "init.json", taken)
            report(taken)
    watch = None
    if accelerator.is_main_process:
        watch = Watch(health, pictures, run, accelerator.device, getattr(config, "loss", ""))
    return train(recipe, config, pictures, run, accelerator, report, changed, watch)


def _rollbacks(run: RunFolder) -> int:
    """How often the run went back by itself, also in what a later resume took back."""
    return sum(line.get("warning") == "diverged" for line in run.lines())


def _roll_back(
    run: RunFolder, sentence: str, changed: Mapping[str, list], number: int, allowed: int, report: Report
) -> None:
    """Say it, and where the newest state led to a rollback before, give that one up for the state before it."""
    kimg, earlier = run.kimg(), [line for line in run.lines() if line.get("warning") == "diverged"]
    if earlier and earlier[-1]["kimg"] == kimg and len(run.states()) > 1:
        drop_state(run.states()[-1])
        kimg = run.kimg()
    rates = ", ".join(f"{name} {new:g} instead of {old:g}" for name, (old, new) in changed.items())
    message = f"{sentence}; went back to {kimg:g} kimg, on with {rates} (time {number} of at most {allowed})"
    # of the state's step, so that the resume that follows does not take it back
    step = int(read_json(run.states()[-1] / "state.json", "").get("step", 0)) if run.states() else 0
    line = warning_line("diverged", message, step, kimg)
    run.append_progress(line)
    report(line)


def _machine(accelerator: Accelerator) -> str:
    """What a model's card says it was trained on."""
    if accelerator.device.type == "cuda":
        return f"{accelerator.num_processes} x {torch.cuda.get_device_name()}"
    gpu = ", MPS" if accelerator.device.type == "mps" else ""
    return f"{os.cpu_count()} CPU cores ({platform.machine()}){gpu}"


def _accelerator(device: str) -> Accelerator:
    chosen = choose_device(device)
    if chosen.type == "cuda" and chosen.index is not None:
        torch.cuda.set_device(chosen)
    return Accelerator(cpu=chosen.type == "cpu")


@contextlib.contextmanager
def _memory_errors(config: LoopConfig, run: RunFolder, device: torch.device) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        again = f": python -m train resume {run.path} --batch N" if run.states() else " and start again"
        raise DeviceError(
            f"{device} has too little memory for batch={config.batch} in {config.accumulate} rounds; "
            f"lower --batch or raise --accumulate{again}"
        ) from error


@contextlib.contextmanager
def _locked(run: RunFolder, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run folder, made here if need be. Raises RunError if another trainer holds it."""
    if not accelerator.is_main_process:
        yield  # the first process holds it for all
        return
    if run.path.is_file():
        raise RunError(f"{run.path} is a file; give a folder for the run")
    lock, new = FileLock(run.lock_path), not run.path.exists()
    try:
        with disk_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout:
        advice = "stop that one first or choose another folder"
        raise RunError(f"{run.path} is in use by another trainer; {advice}") from None
    try:
        # The studio may be killed and started again: by this it finds the trainer that it left at work.
        me = ProcessId.of(os.getpid())
        write_json(run.process_path, {**(me.to_dict() if me else {}), "device": str(accelerator.device)})
        yield
    finally:
        run.process_path.unlink(missing_ok=True)
        lock.release()
        if new and list(run.path.iterdir()) == [run.lock_path]:  # refused before anything was written
            shutil.rmtree(run.path)
