"""What training offers to the page, as the page sees it. `train.offer` implements it and app.py hands it over.

    trainer.recipes                       what can be trained, each with its settings class, from which a form is made
    trainer.preview(data, recipe, ...)    what the network will see
    trainer.plan(data, recipe, ...)       how long it takes here
    trainer.command(recipe, ...)          the words for Jobs.submit; `command_line` shows them to a person
    trainer.snapshots(run), .export(...)  what a run made, also while it is at work

Settings go back and forth as Config instances (`info.settings.from_dict(values)`); what they hold is valid.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from studio.config import Config
from studio.runfolder import RunFolder


@dataclass(frozen=True)
class RecipeInfo:
    """A recipe as a form shows it."""

    name: str
    description: str  # one sentence on when to choose it
    settings: type[Config]  # its fields make the form; those marked `advanced` are folded away
    needs: tuple[str, ...]  # "pictures" always; "styles": a second folder, which is the setting of that name
    explorable: bool  # its models draw from noise: the Explore tab opens them


@dataclass(frozen=True)
class Preset:
    """Settings that are known to suit a purpose; its JSON is a file for `python -m train RECIPE --config`."""

    name: str
    sentence: str  # when to choose it
    recipe: str
    settings: Mapping[str, Any]  # by name; those left out are the recipe's defaults
    watching: Mapping[str, Any] = field(default_factory=dict)  # the same for how the run is watched
    bundled: bool = True  # comes with the studio, and cannot be deleted


@dataclass(frozen=True)
class Preview:
    """The same pictures twice, both lists in one order."""

    names: list[str]  # within the source
    cropped: list[Image.Image]  # as they are decoded for the network, of the side it learns at
    augmented: list[Image.Image]  # as D is shown them; equal to `cropped` where the settings change nothing
    skipped: dict[str, str]  # name -> why this picture cannot be read


class Plan(Protocol):
    """How long a training takes here, at the pace that was measured."""

    seconds_per_kimg: float
    kimg: float
    memory_bytes: int | None  # at its peak; None where the measurement was too short

    @property
    def seconds(self) -> float:
        """Of the whole run: seconds_per_kimg * kimg. For another length, multiply again; no need to measure."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Its fields, `seconds`, and `words`: 2 h 40 min."""
        ...


class Trainer(Protocol):
    """All that the page asks of training. Every method may be called from any thread; most may take long."""

    recipes: tuple[RecipeInfo, ...]  # in the order to be shown, the one to begin with first
    watching: type[Config]  # how a run is watched: measuring, early stop, rollbacks

    def recipe(self, name: str) -> RecipeInfo:
        """Raises UnknownName, listing the known ones."""
        ...

    def presets(self) -> dict[str, Preset]:
        """By name: the bundled ones in the order to be shown, then the person's own; unreadable files are left out."""
        ...

    def save_preset(
        self, name: str, recipe: str, settings: Config, watching: Config | None = None, sentence: str = ""
    ) -> Path:
        """Keep settings under a name; the file may be offered for download. Only what is no default is kept.

        Raises SettingError for a name that cannot be a file's or is a bundled preset's, DiskError.
        """
        ...

    def delete_preset(self, name: str) -> None:
        """Raises UnknownName, SettingError for a bundled one, DiskError."""
        ...

    def read_preset(self, path: Path) -> Preset:
        """A preset from a file somebody brought; a run's config.json is one too.

        Raises StudioError for anything else.
        """
        ...

    def preview(
        self, data: Path, recipe: str, settings: Config, count: int = 8, strength: float = 0.5, seed: int = 0
    ) -> Preview:
        """What the network will really see of `count` pictures, taken evenly from a folder or zip.

        strength: of ADA, 0..1, which a run finds for itself; other kinds of augmentation have none. seed: of the
        augmentation, for another look. Raises DataError if there is no picture at all.
        """
        ...

    def plan(
        self, data: Path | None, recipe: str, settings: Config, cancelled: Callable[[], bool] = lambda: False,
        *, device: str = "auto", seconds: float = 60.0, watching: Config | None = None,
    ) -> Plan:
        """Train for at most about `seconds` in a folder that is thrown away, and say what the whole run will take.

        data: None measures with pictures of noise, which cost the same and need no scan. Raises StudioError as a
        training does; Cancelled once `cancelled` says so.
        """
        ...

    def command(self, recipe: str, settings: Config, data: Path, watching: Config | None = None) -> tuple[str, ...]:
        """The words for Jobs.submit: recipe, pictures and what differs from the defaults, with absolute paths."""
        ...

    def snapshots(self, run: RunFolder) -> tuple[float, ...]:
        """The kimg that can be exported, ascending; empty before the first tick.

        A running trainer may drop old ones.
        """
        ...

    def best(self, run: RunFolder) -> float | None:
        """Which of the snapshots measured best; None where nothing was measured."""
        ...

    def export(
        self, run: RunFolder, out: Path, kimg: float | None = None, *, title: str | None = None, **words: str
    ) -> Path:
        """Write a snapshot, the newest unless `kimg` names another, to the folder `out` as a checkpoint with a card.

        words: data_licence, data_note, note and licence, for the card. Raises RunError for a kimg that there is not.
        """
        ...


def command_line(words: Sequence[str], run: Path, device: str = "auto") -> str:
    """What a person types to begin the same run by hand. words: as `Trainer.command` gives them."""
    return shlex.join(["python", "-m", "train", *words, "--run", str(run), "--device", device])
