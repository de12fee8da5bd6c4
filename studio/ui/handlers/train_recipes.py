"""What the train tab's page may ask for before a training: recipes, presets, what settings mean, what is seen."""

import contextlib
import dataclasses
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.config import Config, Setting, settings
from studio.dataset import Report
from studio.errors import SettingError, StudioError
from studio.training import Preset, RecipeInfo, command_line
from studio.ui.components.live import Answer
from studio.ui.handlers.train_pictures import Pictures, jpeg
from studio.ui.services import Services

MAX_PRESET_BYTES = 1 << 20
SEEN = 8  # pictures of what the network sees
SHOWN_PX = 256
RUN = "run/"  # before a run's name, where a training may begin from it
MAX_EXAMINED = 16  # reports
_BLANK = "NAME"  # a run's name on the command line before it has one


class Recipes:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services, pictures: Pictures) -> None:
        self.services, self.trainer, self.jobs, self.pictures = services, services.trainer, services.jobs, pictures
        self.examined: OrderedDict[Path, Report] = OrderedDict()  # what the doctor found lately, by what it looked at

    def described(self) -> list[Answer]:
        """Every recipe with the fields of its form, for the page to keep."""
        return [
            {
                "name": info.name, "description": info.description, "explorable": info.explorable,
                "needs": list(info.needs), "fields": [_field(item) for item in settings(info.settings)],
            }
            for info in self.trainer.recipes
        ]

    def watched(self) -> list[Answer]:
        """The fields of how a run is watched."""
        return [_field(item) for item in settings(self.trainer.watching)]

    def presets(self, data: Any) -> Answer:
        return {"presets": [_told(preset) for preset in self.trainer.presets().values()]}

    def origins(self, data: Any) -> Answer:
        """What a training may start from: {models, runs}, by name."""
        runs = [name for name in self.jobs.names() if self.jobs.run(name).states()]
        return {"models": self.services.models("explore"), "runs": runs}

    def check(self, data: Any) -> Answer:
        """Whether such a training can begin: {command} as it can be copied. Raises StudioError with what is wrong."""
        info, config, watching = self.read(data)
        name = data["name"] if isinstance(data.get("name"), str) and data["name"] else _BLANK
        source = self.pictures.path(data) if data.get("source") else Path("PICTURES")
        words = self.trainer.command(info.name, config, source, watching)
        if source == Path("PICTURES"):
            words = tuple("PICTURES" if word == str(source.absolute()) else word for word in words)
        return {"command": command_line(words, self.jobs.root / name, self._device)}

    def preview(self, data: Any) -> Answer:
        """What the network will see of some pictures: {names, cropped, augmented, changes}. Raises StudioError."""
        info, config, _ = self.read(data)
        seed = data.get("seed")
        if type(seed) is not int or not 0 <= seed < 2**31:
            raise SettingError(f"seed={str(seed)[:20]} is outside 0..{2**31 - 1}")
        found = self.trainer.preview(self.pictures.path(data), info.name, config, SEEN, seed=seed)
        cropped, augmented = ([jpeg(one, SHOWN_PX) for one in some] for some in (found.cropped, found.augmented))
        return {"names": found.names, "cropped": cropped, "augmented": augmented, "changes": cropped != augmented}

    def start(self, data: Any) -> Answer:
        """Queue the run: {run}. Raises StudioError."""
        info, config, watching = self.read(data)
        name = data.get("name")
        if not isinstance(name, str) or not name:
            raise SettingError("the training has no name; give it one")
        source = self.pictures.path(data)
        words = self.trainer.command(info.name, config, source, watching)
        run = self.jobs.submit(name, words, self._device, restart=data.get("restart") is True)
        if report := self.examined.get(source):
            with contextlib.suppress(StudioError):  # the run is queued; a full disk it will tell of itself
                report.save(run.examined_path)
        return {"run": name}

    def remember(self, source: Path, report: Report) -> None:
        """Keep what the doctor found, for a run that begins with these pictures."""
        self.examined[source] = report
        while len(self.examined) > MAX_EXAMINED:
            self.examined.popitem(last=False)

    def save_preset(self, data: Any) -> Answer:
        """Keep the settings under a name: {name, file}, `file` being JSON to download. Raises StudioError."""
        info, config, watching = self.read(data)
        path = self.trainer.save_preset(_text(data, "preset"), info.name, config, watching)
        return {"name": path.stem, "file": path.read_text(encoding="utf-8")}

    def delete_preset(self, data: Any) -> Answer:
        self.trainer.delete_preset(_text(data, "preset"))
        return {}

    def read_preset(self, data: Any) -> Answer:
        """The preset in a file that was brought, as `presets` tells of one. Raises StudioError."""
        text = _text(data, "file")
        if len(text) > MAX_PRESET_BYTES:
            limit = MAX_PRESET_BYTES >> 20
            raise SettingError(f"the file is larger than {limit} MiB, which no preset is; choose another")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "preset.json"
            path.write_text(text, encoding="utf-8")
            try:
                return _told(self.trainer.read_preset(path))
            except StudioError as error:
                raise type(error)(str(error).replace(str(path), "the file")) from error

    def read(self, data: Any) -> tuple[RecipeInfo, Config, Config]:
        """Recipe, its settings and how it is watched, of a request. Raises StudioError."""
        if not isinstance(data, Mapping):
            raise SettingError("the request is not of the form {recipe, settings}; reload the page")
        info = self.trainer.recipe(_text(data, "recipe"))
        config = self._guarded(info, info.settings.from_dict(data.get("settings")))
        return info, config, self.trainer.watching.from_dict(data.get("watching") or {})

    @property
    def _device(self) -> str:
        return str(self.services.engine.device)

    def _guarded(self, info: RecipeInfo, config: Config) -> Config:
        """Settings that are files of this machine, as paths that this page may name. Raises StudioError.

        A page that may not read folders names installed models and runs alone.
        """
        origin = getattr(config, "init", "")
        if origin.startswith(RUN):
            return config.replace(init=str(self.jobs.run(origin.removeprefix(RUN)).path))
        if self.services.paths:
            return config
        if origin:
            self.services.library.find(origin)
        if named := [name for name in info.needs[1:] if getattr(config, name)]:
            what = f"{named[0]} is a folder of this machine, and this page may not read those"
            raise SettingError(f"{what}; train it at the machine itself")
        return config


def _text(data: Any, name: str) -> str:
    value = data.get(name) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise SettingError(f"{name} is missing or no text; reload the page")
    return value


def _field(item: Setting) -> Answer:
    values = dataclasses.asdict(item)
    default = None if item.default is dataclasses.MISSING else item.default
    return {**values, "kind": item.kind.__name__, "default": list(default) if isinstance(default, tuple) else default}


def _told(preset: Preset) -> Answer:
    return {
        "name": preset.name, "sentence": preset.sentence, "recipe": preset.recipe, "settings": dict(preset.settings),
        "watching": dict(preset.watching), "bundled": preset.bundled,
    }
