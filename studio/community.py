"""Networks by name from the library, and by path from files of the community: one way to use both."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from studio.checkpoint import ModelInfo
from studio.engine import Engine, LoadedModel
from studio.errors import CheckpointError
from studio.files import sha256
from studio.formats.spandrel import SUFFIXES, read_foreign
from studio.recent import Recent

CACHED = 2  # of these networks are kept in memory


class Networks:
    """What an engine's library has, and what files hold. Safe to call from several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._foreign: Recent[LoadedModel] = Recent(CACHED)

    @contextlib.contextmanager
    def use(self, model: str | Path) -> Iterator[LoadedModel]:
        """The network, with the device to oneself until the block ends. A path is a file's, a name the library's.

        Raises StudioError, as `Engine.use` and `read_foreign`.
        """
        if isinstance(model, str):
            with self.engine.use(model) as loaded:
                yield loaded
            return
        with self.engine.turn(model.name):
            try:
                facts = model.stat()
            except OSError as error:
                raise CheckpointError(f"{model} cannot be read ({error.strerror}); check its name") from error
            yield self._foreign.get((model, facts.st_mtime_ns, facts.st_size), lambda: self._load(model))

    def _load(self, path: Path) -> LoadedModel:
        network = read_foreign(path)
        info = ModelInfo(
            model=network.architecture, config={}, sha256=sha256(path), title=path.stem, licence=network.licence
        )
        return LoadedModel(path.stem, info, network.to(self.engine.device), self.engine.device)


def public_name(model: LoadedModel) -> str:
    """What files call a model: of one that was named by a path, its folder's name, for paths tell of their owner."""
    return os.path.basename(os.path.abspath(model.name))


def network_at(word: str) -> str | Path:
    """A word of the command line as the path of a network's file, if it is one's, and else as a name."""
    return Path(word) if Path(word).suffix.lower() in SUFFIXES else word
