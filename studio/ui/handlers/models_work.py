"""What takes long in the models tab: fetching, converting, publishing. Each is a task of the page's own desk.

They have a line of their own: a download of some minutes keeps no picture waiting. A result is JSON.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from studio.adopt import SUFFIXES, adopt, name_for
from studio.catalogue import locate
from studio.errors import Cancelled, CheckpointError, SettingError
from studio.files import sha256
from studio.hub import Hub
from studio.hub.install import install
from studio.inventory import MODEL, NETWORK
from studio.publish import LICENCES, Publication, prepare, publish
from studio.ui.components.live import Answer
from studio.ui.desks import Kept, check_desk
from studio.ui.handlers.models_hub import ModelsHub, signed_in
from studio.ui.tasks import Stopped, Task, Work

MAX_PATH, MAX_NAME = 4000, 100


class ModelsWork:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, hub: ModelsHub) -> None:
        self.hub, self.shelf, self.services = hub, hub.shelf, hub.shelf.services
        self.tasks = self.services.transfers

    def begin(self, data: Any) -> Answer:
        """Put the job data["job"] in line: install, adopt or publish. Raises StudioError."""
        self.shelf.check_own()
        job = data.get("job") if isinstance(data, dict) else None
        makers = {"install": self._install, "adopt": self._adopt, "publish": self._publish}
        if job not in makers:
            raise SettingError(f"{str(job)[:40]!r} is no job; known: {', '.join(makers)}")
        desk = check_desk(data.get("desk"))
        make = makers[job](data)

        def work(task: Task) -> Kept:
            try:
                return self.services.desks.write(desk, json.dumps(make(task)).encode(), "result.json")
            except Cancelled:
                raise Stopped from None

        return self.tasks.start(desk, work)

    def watch(self, data: Any) -> Answer:
        return self.tasks.watch(data)

    def stop(self, data: Any) -> Answer:
        return self.tasks.stop(data)

    def take(self, data: Any) -> Answer:
        return self.services.desks.take(data)

    def receive(self, data: Any) -> Answer:
        """A piece of a file of weights; to the last one, what it could be called here: {id, name, suggested}."""
        self.shelf.check_own()
        return self.services.desks.accept(data, self._accept)

    def prepare(self, data: Any) -> Answer:
        """Exactly what publishing would send.

        {repo, url, private, licence, title, files, bytes, card, notes, seen, signed_in}: `seen` is to be given back
        to the job, which sends what was seen or nothing. Nothing leaves this machine.
        """
        self.shelf.check_own()
        found = self._publication(data)
        files = [{"name": name, "bytes": size} for name, size in found.sizes().items()]
        return {
            "repo": found.repo, "url": f"{Hub().url}/{found.repo}", "private": found.private,
            "licence": found.licence, "title": found.title, "card": found.card,
            "files": files, "bytes": sum(file["bytes"] for file in files),
            "notes": list(found.notes), "seen": _digest(found), "signed_in": signed_in(),
        }

    def _accept(self, desk: str, kept: Kept, purpose: Any) -> Answer:
        if Path(kept.name).suffix.lower() not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            raise CheckpointError(f"{kept.name} is no file of weights; give one that ends in {known}")
        return {"id": kept.id, "name": kept.name, "bytes": kept.bytes, "suggested": name_for(kept.name)}

    def _install(self, data: Any) -> Work:
        address, known = locate(_text(data, "address", 1000))
        name = _text(data, "name", MAX_NAME) or known
        root = self.services.library.roots[-1]

        def make(task: Task) -> Answer:
            def progress(done: int, total: int) -> None:
                note = "models.job_install" if done < total else "models.job_check"
                task.say(note, job="install", name=address.repo, done=_mb(done), total=_mb(total))
                task.progress(0.97 * done / max(total, 1))

            task.say("models.job_look", job="install", name=address.repo)
            with self.hub.fetching(address.repo):
                made = install(Hub(), address, name, root, progress, task.cancelled)
            return _result(made.folder) | {"note": made.note}

        return make

    def _adopt(self, data: Any) -> Work:
        name = _text(data, "name", MAX_NAME)
        root, desk = self.services.library.roots[-1], data["desk"]
        if isinstance(data.get("path"), str):
            path = Path(_text(data, "path", MAX_PATH)).expanduser()
            if "\0" in str(path) or not path.is_absolute():
                whole = "give one that begins at the root of the disk"
                raise SettingError(f"{str(path)[:200]!r} is no whole path; {whole}")
            if not path.is_file():
                raise CheckpointError(f"there is no file {path}; check its name")
            name = name or name_for(path.name)
        else:
            self.services.desks.find(desk, data.get("file"))

        def make(task: Task) -> Answer:
            if isinstance(data.get("path"), str):
                task.say("models.job_adopt", job="adopt", name=path.name)
                return _result(adopt(path, path.name, name, root, task.cancelled))
            with self.services.desks.hold(desk, [data["file"]]) as (kept,):
                task.say("models.job_adopt", job="adopt", name=kept.name)
                made = adopt(kept.path, kept.name, name or name_for(kept.name), root, task.cancelled)
            self.services.desks.discard(desk, kept.id)
            return _result(made)

        return make

    def _publish(self, data: Any) -> Work:
        found = self._publication(data)
        if data.get("seen") != _digest(found):
            raise SettingError(f"{found.title} is not what was shown any more; look at what would be sent again")

        def make(task: Task) -> Answer:
            def progress(done: int, total: int) -> None:
                task.say("models.job_send", job="publish", name=found.repo, done=_mb(done), total=_mb(total))
                task.progress(0.97 * done / max(total, 1))

            task.say("models.job_publish", job="publish", name=found.repo)
            url = publish(found, progress=progress, cancelled=task.cancelled)
            return {"url": url, "private": found.private, "title": found.title}

        return make

    def _publication(self, data: Any) -> Publication:
        item = self.shelf.find({"kind": MODEL, "name": data.get("model") if isinstance(data, dict) else None})
        licence = data.get("licence")
        if licence not in LICENCES:
            raise SettingError("no licence is chosen; choose what others may do with the model")
        # private unless the page says, in so many words, that everybody may see it
        return prepare(item.path, _text(data, "repo", 200), licence, private=data.get("public") is not True)


def _digest(publication: Publication) -> str:
    """What tells one publication from another, to the byte."""
    told = hashlib.sha256(f"{publication.repo} {publication.private} {publication.licence}".encode())
    for name, content in publication.files.items():
        digest = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256(content)
        told.update(f"\n{name} {digest}".encode())
    return told.hexdigest()


def _result(made: Path) -> Answer:
    return {"kind": MODEL if made.is_dir() else NETWORK, "name": made.name}


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _text(data: Any, key: str, most: int) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise SettingError(f"the request has no {key}; reload the page")
    return value.strip()[:most]
