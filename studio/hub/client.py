"""The Hugging Face Hub, through its own client: look at a repository, search, download.

Endpoint, cache, login and offline mode are the person's own (HF_ENDPOINT, HF_HOME, `hf auth login` or HF_TOKEN,
HF_HUB_OFFLINE), read by that client; a token is never held, shown or written here. The client is imported when it is
first needed, since that takes a second.
"""

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import DiskError
from studio.hub.address import Address, is_inside
from studio.hub.cache import HASH, RemoteFile, files_of, folder_of, is_intact, snapshot
from studio.hub.download import Meter, begun, fetch_blob
from studio.hub.failures import READ_ONLY, HubError, Unreachable, cache_errors, sentences

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ANSWER_S = 20.0  # how long the Hub may take to answer a question
MAX_FILES = 20_000
CARD = "README.md"


@dataclass(frozen=True)
class Repository:
    """A repository at one commit. `note` says why it is the cache's copy, and is empty where the Hub has answered."""

    address: Address
    commit: str
    files: tuple[RemoteFile, ...]
    licence: str = ""  # as the card says it; empty where it says nothing
    task: str = ""
    tags: tuple[str, ...] = ()
    private: bool = False
    gated: bool = False
    note: str = ""

    def file(self, name: str) -> RemoteFile:
        """Raises HubError, naming files that are there."""
        for file in self.files:
            if file.name == name:
                return file
        there = ", ".join(file.name for file in self.files[:12]) or "none"
        raise HubError(f"{self.address.repo} has no file {name!r} at {self.address.revision}; there: {there}")


@dataclass(frozen=True)
class Found:
    """What a search has found."""

    repo: str
    task: str
    licence: str
    downloads: int


