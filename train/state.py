"""The full resume state of a run, as safetensors and JSON: nothing in it executes, and a reader sees what it holds.

    networks.safetensors     G.*, D.*, ema.G.*: parameters and buffers
    optimizers.safetensors   G.<parameter>.<moment>
    state.json               step, pictures seen, seconds trained, the recipe's scalars, and the tick's line of progress

Random numbers need no place in it: the loop seeds every step from (seed, step, process).
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.errors import RunError
from studio.files import disk_errors, whole_folder, write_json
from studio.runfolder import RunFolder, read_json
from train.recipes import Recipe

VERSION = 1
KEEP = 2  # a state that turns out bad (a NaN a moment later) must not be the only one


@dataclass
class Position:
    """How far a run is."""

    step: int = 0
    images: int = 0  # pictures shown to D
    trained_s: float = 0.0  # without pauses and stops

    @property
    def kimg(self) -> float:
        return self.images / 1000


def save_state(run: RunFolder, recipe: Recipe, position: Position, line: dict[str, Any] | None = None) -> Path:
    """Write a state, then drop all but the newest two. Raises DiskError; earlier states then stay as they were.

    line: what is about to be told of its tick, should the trainer be killed before (`untold`).
    """
    path = run.state_path(position.kimg)
    for left in path.parent.glob(".*"):  # by trainers that were killed while they saved; they would fill the disk
        shutil.rmtree(left, ignore_errors=True)
    with whole_folder(path) as folder:
        save_file(_network_tensors(recipe), folder / "networks.safetensors")
        save_file(_optimizer_tensors(recipe), folder / "optimizers.safetensors")
        values = {"step": position.step, "images": position.images, "trained_s": position.trained_s}
        told = {"line": line} if line else {}
        write_json(folder / "state.json", {"version": VERSION, **values, "scalars": recipe.scalars(), **told})
    for old in run.states()[:-KEEP]:
        drop_state(old)
    return path


def untold(run: RunFolder) -> dict[str, Any] | None:
    """The newest state's line of progress, where a trainer was killed between the one and the other."""
    line = read_json(run.states()[-1] / "state.json", "").get("line")
    told = {one["step"] for one in run.progress()}
    return line if isinstance(line, dict) and line.get("step") not in {None, *told} else None


def drop_state(path: Path) -> None:
    """Remove a state, which then is gone at once: under a hidden name first, should the trainer be killed meanwhile."""
    gone = path.with_name(f".{path.name}.gone")
    with disk_errors(path):
        os.replace(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def load_state(path: Path, recipe: Recipe) -> Position:
    """Put the recipe back where it was. Raises RunError if the state is damaged or of another network."""
    before = "delete this folder to resume from the one before"
    meta = read_json(path / "state.json", f"{path} has no state.json; {before}")
    kinds = {"step": int, "images": int, "trained_s": (int, float), "scalars": dict}
    if bad := [key for key, kind in kinds.items() if not isinstance(meta.get(key), kind)]:
        raise RunError(f"{path}/state.json has no valid {bad[0]!r}; {before}")
    if meta.get("version") != VERSION:
        found = f"{path} has version {meta.get('version')!r}"
        raise RunError(f"{found}, and this trainer reads {VERSION}; use the one that wrote it")
    try:
        networks = load_file(path / "networks.safetensors")
        moments = load_file(path / "optimizers.safetensors")
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is damaged ({error}); {before}") from error
    for key, network in named_networks(recipe).items():
        mine = {k.removeprefix(key + "."): v for k, v in networks.items() if k.startswith(key + ".")}
        try:
            network.load_state_dict(mine)
        except RuntimeError as error:
            what = str(error).splitlines()[-1].strip().rstrip(".")  # PyTorch gives one line a tensor
            raise RunError(f"{path} does not fit this recipe's {key} ({what}); was config.json edited?") from error
    for name, optimizer in recipe.optimizers.items():
        try:
            _load_moments(optimizer, recipe.networks[name], name, moments)
        except KeyError as error:
            raise RunError(f"{path} has moments of an unknown parameter {error}; was config.json edited?") from error
    recipe.load_scalars(meta["scalars"])
    return Position(meta["step"], meta["images"], meta["trained_s"])


def named_networks(recipe: Recipe) -> dict[str, nn.Module]:
    """All of a recipe's networks as a state names them: G, D, ema.G."""
    return {**recipe.networks, **{f"ema.{name}": network for name, network in recipe.ema.items()}}


def _network_tensors(recipe: Recipe) -> dict[str, Tensor]:
    return {
        f"{key}.{name}": tensor.detach().cpu().contiguous()
        for key, network in named_networks(recipe).items()
        for name, tensor in network.state_dict().items()
    }


def _optimizer_tensors(recipe: Recipe) -> dict[str, Tensor]:
    tensors = {}
    for name, optimizer in recipe.optimizers.items():
        for parameter_name, parameter in recipe.networks[name].named_parameters():
            for moment, value in optimizer.state.get(parameter, {}).items():
                if value is not None:
                    tensors[f"{name}.{parameter_name}.{moment}"] = torch.as_tensor(value).detach().cpu().contiguous()
    return tensors


def _load_moments(
    optimizer: torch.optim.Optimizer, network: nn.Module, name: str, tensors: dict[str, Tensor]
) -> None:
    parameters = dict(network.named_parameters())
    every = (parameter for group in optimizer.param_groups for parameter in group["params"])
    numbers = {parameter: i for i, parameter in enumerate(every)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if not key.startswith(name + "."):
            continue
        parameter_name, _, moment = key.removeprefix(name + ".").rpartition(".")
        parameter = parameters[parameter_name]
        # load_state_dict casts moments to their parameter's layout; bit-equality needs the same strides as before.
        like = value.to(parameter.device)
        if value.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
            like = like.contiguous(memory_format=torch.channels_last)
        state.setdefault(numbers[parameter], {})[moment] = like
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
