"""The Hugging Face Hub: addresses, repositories, downloads, the cache; `studio.hub.install` fills the library.

    from studio.hub import from_pretrained
    G = from_pretrained("owner/name")
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from studio.hub.address import Address
from studio.hub.cache import Cached, RemoteFile, cached, delete
from studio.hub.client import Found, Hub, Repository
from studio.hub.failures import HubError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Address", "Cached", "Found", "Hub", "HubError", "RemoteFile", "Repository", "cached", "delete",
    "from_pretrained",
]


def from_pretrained(name: str | os.PathLike[str], revision: str = "main", hub: Hub | None = None) -> "nn.Module":
    """The network of OWNER/NAME on the Hub, or of a checkpoint's folder: on the CPU, in float32, in eval mode.

    `revision` is a branch, a tag or a commit's hash; only a hash is always the same weights. Raises SettingError,
    HubError, DiskError, CheckpointError.
    """
    # torch takes seconds, and looking at the Hub needs none
    from studio.checkpoint import INFO, WEIGHTS, load_network

    if (Path(name) / INFO).is_file():
        return load_network(Path(name))
    hub = hub or Hub()
    repository = hub.look(Address(os.fspath(name), revision))
    if not {INFO, WEIGHTS} <= {file.name for file in repository.files}:
        what = f"{name} has no {INFO} and {WEIGHTS}, so it is no checkpoint of this studio"
        raise HubError(f"{what}; convert it with `python -m studio fetch {name}`")
    return load_network(hub.download(repository, [repository.file(INFO), repository.file(WEIGHTS)]))
