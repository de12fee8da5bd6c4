"""Settings that suit a purpose, as JSON files: those beside this file, and the person's own in a folder of theirs.

A file is what `python -m train RECIPE --config` reads, with a sentence on when to choose it;
a run's config.json is one.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.config import Config, settings
from studio.errors import SettingError, StudioError, UnknownName
from studio.files import disk_errors, write_json
from studio.runfolder import read_json
from studio.training import Preset
from train.health import HealthConfig
from train.recipes import RECIPES
from train.run import VERSION, check_version

BUNDLED = Path(__file__).resolve().parent
_NAME = re.compile(r"[^\W_][\w .-]{0,59}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # Windows writes to a device instead
_MAX_BYTES = 64 << 10
_MAX_SENTENCE = 300


def bundled() -> dict[str, Preset]:
    """In the order of their files' names, which begin with a number that is not part of the preset's."""
    found = (read_preset(path) for path in sorted(BUNDLED.glob("*.json")))
    return {preset.name: preset for preset in found}


def own(folder: Path) -> dict[str, Preset]:
    """The person's own, by name. Files that cannot be read are left out: the others must stay usable."""
    found = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            found[path.stem] = read_preset(path)
        except StudioError:
            continue
    return found


def read_preset(path: Path) -> Preset:
    """Raises RunError for what is no JSON or of another version, UnknownName for its recipe,
    SettingError for a value.
    """
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        raise SettingError(
            f"{path} has {path.stat().st_size:,} bytes, and a preset at most {_MAX_BYTES:,}; give a preset"
        )
    stored = read_json(path, f"there is no {path}; give a preset's JSON file")
    recipe, values, watching = stored.get("recipe"), stored.get("settings"), stored.get("health", {})
    if not isinstance(recipe, str) or not isinstance(values, dict) or not isinstance(watching, dict):
        raise SettingError(f"{path} does not name a recipe and its settings; give a preset or a run's config.json")
    check_version(stored, path)
    config, health = RECIPES.get(recipe).settings.from_dict(values), HealthConfig.from_dict(watching)
    sentence = stored.get("sentence", "")
    if not isinstance(sentence, str) or len(sentence) > _MAX_SENTENCE:
        raise SettingError(f"{path}: the sentence is not a text of at most {_MAX_SENTENCE} characters; shorten it")
    is_bundled = path.resolve().parent == BUNDLED
    name = path.stem.partition("-")[2] if is_bundled else path.stem
    return Preset(name, sentence, recipe, _differing(config), _differing(health), is_bundled)


def save_preset(
    folder: Path, name: str, recipe: str, config: Config, watching: Config | None = None, sentence: str = ""
) -> Path:
    """As `studio.training.Trainer.save_preset`; one of the same name is replaced."""
    if not _NAME.fullmatch(name) or name.endswith((" ", ".")) or _RESERVED.fullmatch(name):
        what = f"{name[:70]!r} cannot be a preset's name"
        raise SettingError(f"{what}; give 1..60 letters, digits, spaces, dots or dashes, a letter first")
    if name in bundled():
        raise SettingError(f"{name!r} is a preset that comes with the studio; choose another name")
    if len(sentence) > _MAX_SENTENCE:
        raise SettingError(
            f"the sentence has {len(sentence)} characters, over the limit of {_MAX_SENTENCE}; shorten it"
        )
    if type(config) is not RECIPES.get(recipe).settings:
        raise SettingError(f"these settings are not those of the recipe {recipe!r}; choose its own")
    stored = {"version": VERSION, "sentence": sentence, "recipe": recipe, "settings": _differing(config)}
    if watching is not None and (kept := _differing(watching)):
        stored["health"] = kept
    path = folder / f"{name}.json"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(path, stored)
    return path


def delete_preset(folder: Path, name: str) -> None:
    """Raises UnknownName, SettingError for a bundled one."""
    if name in bundled():
        raise SettingError(f"{name!r} comes with the studio and stays; delete one of your own")
    known = own(folder)
    if name not in known:
        raise UnknownName(f"no preset of yours is named {name!r}; known: {', '.join(known) or 'none'}")
    with disk_errors(folder):
        (folder / f"{name}.json").unlink(missing_ok=True)


def _differing(config: Config) -> Mapping[str, Any]:
    """What differs from the defaults: a preset then follows them where they become better."""
    values = config.to_dict()
    return {
        item.name: values[item.name] for item in settings(type(config)) if getattr(config, item.name) != item.default
    }
