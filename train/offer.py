"""What training offers to the page: `studio.training.Trainer`, made by app.py and handed over."""

import functools
from collections.abc import Callable
from pathlib import Path

from studio.config import Config, to_arguments
from studio.device import choose_device
from studio.errors import SettingError
from studio.library import home
from studio.runfolder import RunFolder
from studio.training import Preset, Preview, RecipeInfo
from train import presets
from train.aside import plan_aside
from train.health import HealthConfig
from train.planner import BENCH_S, Plan
from train.preview import preview
from train.recipes import RECIPES, LoopConfig
from train.snapshots import best, export_snapshot, snapshots

# To begin with first: those that draw from noise, the safest choice before the more special ones.
ORDER = ("stylegan2", "fastgan", "r3gan", "dcgan", "vae", "vaegan", "style", "inpaint", "upscale", "damage")


class Offer:
    """Fulfils `studio.training.Trainer`; what each part does is said there. Holds nothing but the presets' folder."""

    watching: type[Config] = HealthConfig

    def __init__(self, folder: Path | None = None) -> None:
        """folder: of the person's own presets, ~/.atelier/presets unless given."""
        self._folder = folder or home() / "presets"

    @functools.cached_property
    def recipes(self) -> tuple[RecipeInfo, ...]:
        place = {name: i for i, name in enumerate(ORDER)}
        return tuple(_describe(name) for name in sorted(RECIPES, key=lambda name: place.get(name, len(place))))

    def recipe(self, name: str) -> RecipeInfo:
        RECIPES.get(name)  # its error lists the known ones
        return next(info for info in self.recipes if info.name == name)

    def presets(self) -> dict[str, Preset]:
        return {**presets.bundled(), **presets.own(self._folder)}

    def save_preset(
        self, name: str, recipe: str, settings: Config, watching: Config | None = None, sentence: str = ""
    ) -> Path:
        return presets.save_preset(self._folder, name, recipe, settings, watching, sentence)

    def delete_preset(self, name: str) -> None:
        presets.delete_preset(self._folder, name)

    def read_preset(self, path: Path) -> Preset:
        return presets.read_preset(path)

    def preview(
        self, data: Path, recipe: str, settings: Config, count: int = 8, strength: float = 0.5, seed: int = 0
    ) -> Preview:
        return preview(data, _fitting(recipe, settings), count, strength, seed)

    def plan(
        self, data: Path | None, recipe: str, settings: Config, cancelled: Callable[[], bool] = lambda: False,
        *, device: str = "auto", seconds: float = BENCH_S, watching: Config | None = None,
    ) -> Plan:
        choose_device(device)  # which raises what the other process could only say
        parts = [_placed(_fitting(recipe, settings)), *([watching] if watching is not None else [])]
        return plan_aside(recipe, parts, data, device, seconds, cancelled)

    def command(self, recipe: str, settings: Config, data: Path, watching: Config | None = None) -> tuple[str, ...]:
        words = [recipe, "--data", str(data.absolute()), *to_arguments(_placed(_fitting(recipe, settings)))]
        return (*words, *(to_arguments(watching) if watching is not None else ()))

    def snapshots(self, run: RunFolder) -> tuple[float, ...]:
        return snapshots(run)

    def best(self, run: RunFolder) -> float | None:
        return best(run)

    def export(
        self, run: RunFolder, out: Path, kimg: float | None = None, *, title: str | None = None, **words: str
    ) -> Path:
        return export_snapshot(run, out, kimg, title=title, **words)


def _describe(name: str) -> RecipeInfo:
    kind = RECIPES.get(name)
    needs = ("pictures", *sorted(kind.settings.paths))
    return RecipeInfo(name, kind.description, kind.settings, needs, explorable=_draws(kind.settings))


def _draws(settings: type[LoopConfig]) -> bool:
    """Whether its models draw pictures from noise: then they have a size of that noise."""
    return "z_dim" in settings.__dataclass_fields__


def _placed(config: LoopConfig) -> LoopConfig:
    """With absolute paths: the trainer's working folder is the project's, and they would be looked for there."""
    return config.replace(**{n: str(Path(value).absolute()) for n in config.paths if (value := getattr(config, n))})


def _fitting(recipe: str, config: Config) -> LoopConfig:
    kind = RECIPES.get(recipe).settings
    if type(config) is not kind:
        raise SettingError(f"these settings are not those of the recipe {recipe!r}; choose its own")
    return config
