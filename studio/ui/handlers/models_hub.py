"""What the models tab's page may ask of the Hub: the catalogue, a search, a look before a fetch, the cache.

All of it goes under the login of whoever runs the studio: none of it is for visitors.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.catalogue import Entry, catalogue, find, locate
from studio.checkpoint import CARD, INFO, WEIGHTS
from studio.errors import ImageError, SettingError
from studio.hub import Hub, HubError, RemoteFile, Repository, cached, delete
from studio.hub.cache import snapshot
from studio.hub.install import FOREIGN, MAX_CARD, MAX_PICTURE, PICTURES, choose, default_name
from studio.images import open_picture
from studio.inventory import inventory
from studio.ui.cards import read_card
from studio.ui.components.live import Answer
from studio.ui.handlers.models_library import ModelsLibrary
from studio.ui.shelf import jpeg_url, shrunk

THUMB_PX, PREVIEW_PX = 320, 900
MAX_WORDS, MAX_FILES = 200, 60
_SAMPLES = ("sample", "example", "grid", "preview")  # in the names of pictures that show what a model makes


class ModelsHub:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, shelf: ModelsLibrary) -> None:
        self.shelf = shelf
        self._fetching: set[str] = set()
        self._guard = threading.Lock()

    def catalogue(self, data: Any) -> Answer:
        """The known models: {entries, signed_in}."""
        self.shelf.check_own()
        installed = self._installed()
        return {"entries": [_entry(entry, installed) for entry in catalogue()], "signed_in": signed_in()}

    def preview(self, data: Any) -> Answer:
        """An entry's picture, small: {picture}; from the cache alone, unless data["ask"] lets the Hub be asked."""
        self.shelf.check_own()
        address = find(_text(data, "name")).preview_address
        if address is None:
            return {"picture": ""}
        hub = Hub()
        kept = snapshot(hub.folder, address)
        path = kept / address.file if kept else None
        if path is None or not path.is_file():
            if data.get("ask") is not True:
                return {"picture": ""}
            repository = hub.look(address)
            path = hub.download(repository, [_small_enough(repository.file(address.file))]) / address.file
        return {"picture": _picture(path, THUMB_PX)}

    def search(self, data: Any) -> Answer:
        """Models on the Hub by words of their names: {found: [{repo, task, licence, downloads, fits}]}."""
        self.shelf.check_own()
        words = _text(data, "words").strip()[:MAX_WORDS]
        if not words:
            raise SettingError("there are no words to search for; type some")
        installed = self._installed()
        found = [{**vars(one), "fits": _fits(one.task), "here": one.repo in installed} for one in Hub().search(words)]
        return {"found": found}

    def look(self, data: Any) -> Answer:
        """What fetching data["address"] would bring, without fetching it. Raises SettingError, UnknownName, HubError.

        {address, name, title, repo, commit, licence, task, private, gated, note, files, bytes, kept, choices,
        problem}: choices are files of weights of which one is to be named first; problem says why nothing can be
        fetched.
        """
        self.shelf.check_own()
        address, name = locate(_text(data, "address").strip()[:1000])
        hub = Hub()
        repository = hub.look(address)
        answer = {
            "address": str(address), "name": name or default_name(address), "repo": address.repo,
            "file": address.file, "commit": repository.commit, "licence": repository.licence, "task": repository.task,
            "private": repository.private, "gated": repository.gated, "note": repository.note, "url": hub.url,
            "files": [], "bytes": 0, "kept": 0, "choices": [], "problem": "",
        }
        try:
            files = choose(repository)
        except HubError as error:
            weights = _weights(repository)
            if len(weights) > 1 and _fits(repository.task):
                whole = lambda file: str(replace(address, file=file.name))
                told = [{"address": whole(file), "name": file.name, "bytes": file.size} for file in weights]
                return {**answer, "choices": told[:MAX_FILES]}
            return {**answer, "problem": str(error)}
        listed = [{"name": file.name, "bytes": file.size} for file in files]
        kept = hub.kept(repository, files)
        return {**answer, "files": listed, "bytes": sum(file.size for file in files), "kept": kept}

    def glimpse(self, data: Any) -> Answer:
        """The card and a picture of data["address"], which are small, from the Hub: {card, picture}."""
        self.shelf.check_own()
        address, name = locate(_text(data, "address").strip()[:1000])
        wanted = find(name).preview if name else ""
        hub = Hub()
        repository = hub.look(address)
        by_name = {file.name: file for file in repository.files}
        card = by_name.get(CARD)
        pictures = [f for f in repository.files if f.name.lower().endswith(PICTURES) and f.size <= MAX_PICTURE]
        sample = lambda name: any(word in name.lower() for word in _SAMPLES)
        pictures.sort(key=lambda f: (f.name != wanted, not sample(f.name), "/" in f.name))
        files = [file for file in (card, *pictures[:1]) if file and (file is not card or card.size <= MAX_CARD)]
        folder = hub.download(repository, files) if files else None
        answer: Answer = {"card": [], "picture": ""}
        if folder and card in files:
            answer["card"] = read_card((folder / CARD).read_text(encoding="utf-8", errors="replace"))
        if folder and pictures:
            answer["picture"] = _picture(folder / pictures[0].name, PREVIEW_PX)
        return answer

    def cache(self, data: Any) -> Answer:
        """What of the Hub is kept on this machine: {models, bytes, folder}."""
        self.shelf.check_own()
        folder, installed = Hub().folder, self._installed()
        models = [
            {"repo": c.repo, "bytes": c.bytes + c.unfinished_bytes, "unfinished": c.unfinished_bytes, "used": c.used,
             "commits": len(c.commits), "here": c.repo in installed}
            for c in cached(folder)
        ]
        return {"models": models, "bytes": sum(model["bytes"] for model in models), "folder": str(folder)}

    def forget(self, data: Any) -> Answer:
        """Delete data["repo"] from the cache: {freed: bytes}. What is installed is a copy, and stays."""
        self.shelf.check_own()
        repo = _text(data, "repo")
        with self._guard:
            if repo in self._fetching:
                raise SettingError(f"{repo} is being fetched; wait for it, or cancel it first")
            return {"freed": delete(Hub().folder, repo)}

    @contextlib.contextmanager
    def fetching(self, repo: str) -> Iterator[None]:
        """While the block lasts the repository stays in the cache."""
        with self._guard:
            self._fetching.add(repo)
        try:
            yield
        finally:
            with self._guard:
                self._fetching.discard(repo)

    def _installed(self) -> set[str]:
        """The repositories that something installed is from."""
        return {item.source.repo for item in inventory(self.shelf.services.library) if item.source}


