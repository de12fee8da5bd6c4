"""The one training loop: phases, EMA, ticks, states, exact resume, stopping.

Written from the loops of StyleGAN2-ADA and EDM. What departs from them: the state holds everything, so a resumed run
is bit-equal to one that never stopped (on one CPU machine); a value that is not finite stops the run instead of being
replaced by a number; STOP and PAUSE are honoured between two steps.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor

from studio.errors import RunError, StudioError
from studio.files import disk_errors, write_bytes
from studio.images import encode_jpeg
from studio.runfolder import RunFolder
from train.batchnorm import share_batch_norm
from train.chance import SharedChance
from train.data import Pictures, batches
from train.grids import sample_grid
from train.recipes import Batch, LoopConfig, Phase, Recipe
from train.state import Position, load_state, save_state, untold
from train.watch import Watch

PAUSE_POLL_S = 0.5
ETA_TICKS = 10  # the pace of this many ticks stands for the rest


class Diverged(RunError):
    """A loss or a weight is not finite. The newest state is from before that."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `done` at its full length, or where it had stopped getting better; `stopped` on request."""

    name: str
    kimg: float


def train(
    recipe: Recipe,
    config: LoopConfig,
    pictures: Pictures,
    run: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict], None],
    changed: Mapping[str, list] | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Train until config.kimg or STOP, from the newest state in the run folder if there is one.

    `report` gets every tick's line; `changed`, settings that differ from what the run had, as [before, after], is
    reported first and kept in the progress. The batch is one that `check_split` lets pass. `watch` measures, warns
    and may find that it is enough. Raises Diverged when a loss is not finite, DiskError when a state cannot be
    written; the last good state stays in both cases.
    """
    main, device = accelerator.is_main_process, accelerator.device
    rank, ranks = accelerator.process_index, accelerator.num_processes

    # Resume.
    position = Position()
    if run.states():
        position = load_state(run.states()[-1], recipe)
        if main and (line := untold(run)):
            run.append_progress(line)
    elif ranks > 1:
        for network in recipe.networks.values():
            broadcast([t for t in network.state_dict().values()])
    if ranks > 1:
        for network in recipe.networks.values():
            share_batch_norm(network)
    if main and changed:
        line = {"resumed": position.step, "changed": dict(changed)}
        run.append_progress(line)
        report(line)
    elif main and run.states():
        run.append_progress({"resumed": position.step})
    # Over those of a start that failed, too: they would show other settings.
    if main and (position.step == 0 or not run.samples.exists()):
        with disk_errors(run.samples):
            run.samples.mkdir(parents=True, exist_ok=True)
        _write_samples(recipe, run, position)

    # Counted from here: after a change of the batch, what was seen need not be a multiple of it.
    wanted = round(config.kimg * 1000) - position.images
    total = position.images + max(math.ceil(wanted / config.batch), 0) * config.batch
    reals = batches(pictures, position.images, config.batch, config.seed, rank, ranks)
    meter = _Meter(position)
    pace: list[float] = []  # seconds a kimg, of the latest ticks
    tick = len(run.progress())
    outcome, why = "done", ""
    mark = time.perf_counter()

    while position.images < total:
        # Stop or wait.
        if _asked(run.stop_requested, accelerator):
            outcome = "stopped"
            break
        if _asked(run.pause_requested, accelerator):
            _check_finite(recipe, meter, config, position, run, accelerator)
            if main:
                save_state(run, recipe, position)
            while _asked(run.pause_requested and not run.stop_requested, accelerator):
                time.sleep(PAUSE_POLL_S)
            mark = time.perf_counter()
            continue

        # One step. Its random numbers depend on its number alone, which makes a resume exact.
        torch.manual_seed(hash((config.seed, position.step, 0 if recipe.per_picture else rank)) % 2**63)
        images, labels = next(reals)
        images, labels = images.to(device), labels.to(device)
        with SharedChance(rank, ranks) if recipe.per_picture and ranks > 1 else contextlib.nullcontext():
            if config.mirror:
                flipped = torch.rand(images.shape[0], device=device) < 0.5
                images = torch.where(flipped[:, None, None, None], images.flip(3), images)
            rounds = [Batch(*pair) for pair in zip(images.chunk(config.accumulate), labels.chunk(config.accumulate))]
            recipe.start_step(position.images)
            for phase in recipe.phases:
                if position.step % phase.interval == 0:
                    meter.add(take_step(phase, recipe, rounds, accelerator))
        position.step += 1
        position.images += config.batch

        # Update EMA, after what the processes share: buffers go over as they are.
        recipe.end_step(position.step, lambda t: accelerator.reduce(t, "mean"))
        half_life = min(config.ema_kimg * 1000, position.images * config.ema_rampup)
        update_ema(recipe, 0.5 ** (config.batch / max(half_life, 1e-8)))
        # From mark to mark, so that the time for states and samples counts too: it makes the ETA an honest one.
        now = time.perf_counter()
        position.trained_s += now - mark
        mark = now

        # Tick.
        tick_images = max(round(config.tick_kimg * 1000 / config.batch), 1) * config.batch
        if position.images % tick_images >= config.batch and position.images < total:
            continue
        _check_finite(recipe, meter, config, position, run, accelerator)
        values = meter.take(accelerator)
        tick += 1
        pace = [*pace, meter.seconds_per_kimg(position)][-ETA_TICKS:]
        if main:
            line = {
                "tick": tick,
                "step": position.step,
                "kimg": position.kimg,
                "trained_s": round(position.trained_s, 3),
                "images_per_s": round(1000 / pace[-1], 3),
                "eta_s": round((total / 1000 - position.kimg) * sum(pace) / len(pace), 1),
                "memory_bytes": _memory_bytes(device),
                **recipe.scalars(),
                **values,
            }
            save_state(run, recipe, position, line)
            for line in _watched(line, recipe, watch):
                run.append_progress(line)
                report(line)
            if tick % config.sample_ticks == 0:
                _write_samples(recipe, run, position)
            if config.keep_ticks and tick % config.keep_ticks == 0:
                _keep_snapshot(run)
        if _asked(watch is not None and watch.enough(), accelerator):
            why = ": it has stopped getting better, and best/ has the best"
            break

    _check_finite(recipe, meter, config, position, run, accelerator)
    if main:
        save_state(run, recipe, position)
        run.write_exit(outcome, f"{outcome} at {position.kimg:g} kimg{why}", position.kimg)
    return Outcome(outcome, position.kimg)


def check_split(config: LoopConfig, processes: int) -> None:
    """Raise RunError if a step's batch cannot be dealt out evenly."""
    shares = processes * config.accumulate
    if config.batch % shares:
        raise RunError(
            f"batch={config.batch} cannot be split over {processes} processes in {config.accumulate} rounds; "
            f"give a multiple of {shares}"
        )


