"""Known models for art on the Hub: catalogue.json beside this file, and the person's own in catalogue.json of their
library's folder, which come first.

A licence stands in it as the repository's card says it, and is empty where the card says nothing. A revision is a
commit's hash, so that the weights are the ones that were looked at; it is empty where none could be verified.
"""

import json
import re
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from studio import library
from studio.errors import SettingError, UnknownName
from studio.hub.address import Address

BUILT_IN = Path(__file__).with_name("catalogue.json")
VERSION = 1
MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue. `bytes` is what is downloaded, to about a megabyte, where it is known."""

    name: str
    repo: str
    title: str = ""
    revision: str = ""
    file: str = ""  # empty for a repository of this studio's layout
    task: str = ""  # the tab that it is for: explore, style, inpaint, upscale ...
    bytes: int | None = None
    resolution: int | None = None
    licence: str = ""
    preview: str = ""  # a picture in the repository
    note: str = ""

    @property
    def address(self) -> Address:
        return Address(self.repo, self.revision or "main", self.file)

    @property
    def preview_address(self) -> Address | None:
        return Address(self.repo, self.revision or "main", self.preview) if self.preview else None


def own_catalogue() -> Path:
    """The person's file. Not created here."""
    return library.home() / "catalogue.json"


def catalogue() -> list[Entry]:
    """All entries; of two with one name, the person's. Raises SettingError, saying what in their file is wrong."""
    own = read_catalogue(own_catalogue()) if own_catalogue().is_file() else []
    names = {entry.name for entry in own}
    return own + [entry for entry in read_catalogue(BUILT_IN) if entry.name not in names]


def find(name: str) -> Entry:
    """Raises UnknownName, listing the known ones."""
    entries = {entry.name: entry for entry in catalogue()}
    if name not in entries:
        raise UnknownName(f"no model named {name!r} in the catalogue; known: {', '.join(entries)}")
    return entries[name]


def search(words: str) -> list[Entry]:
    """Entries in which every word occurs, in any of their texts."""
    wanted = words.lower().split()
    return [entry for entry in catalogue() if all(word in _texts(entry) for word in wanted)]


def locate(text: str) -> tuple[Address, str]:
    """What a person typed as an address, and the name to install it under: the catalogue's, or "" for an address's.

    Raises SettingError, UnknownName.
    """
    if "/" in text:
        return Address.parse(text), ""
    entry = find(text.strip())
    return entry.address, entry.name


def read_catalogue(path: Path) -> list[Entry]:
    """Raises SettingError naming the file, the entry and what is wrong with it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingError(f"{path} is over {MAX_BYTES >> 20} MiB and no catalogue; move it away")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path} cannot be read ({error.strerror}); make it readable, or move it away") from error
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{path} is not valid JSON; mend it, or move it away") from error
    if not isinstance(values, dict) or not isinstance(values.get("models"), list):
        raise SettingError(f"{path} has no list of models; write {{\"version\": {VERSION}, \"models\": [...]}}")
    if values.get("version") != VERSION:
        raise SettingError(f"{path} has version {values.get('version')!r}, and this studio reads {VERSION}; mend it")
    return [_entry(path, number, value) for number, value in enumerate(values["models"], 1)]


def _entry(path: Path, number: int, value: Any) -> Entry:
    where = f"{path}, model {number}"
    if not isinstance(value, dict):
        raise SettingError(f"{where} is not names with values; write name, repo and what else is known")
    known = {field.name: field for field in fields(Entry)}
    if unknown := sorted(set(value) - set(known)):
        raise SettingError(f"{where} has the unknown {unknown[0]!r}; known: {', '.join(known)}")
    for name, field in known.items():
        given = value.get(name, field.default)
        if given is MISSING:
            raise SettingError(f"{where} has no {name}; add it")
        number_like = "int" in str(field.type)
        fits = given is None or (type(given) is int and given > 0) if number_like else isinstance(given, str)
        if not fits:
            kind = "whole number" if number_like else "text"
            raise SettingError(f"{where}: {name}={given!r} is not a {kind}; mend it")
    entry = Entry(**value)
    if not re.fullmatch(r"\w[\w.-]{0,79}", entry.name):
        raise SettingError(f"{where}: {entry.name[:80]!r} is no name for a model; use letters, digits, - _ and .")
    try:
        _ = entry.address, entry.preview_address
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error
    return entry


def _texts(entry: Entry) -> str:
    return " ".join([entry.name, entry.title, entry.repo, entry.task, entry.licence, entry.note]).lower()