@dataclass(frozen=True)
class Hub:
    """None means what the person has set: HF_ENDPOINT, and HF_HOME or HF_HUB_CACHE."""

    endpoint: str | None = None
    cache: Path | None = None

    @property
    def url(self) -> str:
        from huggingface_hub import constants

        return (self.endpoint or constants.ENDPOINT).rstrip("/")

    @property
    def folder(self) -> Path:
        from huggingface_hub import constants

        return self.cache or Path(constants.HF_HUB_CACHE)

    def api(self) -> "HfApi":
        """The client itself, for what is asked of it once; inside `sentences`, which put its errors into words."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, library_name="atelier")

    def look(self, address: Address) -> Repository:
        """What a repository holds, without downloading it: from the Hub, or where that is silent, from the cache.

        Raises HubError.
        """
        try:
            with sentences(address, self.url):
                info = self.api().model_info(
                    address.repo, revision=address.revision, files_metadata=True, timeout=ANSWER_S
                )
            return _repository(address, info)
        except Unreachable as error:
            kept = snapshot(self.folder, address)
            if kept is None:
                raise
            licence = _licence(_front_matter(kept / CARD))
            return Repository(address, kept.name, files_of(kept), licence, note=str(error).split(";")[0])
        except (ValueError, KeyError, TypeError) as error:  # not JSON, or JSON of something else
            raise HubError(f"{self.url} does not answer as the Hub does; check HF_ENDPOINT and the proxy") from error

    def search(self, words: str, limit: int = 20) -> list[Found]:
        """Models whose names hold the words, those most downloaded first. Raises HubError."""
        with sentences(Address("models/search"), self.url):  # what a refusal names
            models = list(self.api().list_models(search=words, limit=limit, sort="downloads", full=True))
        return [Found(m.id, m.pipeline_tag or "", _licence(m.card_data), m.downloads or 0) for m in models]

    def download(
        self,
        repository: Repository,
        files: Sequence[RemoteFile],
        progress: Callable[[int, int], None] = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Bring files into the cache and check their hashes; the folder in which they have their names.

        What a download that was cut short has left is gone on from. progress hears bytes done and bytes in all.
        Raises HubError, DiskError; Cancelled once `cancelled` says so, and what has come stays for the next time.
        """
        address = repository.address
        meter = Meter(sum(file.size for file in files), progress, cancelled)
        folder = folder_of(self.folder, address.repo)
        with cache_errors(self.folder):
            if repository.note:
                return self._checked(repository, files, meter)
            self._make_room(repository, files)
            for file in files:
                with sentences(Address(address.repo, address.revision, file.name), self.url):
                    fetch_blob(self._link(repository, file), folder / "blobs" / file.digest, file, meter)
                    self._place(repository, file)
        return folder / "snapshots" / repository.commit

    def kept(self, repository: Repository, files: Sequence[RemoteFile]) -> int:
        """How many bytes of the files are in the cache already, whole or begun."""
        blobs = folder_of(self.folder, repository.address.repo) / "blobs"
        with cache_errors(self.folder):
            here = [file.size if (blobs / file.digest).exists() else begun(blobs / file.digest) for file in files]
        return sum(here)

    def _link(self, repository: Repository, file: RemoteFile) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(repository.address.repo, file.name, revision=repository.commit, endpoint=self.url)

    def _place(self, repository: Repository, file: RemoteFile) -> None:
        """Give a blob its name in the cache. The client does it, so that all who share the cache find it."""
        from huggingface_hub import hf_hub_download

        repo, revision = repository.address.repo, repository.address.revision
        try:
            placed = hf_hub_download(
                repo, file.name, revision=revision, cache_dir=self.folder, endpoint=self.url, library_name="atelier"
            )
        except OSError as error:  # older clients write also where nothing is to be written
            placed = folder_of(self.folder, repo) / "snapshots" / repository.commit / file.name
            if error.errno not in READ_ONLY or not placed.exists():
                raise
        if repository.commit not in Path(placed).parts:
            raise HubError(f"{repo} has changed while it was fetched; fetch it again")

    def _checked(self, repository: Repository, files: Sequence[RemoteFile], meter: Meter) -> Path:
        kept = folder_of(self.folder, repository.address.repo) / "snapshots" / repository.commit
        for file in files:
            if not is_intact(kept / file.name, file.digest):
                which = f"{repository.address.repo}: {file.name} in the cache"
                raise HubError(f"{which} is damaged; fetch it with a network")
            meter.finish(file.size)
        return kept

    def _make_room(self, repository: Repository, files: Sequence[RemoteFile]) -> None:
        """Raises DiskError before the first byte, not after the last that fits."""
        repo = repository.address.repo
        blobs = folder_of(self.folder, repo) / "blobs"
        needed = sum(file.size - begun(blobs / file.digest) for file in files if not (blobs / file.digest).exists())
        place = next(p for p in (self.folder, *self.folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(place).free
        if needed > free:
            sizes = f"{repo} needs {_mb(needed)}, and {_mb(free)} are free on the disk of {self.folder}"
            raise DiskError(f"{sizes}; free some, or set HF_HOME to a folder on another disk")


def _repository(address: Address, info: Any) -> Repository:
    """What the client has read, checked, since names and hashes become paths. Raises ValueError."""
    if not HASH.fullmatch(info.sha or ""):
        raise ValueError(f"{info.sha!r} is no commit")
    # a name that leads elsewhere is not listed, and so cannot be asked for
    siblings = [s for s in (info.siblings or [])[:MAX_FILES] if is_inside(s.rfilename)]
    return Repository(
        address, info.sha, tuple(map(_remote, siblings)), _licence(info.card_data), info.pipeline_tag or "",
        tuple(info.tags or ()), bool(info.private), bool(info.gated),
    )


def _remote(sibling: Any) -> RemoteFile:
    lfs = sibling.lfs
    size, digest = (lfs.size, lfs.sha256) if lfs else (sibling.size, sibling.blob_id)
    if type(size) is not int or not HASH.fullmatch(digest):
        raise ValueError(f"{sibling.rfilename!r} has no size or no hash")
    return RemoteFile(sibling.rfilename, size, digest)


def _front_matter(path: Path) -> Any:
    """What a card in the cache says about its model, or None."""
    from huggingface_hub import ModelCard

    with contextlib.suppress(Exception):  # by hand, it meets any exception of YAML's
        text = path.read_text(encoding="utf-8")
        return ModelCard(text).data if text.startswith("---") else None


def _licence(data: Any) -> str:
    """What the card's front matter says; `other` is put into the words that stand beside it."""
    card = data.to_dict() if data else {}
    said = card.get("license")
    words = said if isinstance(said, list) else [card.get("license_name") if said == "other" else said]
    return ", ".join(str(word) for word in words if word) or (str(said) if said else "")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