def take_step(phase: Phase, recipe: Recipe, rounds: list[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
    """One optimiser step of one phase over the step's rounds; returns the values to log."""
    for name, network in recipe.networks.items():
        network.requires_grad_(name == phase.network)
    network, optimizer = recipe.networks[phase.network], recipe.optimizers[phase.network]
    network.zero_grad(set_to_none=True)  # of frozen parameters too, which the optimiser does not know
    logged: dict[str, Tensor] = {}
    for batch in rounds:
        loss, values = phase.loss(batch)
        (loss / len(rounds)).backward()
        for name, value in values.items():
            logged[name] = logged.get(name, 0.0) + value.detach() / len(rounds)
    if accelerator.num_processes > 1:
        # One flat all-reduce: several forward passes a step and frozen networks rule DistributedDataParallel out.
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))
    if phase.clip is not None:
        torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], phase.clip)
    optimizer.step()
    return logged


@torch.no_grad()
def update_ema(recipe: Recipe, keep: float) -> None:
    """Move the running means: parameters by (1 - keep) of the way, buffers all the way."""
    for name, mean in recipe.ema.items():
        network = recipe.networks[name]
        torch._foreach_lerp_(list(mean.parameters()), list(network.parameters()), 1 - keep)
        for target, source in zip(mean.buffers(), network.buffers()):
            target.copy_(source)


