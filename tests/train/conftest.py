"""A run small enough to take a second: 16 grey pictures of 32 px, networks of at most 8 feature maps."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from PIL import Image

from studio.runfolder import RunFolder
from train.commands import main
from train.data import Pictures, open_pictures
from train.loop import Outcome, train
from train.recipes import RECIPES, Recipe
from train.recipes.stylegan2 import StyleGAN2Recipe, StyleGAN2Settings
from train.run import build_recipe

TINY = {
    "kimg": 0.032, "batch": 4, "tick_kimg": 0.008, "resolution": 32, "channels": 1, "channel_max": 8, "z_dim": 8,
    "w_dim": 8, "mapping_layers": 2, "lr": 0.01, "sample_ticks": 1000,
}

_SMALL = {
    "kimg": 0.008, "batch": 4, "tick_kimg": 0.004, "resolution": 16, "channels": 1, "z_dim": 8,
    "sample_ticks": 1000,
}
SMALL = {  # every recipe that draws from noise, at the size of a test
    "dcgan": {**_SMALL, "width": 4},
    "fastgan": {**_SMALL, "width": 4, "resolution": 32},
    "r3gan": {**_SMALL, "channel_max": 8, "w_dim": 8, "mapping_layers": 2},
    "stylegan2": {**_SMALL, "channel_max": 8, "w_dim": 8, "mapping_layers": 2},
    "vae": {**_SMALL, "channel_max": 8},
    "vaegan": {**_SMALL, "channel_max": 8},
}


def png(seed: int, size: tuple[int, int] = (32, 32), mode: str = "L") -> bytes:
    """A picture of noise as a PNG file's bytes."""
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def fill(folder: Path, names: list[str]) -> Path:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(i))
    return folder


def flags(**settings: object) -> list[str]:
    """Settings as words of the command line."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, **settings}.items()]


def call(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    """Run a command; its output, or the one sentence with which it is refused."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == code
    out, error = capsys.readouterr()
    if code:
        assert error.startswith("error: ") and error.count("\n") == 1, error
        return error.removeprefix("error: ").rstrip()
    assert error == ""
    return out


def start(data: Path, folder: Path, **settings: object) -> list[object]:
    """The words that begin a run of two steps."""
    return ["stylegan2", "--data", data, "--run", folder, "--device", "cpu", *flags(**{"kimg": 0.008, **settings})]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 pictures in two folders, a and b. Shared: only to be read."""
    return fill(tmp_path_factory.mktemp("data"), [f"{'ab'[i % 2]}/{i}.png" for i in range(16)])


@pytest.fixture(scope="session")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.fixture
def build(data: Path, accelerator: Accelerator) -> Callable[..., tuple[StyleGAN2Recipe, StyleGAN2Settings, Pictures]]:
    """build(**settings): a recipe at its beginning, its settings and its pictures."""

    def make(**changes: object) -> tuple[StyleGAN2Recipe, StyleGAN2Settings, Pictures]:
        config = StyleGAN2Settings(**{**TINY, **changes})
        pictures = open_pictures(data, config.resolution, config.channels, classes=config.classes)
        return build_recipe(StyleGAN2Recipe, config, pictures, accelerator.device), config, pictures

    return make


@pytest.fixture
def train_to(build: Callable, accelerator: Accelerator) -> Callable[..., tuple[StyleGAN2Recipe, Outcome]]:
    """train_to(folder, **settings): run the loop in this process, from the folder's newest state if it has one."""

    def run(folder: Path, **changes: object) -> tuple[StyleGAN2Recipe, Outcome]:
        recipe, config, pictures = build(**changes)
        return recipe, train(recipe, config, pictures, RunFolder(folder), accelerator, lambda line: None)

    return run


@pytest.fixture
def make(data: Path, accelerator: Accelerator) -> Callable[..., Recipe]:
    """make(name, **settings): any recipe of SMALL at its beginning."""

    def build_one(name: str, **changes: object) -> Recipe:
        kind = RECIPES.get(name)
        config = kind.settings(**{**SMALL[name], **changes})
        return build_recipe(kind, config, kind.open_data(config, data), accelerator.device)

    return build_one


@pytest.fixture
def run_to(make: Callable[..., Recipe], data: Path, accelerator: Accelerator) -> Callable[..., Recipe]:
    """run_to(name, folder, **settings): train any recipe of SMALL, from the folder's newest state if it has one."""

    def run(name: str, folder: Path, **changes: object) -> Recipe:
        recipe = make(name, **changes)
        train(
            recipe, recipe.config, type(recipe).open_data(recipe.config, data), RunFolder(folder), accelerator,
            lambda line: None,
        )
        return recipe

    return run


def exit_of(run: Path) -> dict:
    return json.loads((run / "exit.json").read_text())