def signed_in() -> bool:
    """Whether the Hub's client has a login to send; the login itself goes nowhere else."""
    from huggingface_hub import get_token

    return bool(get_token())


def _entry(entry: Entry, installed: set[str]) -> Answer:
    told = ("name", "title", "repo", "task", "bytes", "resolution", "licence", "note")
    here = entry.repo in installed
    return {**{key: getattr(entry, key) for key in told}, "here": here, "preview": bool(entry.preview)}


def _weights(repository: Repository) -> list[RemoteFile]:
    names = {file.name for file in repository.files}
    ours = {INFO, WEIGHTS} <= names
    return [] if ours else [file for file in repository.files if file.name.lower().endswith(FOREIGN)]


def _fits(task: str) -> bool:
    """Whether a repository that calls its task so may be for pictures; many do not say."""
    return not task or "image" in task


def _small_enough(file: RemoteFile) -> RemoteFile:
    if file.size > MAX_PICTURE:
        size = f"{file.name} has {file.size / 1e6:.1f} MB, over the limit of {MAX_PICTURE / 1e6:.1f} for a preview"
        raise SettingError(f"{size}; look at it on the Hub")
    return file


def _picture(path: Path, longest: int) -> str:
    """A data URL; empty for what is no picture, which a stranger's repository may well call one."""
    try:
        return jpeg_url(shrunk(open_picture(path).rgb(), longest))
    except ImageError:
        return ""


def _text(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, str):
        raise SettingError(f"the request has no {key}; reload the page")
    return value
