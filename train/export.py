"""A run's model as a checkpoint folder, with a card that says what was measured and shows what it makes."""

from pathlib import Path

import torch
from torch import nn

from studio.checkpoint import INFO, ModelInfo, read_info, save_checkpoint
from studio.errors import RunError
from studio.files import write_bytes, write_json
from studio.images import encode_jpeg
from studio.runfolder import RunFolder, read_json
from train.card import GRID, card
from train.data import Pictures
from train.grids import sample_grid
from train.recipes import RECIPES, Recipe
from train.run import build_recipe, stored_config
from train.state import Position, load_state


def export(
    run: RunFolder,
    out: Path,
    kimg: float | None = None,
    *,
    title: str | None = None,
    data_licence: str = "not stated",
    data_note: str = "",
    note: str = "",
    licence: str = "not stated",
    show_grid: bool = True,
) -> Path:
    """Write a state's running mean to the folder `out`: the newest one's, or that of `kimg`. Raises RunError.

    title, data_licence, data_note, note and licence are for the card, which says them as they are.
    """
    name, config, data = stored_config(run)
    found = _dataset(run)
    recipe, position = restore(run, kimg)
    model, network_config, network = recipe.model()
    last = next((line for line in reversed(run.progress()) if line["kimg"] <= position.kimg), {})
    info = ModelInfo(
        model=model,
        config=network_config.to_dict(),
        sha256="",
        title=title or out.name,
        data=data_note or f"{found['pictures']} pictures from {data.name}",
        data_licence=data_licence,
        licence=licence,
        kimg=position.kimg,
        training={
            "recipe": name,
            "settings": config.published(),
            "pictures": found["pictures"],
            "hours": round(position.trained_s / 3600, 2),
            "images_per_s": last.get("images_per_s", 0.0),
            "machine": run.machine(),
            "note": note,
        },
    )
    files = {GRID: encode_jpeg(sample_grid(recipe.sample()), quality=90)} if show_grid else {}
    return save_checkpoint(out, info, network, card(info, show_grid), files)


def restore(run: RunFolder, kimg: float | None = None) -> tuple[Recipe, Position]:
    """A run's recipe at its newest state or that of `kimg`, on the CPU, without its pictures. Raises RunError."""
    name, config, _ = stored_config(run)
    states = run.states()
    if not states:
        raise RunError(f"{run.path} has no saved state yet; wait for its first tick")
    wanted = states[-1] if kimg is None else run.state_path(kimg)
    if wanted not in states:
        known = ", ".join(f"{float(state.name):g}" for state in states)
        raise RunError(f"{run.path} has no state at {kimg:g} kimg; there are: {known}")
    # Neither pictures nor their size are needed: a recipe only asks how many there are, and of how many classes.
    empty = Pictures(_Nothing(), [], 1, 3, torch.zeros(0), list(_dataset(run)["classes"]))
    recipe = build_recipe(RECIPES.get(name), config.replace(precision="fp32"), empty, torch.device("cpu"))
    return recipe, load_state(wanted, recipe)


def latest(run: RunFolder) -> tuple[nn.Module, dict]:
    """The running mean that `export` would write, and the run's settings."""
    return restore(run)[0].model()[2], stored_config(run)[1].to_dict()


def _dataset(run: RunFolder) -> dict:
    path = run.dataset_path
    again = "start the run again in another folder"
    found = read_json(path, f"{run.path} has no dataset.json; {again}")
    if type(found.get("pictures")) is not int or not isinstance(found.get("classes"), list):
        raise RunError(f"{path} does not say how many pictures and which classes there are; {again}")
    return found


def record_metrics(folder: Path, metrics: dict) -> None:
    """Write measured figures into a checkpoint's model.json and its card."""
    info = read_info(folder)
    values = {**vars(info), "metrics": {**info.metrics, **metrics}}
    write_json(folder / INFO, {"version": 1, **values})
    write_bytes(folder / "README.md", card(ModelInfo(**values), (folder / GRID).exists()).encode())


class _Nothing:
    names: list[str] = []

    def read(self, name: str) -> bytes:
        raise RunError(f"{name!r} was asked of a data set that is not there")
