"""Which network does what: those that are installed, and those that a visitor brought as a file of weights."""

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any

from studio.community import Networks
from studio.enlarge import Enlarger
from studio.errors import CapabilityError, CheckpointError, StudioError, UnknownName
from studio.files import disk_errors, sha256
from studio.formats.spandrel import SUFFIXES, facts_of
from studio.inventory import noted_facts
from studio.library import networks
from studio.recent import Recent
from studio.restore import BY_NETWORK, Restorer
from studio.ui.components.live import Answer
from studio.ui.desks import Kept, MissingFile
from studio.ui.handlers.restore_controls import RestoreControls
from studio.ui.services import Services

BROUGHT = 3  # files of networks that are held ready for all visitors


class RestoreNetworks:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._installed: Recent[Restorer] = Recent(16)
        self._brought: Recent[Restorer | Enlarger] = Recent(BROUGHT)
        self._hashes: Recent[str] = Recent(64)  # of installed files
        self._guard = threading.Lock()

    def restorer(self, desk: str, controls: RestoreControls) -> Restorer:
        """Raises CapabilityError where the settings' network is not installed, MissingFile where its file is gone."""
        if controls.method in BY_NETWORK and controls.network:
            path = self._file(self.at_hand(desk, controls.network))
            return self._brought.get(("fills", path), lambda: Restorer(self.services.engine, path, self._detector()))
        installed = self.services.models("inpaint")
        if controls.method in BY_NETWORK and controls.model not in installed:
            lack = f"no network named {controls.model!r} that fills is installed"
            raise CapabilityError(f"{lack}; choose patches, biharmonic, Telea or Navier-Stokes")
        model = controls.model if controls.model in installed else ""
        return self._installed.get(model, lambda: Restorer(self.services.engine, model, self._detector()))

    def detecting(self) -> Restorer:
        """One that suggests. Raises CapabilityError where nothing that does is installed."""
        if not self._detector():
            raise CapabilityError("no network that finds damage is installed; paint the mask by hand")
        return self._installed.get("", lambda: Restorer(self.services.engine, "", self._detector()))

    def enlarger(self, desk: str, controls: RestoreControls) -> Enlarger:
        """Raises as `restorer`."""
        if controls.enlarger:
            path = self._file(self.at_hand(desk, controls.enlarger))
            return self._brought.get(("enlarges", path), lambda: Enlarger(self.services.engine, path))
        names = self.services.models("upscale")
        if not names:
            raise CapabilityError("no network that cleans and enlarges is installed; load one from a file")
        return Enlarger(self.services.engine, names[0])

    def info(self, kept: Kept) -> Answer:
        """What a visitor's file is: {id, name, kind: network, does: fills or enlarges, architecture, licence, scale}.

        Raises CheckpointError, CapabilityError.
        """
        with Networks(self.services.engine).use(self._file(kept)) as model:
            return {"id": kept.id, "name": kept.name, "kind": "network", **facts_of(model.network)}

    def installed(self) -> list[Answer]:
        """Networks kept as files on this machine: [{name, does}]; does is empty where that is not known yet."""
        return [{"name": name, "does": noted_facts(path).get("does", "")} for name, path in networks().items()]

    def choose(self, desk: str, name: Any) -> Answer:
        """Lay an installed network on the desk, as if it had been brought: its `info`. Raises UnknownName."""
        files = networks()
        if not isinstance(name, str) or name not in files:
            raise UnknownName(f"no network named {str(name)[:80]!r}; installed: {', '.join(files) or 'none'}")
        return self.info(self._laid(desk, files[name]))

    def at_hand(self, desk: str, file: str) -> Kept:
        """A network on the desk, laid there again if it is an installed one. Raises MissingFile."""
        try:
            return self.services.desks.find(desk, file)
        except MissingFile:
            for path in networks().values():
                facts = path.stat()
                if self._hashes.get((path, facts.st_mtime_ns, facts.st_size), lambda: sha256(path)) == file:
                    return self._laid(desk, path)
            raise

    def _laid(self, desk: str, path: Path) -> Kept:
        with self.services.desks.scratch(desk) as folder:
            copy = folder / "network"
            with disk_errors(copy):
                try:
                    os.link(path, copy)
                except OSError:  # another disk, or a system that lets nobody
                    shutil.copyfile(path, copy)
            return self.services.desks.add(desk, copy, path.name)

    def warm(self) -> None:
        """Make ready what fills. Whatever is wrong with it is said when it is used."""
        with contextlib.suppress(StudioError):
            self.restorer("", RestoreControls()).check()

    def _detector(self) -> str:
        return next(iter(self.services.models("damage")), "")

    def _file(self, kept: Kept) -> Path:
        """The file under the visitor's name for it, whose ending says how it is read."""
        if not is_network(kept.name):
            raise CheckpointError(f"{kept.name} is no file of weights; give one that ends in {', '.join(SUFFIXES)}")
        path = kept.path.with_name(f"{kept.id}.named") / kept.name
        with self._guard:
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                _link(path, kept.path)
        return path


def _link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target)
    except OSError:  # not every system lets everyone
        os.link(target, path)


def is_network(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES
