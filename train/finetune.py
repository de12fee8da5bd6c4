"""Start a training from weights that exist: a model's, or a run's with its discriminator.

What fits is taken over tensor by tensor, by name and shape, so that a model may grow (its resolution, its classes)
and keep what it knows; what was kept and what begins anew is said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from studio.checkpoint import load_network, read_info
from studio.errors import CheckpointError, RunError, SettingError
from studio.library import Library
from studio.runfolder import RunFolder
from train.recipes import Recipe
from train.state import named_networks

LEAST = 0.01  # a share of the weights; a bias or two fit by chance
SHOWN = 6  # names of layers in a sentence


@dataclass(frozen=True)
class Taken:
    """What one network took over: names of its tensors, and the share of its numbers that were there before."""

    kept: list[str]
    partly: list[str]  # one of their sides has grown; the rest of them begins anew
    anew: list[str]
    share: float

    def sentence(self, network: str, source: str) -> str:
        if not self.kept:
            return f"{network} begins anew: {source} brings nothing that fits it"
        said = f"{network} keeps {self.share:.1%} of its weights from {source}"
        if self.partly:
            said += f"; has grown: {_layers(self.partly)}"
        grown = {name.rpartition(".")[0] for name in self.partly}
        whole = [name for name in self.anew if name.rpartition(".")[0] not in grown]
        return said + (f"; begins anew: {_layers(whole)}" if whole else "")


def take_over(recipe: Recipe, source: str) -> dict[str, Taken]:
    """Bring a recipe at its beginning to `source`: an installed model's name, a checkpoint's folder or a run's.

    A run brings G, D and the running mean as they are at its newest state; a model, what was exported:
    G's running mean. Returns what each network took over. Raises StudioError if the source is of another
    kind, or nothing in it fits.
    """
    path = locate(source)
    found = _run_weights(RunFolder(path)) if _is_run(path) else _model_weights(path, recipe)
    networks = named_networks(recipe)
    taken = {name: _fill(network.state_dict(), found.get(name, {})) for name, network in networks.items()}
    if max(taken[name].share for name in recipe.ema) < LEAST:
        raise CheckpointError(f"nothing in {source} fits this recipe's networks; choose a model of its kind")
    frozen = _frozen(recipe)
    if strange := [name for name in (taken["D"].anew if frozen else []) if name in frozen]:
        what = f"freeze_d={recipe.config.freeze_d} keeps layers of D that {source} does not bring ({_layers(strange)})"
        raise SettingError(f"{what}; give a run of the same size, or leave --freeze-d out")
    recipe.grow({name: part.anew for name, part in taken.items()})
    return {name: taken[name] for name in recipe.networks}


def describe(taken: Mapping[str, Taken], source: str) -> dict[str, Any]:
    """What init.json says, and the progress: the source by its last name, a sentence a network,
    and all tensors by name.
    """
    name = Path(source).name
    return {
        "init": name,
        "says": [part.sentence(network, name) for network, part in taken.items()],
        "networks": {network: {**vars(part), "share": round(part.share, 4)} for network, part in taken.items()},
    }


def _frozen(recipe: Recipe) -> set[str]:
    """D's parameters that no optimiser moves."""
    if "D" not in recipe.networks:
        return set()
    learning = {p for group in recipe.optimizers["D"].param_groups for p in group["params"]}
    return {name for name, p in recipe.networks["D"].named_parameters() if p not in learning}


def locate(source: str) -> Path:
    """The folder of a run, or of a model by its name or folder. Raises UnknownName, listing the installed models."""
    path = Path(source) if _is_run(Path(source)) else Library.default(any_folder=True).find(source)
    return path.absolute()


def _is_run(path: Path) -> bool:
    return (path / "config.json").is_file()


def _run_weights(run: RunFolder) -> dict[str, dict[str, Tensor]]:
    """Tensors by network and name. Raises RunError if there is no state, or it is damaged."""
    if not run.states():
        raise RunError(f"{run.path} has no saved state yet; wait for its first tick or choose another")
    path = run.states()[-1] / "networks.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is damaged ({error}); choose another run or model") from error
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        parts = key.split(".")
        cut = 2 if parts[0] == "ema" else 1
        found.setdefault(".".join(parts[:cut]), {})[".".join(parts[cut:])] = tensor
    return found


def _model_weights(folder: Path, recipe: Recipe) -> dict[str, dict[str, Tensor]]:
    wanted, model = recipe.model()[0], read_info(folder).model
    if model != wanted:
        raise CheckpointError(
            f"{folder.name} is a model of the kind {model!r}, and this recipe trains {wanted!r}; choose another"
        )
    weights = load_network(folder).state_dict()
    return {key: weights for name in recipe.ema for key in (name, f"ema.{name}")}


@torch.no_grad()
def _fill(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Taken:
    """Write into `own` what of `found` fits."""
    kept, partly, anew, numbers = [], [], [], 0
    for name, target in own.items():
        part = _part(target, found[name]) if name in found else None
        if part is None:
            anew.append(name)
            continue
        part.copy_(found[name])
        numbers += part.numel()
        kept.append(name)
        if part.shape != target.shape:
            partly.append(name)
    return Taken(kept, partly, anew, numbers / max(sum(t.numel() for t in own.values()), 1))


def _part(target: Tensor, source: Tensor) -> Tensor | None:
    """The part of a tensor that another fits into: all of it,
    or the first of it where one side of a weight has grown.
    """
    if target.shape == source.shape:
        return target
    if target.dim() != source.dim() or target.dim() < 2:
        return None
    grown = [i for i, (new, old) in enumerate(zip(target.shape, source.shape)) if new != old]
    if len(grown) != 1 or target.shape[grown[0]] < source.shape[grown[0]]:
        return None
    return target.narrow(grown[0], 0, source.shape[grown[0]])


def _layers(names: Iterable[str]) -> str:
    """The layers that tensors belong to, the first few by name."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    more = f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else ""
    return ", ".join(layers[:SHOWN]) + more
