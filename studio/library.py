"""Where models live: the bundled ones in checkpoints/, the person's own in a folder of theirs, or any path."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from studio.checkpoint import INFO
from studio.errors import SettingError, UnknownName
from studio.formats.spandrel import SUFFIXES

BUNDLED = Path(__file__).resolve().parent.parent / "checkpoints"


def home() -> Path:
    """The folder for what the studio keeps between runs: $ATELIER_HOME, or ~/.atelier. Not created here."""
    return Path(os.environ.get("ATELIER_HOME") or Path.home() / ".atelier")


def networks() -> dict[str, Path]:
    """Files of networks that restore pictures, which stay as they came, by their names."""
    folder = home() / "networks"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {p.name: p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()}


def check_name(name: str) -> str:
    """A name that a model may be given. Raises SettingError for one that no folder should have."""
    if not re.fullmatch(r"\w[\w .-]{0,79}", name) or name[-1] in " .":
        raise SettingError(f"{name[:80]!r} is no name for a model; use letters, digits, spaces, - _ and .")
    return name


@dataclass(frozen=True)
class Library:
    """Checkpoint folders by name. Of two with one name, the one in the earlier root is found.

    `any_folder` is for the command line, whose user may read what they like: there a path is as good as a name.
    """

    roots: tuple[Path, ...]
    any_folder: bool = False

    @classmethod
    def default(cls, any_folder: bool = False) -> "Library":
        return cls((BUNDLED, home() / "models"), any_folder)

    def names(self) -> list[str]:
        folders = [f for root in self.roots if root.is_dir() for f in root.iterdir()]
        # a hidden folder is one that was still being written when its writer died
        return sorted({f.name for f in folders if not f.name.startswith(".") and (f / INFO).is_file()})

    def find(self, name: str) -> Path:
        """The folder of the model called `name`. Raises UnknownName, listing the known ones.

        Without `any_folder` a name is never a path: a page hands it in, and must not read folders of its choice.
        """
        if name in self.names():
            return next(root / name for root in self.roots if (root / name / INFO).is_file())
        # os.path, not Path.is_file: for a name that no file system takes it says no instead of raising.
        if self.any_folder and os.path.isfile(os.path.join(name, INFO)):
            return Path(name)
        raise UnknownName(f"no model named {name!r}; installed: {', '.join(self.names()) or 'none'}")