class _Meter:
    """Means of the logged values over a tick, kept on the device: reading them each step would wait for it."""

    def __init__(self, position: Position) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._last = (position.trained_s, position.kimg)

    def add(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def names(self) -> list[str]:
        return list(self._sums)

    def sums(self) -> list[Tensor]:
        return [value.float() for value in self._sums.values()]

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        names = list(self._sums)
        means = accelerator.reduce(torch.stack([self._sums[n].float() / self._counts[n] for n in names]), "mean")
        self._sums, self._counts = {}, {}
        return dict(zip(names, means.tolist()))

    def seconds_per_kimg(self, position: Position) -> float:
        (seconds, kimg), self._last = self._last, (position.trained_s, position.kimg)
        return (position.trained_s - seconds) / (position.kimg - kimg)


def _asked(flag: bool, accelerator: Accelerator) -> bool:
    """The first process's answer, for all: they must leave the loop at the same step."""
    if accelerator.num_processes == 1:
        return flag
    return bool(broadcast(torch.tensor(int(flag), device=accelerator.device)).item())


def _check_finite(
    recipe: Recipe, meter: _Meter, config: LoopConfig, position: Position, run: RunFolder, accelerator: Accelerator
) -> None:
    """Raise Diverged if a logged value or a weight is not finite: asked before each state, so that none holds one."""
    tensors = {f"{name}.{key}": p for name, net in recipe.networks.items() for key, p in net.named_parameters()}
    # one number a tensor, read at once: each read waits for a GPU
    sums = torch.stack([*meter.sums(), *(p.detach().sum(dtype=torch.float32) for p in tensors.values())])
    for name, value in zip([*meter.names(), *tensors], accelerator.reduce(sums, "mean").tolist()):
        if not math.isfinite(value):
            raise Diverged(_diverged(name, value, config, position, run))


def _diverged(name: str, value: float, config: LoopConfig, position: Position, run: RunFolder) -> str:
    what = f"{name} became {value} at {position.kimg:g} kimg"
    cures = {"lr": "lower --lr", "r1_gamma": "raise --r1-gamma"}
    advice = " or ".join(cures[key] for key in cures if hasattr(config, key)) or "choose gentler settings"
    if not run.states():
        return f"{what}; no state was saved before; {advice} and start again"
    state = run.states()[-1].relative_to(run.path)
    lower = f" --lr {config.lr / 2:g}" if hasattr(config, "lr") else ""
    return f"{what}; the last good state is {state}; {advice}: python -m train resume {run.path}{lower}"


def _watched(line: dict, recipe: Recipe, watch: Watch | None) -> list[dict]:
    """The tick's line with what was measured, and a line for each warning. Keeps the best; its state is saved."""
    if watch is None:
        return [line]
    warned = []
    try:
        line = {**line, **watch.measure(recipe, line["tick"], line["kimg"])}
        warned = watch.warnings(line)
        if watch.is_best(line["tick"]):
            watch.keep_best()
    except StudioError as error:
        warned += watch.unmeasured(error)
    return [line, *(warning_line(w.kind, w.message, line["step"], line["kimg"]) for w in warned)]


def warning_line(kind: str, message: str, step: int, kimg: float) -> dict:
    """A line of progress.jsonl that is no tick."""
    return {"warning": kind, "message": message, "step": step, "kimg": kimg}


def _write_samples(recipe: Recipe, run: RunFolder, position: Position) -> None:
    picture = encode_jpeg(sample_grid(recipe.sample()), quality=92)
    write_bytes(run.samples / f"{position.kimg:08.3f}.jpg", picture)


def _keep_snapshot(run: RunFolder) -> None:
    from train.snapshots import keep_snapshot  # which reads runs, and so imports what imports this

    keep_snapshot(run)


def _memory_bytes(device: torch.device) -> int:
    """The device's memory in use at its peak, or this process's resident memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return psutil.Process().memory_info().rss


def print_line(line: dict, total_kimg: float, as_json: bool) -> None:
    """One tick for the terminal, or what a resume changed, or what was taken over."""
    if as_json:
        print(json.dumps(line), flush=True)
        return
    if "init" in line:
        print("\n".join(line["says"]), flush=True)
        return
    if "warning" in line:
        print(f"warning: {line['message']}", flush=True)
        return
    if "changed" in line:
        changes = ", ".join(f"{name} {_word(old)} -> {_word(new)}" for name, (old, new) in line["changed"].items())
        print(f"changed from step {line['resumed']} on: {changes}", flush=True)
        return
    losses = "  ".join(f"{k} {v:.3f}" for k, v in line.items() if k.startswith("loss") or k == "ada_p")
    seconds = line["eta_s"]
    eta = time.strftime("%H h %M min", time.gmtime(seconds)) if seconds < 86400 else f"{seconds / 86400:.1f} days"
    print(
        f"tick {line['tick']:<5} {line['kimg']:.1f}/{total_kimg:g} kimg  {line['images_per_s']:.1f} img/s  "
        f"{losses}  {line['memory_bytes'] / 2**30:.2f} GiB  {eta} left",
        flush=True,
    )


def _word(value: object) -> str:
    return "none" if value is None else str(value)
