"""The Hub's cache on this machine, which other programs share: what is in it, how large it is, and deleting from it.

Its layout is the Hub's client's own: models--OWNER--NAME/ with blobs/ (files by hash), snapshots/COMMIT/ (their
names) and refs/ (the commit a branch was at).
"""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from studio.errors import UnknownName
from studio.files import sha256
from studio.hub.address import Address, is_inside
from studio.hub.failures import cache_errors

HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")  # git's, or a sha256


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository. `digest` is its sha256 (64 digits) or git's hash of it (40), as the Hub names it."""

    name: str
    size: int  # bytes
    digest: str


@dataclass(frozen=True)
class Cached:
    """A repository in the cache. `unfinished_bytes` is what a fetch that was cut short has left to go on from."""

    repo: str
    bytes: int
    unfinished_bytes: int
    commits: tuple[str, ...]
    used: float  # seconds since 1970


def folder_of(cache: Path, repo: str) -> Path:
    return cache / f"models--{repo.replace('/', '--')}"


def snapshot(cache: Path, address: Address) -> Path | None:
    """The folder of a revision's files by name, if anything of it is in the cache."""
    folder = folder_of(cache, address.repo)
    with cache_errors(cache):
        ref = folder / "refs" / address.revision
        commit = ref.read_text(encoding="ascii").strip() if ref.is_file() else address.revision
        found = folder / "snapshots" / commit
        return found if HASH.fullmatch(commit) and found.is_dir() else None


def files_of(snapshot: Path) -> tuple[RemoteFile, ...]:
    """What is there of a snapshot. A digest is known where its file is a link to a blob, and otherwise empty."""
    found = []
    for path in sorted(snapshot.rglob("*")):
        if path.is_file():
            blob = Path(os.path.realpath(path)).name
            digest = blob if HASH.fullmatch(blob) and path.is_symlink() else ""
            found.append(RemoteFile(path.relative_to(snapshot).as_posix(), path.stat().st_size, digest))
    return tuple(file for file in found if is_inside(file.name))


def is_intact(path: Path, digest: str) -> bool:
    """Whether a file's bytes are those that the Hub's hash names; an empty digest says nothing."""
    if len(digest) == 40:
        return _git_hash(path) == digest
    return not digest or sha256(path) == digest


def cached(cache: Path) -> list[Cached]:
    """The models in the cache, largest first; what is damaged is passed over, and other kinds are not listed."""
    with cache_errors(cache):
        folders = cache.iterdir() if cache.is_dir() else []  # not glob, which passes over what may not be read
        found = [_describe(f) for f in folders if re.fullmatch("models--.+--.+", f.name) and f.is_dir()]
    return sorted(found, key=lambda c: (-c.bytes - c.unfinished_bytes, c.repo))


def delete(cache: Path, repo: str) -> int:
    """Delete a model from the cache; the bytes that freed. Raises UnknownName, listing what is there."""
    known = {entry.repo: entry for entry in cached(cache)}
    if repo not in known:
        raise UnknownName(f"{repo!r} is not in the Hub's cache; there: {', '.join(sorted(known)) or 'nothing'}")
    with cache_errors(cache):
        shutil.rmtree(folder_of(cache, repo))
        shutil.rmtree(cache / ".locks" / folder_of(cache, repo).name, ignore_errors=True)
    return known[repo].bytes + known[repo].unfinished_bytes


def _describe(folder: Path) -> Cached:
    """Sizes as on disk: a file that two commits share counts once."""
    sizes: dict[str, os.stat_result] = {}
    for path in (*folder.glob("blobs/*"), *folder.glob("snapshots/*/**/*")):
        if path.is_file():
            sizes.setdefault(os.path.realpath(path), path.stat())
    unfinished = sum(s.st_size for name, s in sizes.items() if name.endswith(".incomplete"))
    return Cached(
        repo=folder.name.removeprefix("models--").replace("--", "/", 1),
        bytes=sum(s.st_size for s in sizes.values()) - unfinished,
        unfinished_bytes=unfinished,
        commits=tuple(sorted(path.name for path in folder.glob("snapshots/*"))),
        used=max((s.st_atime for s in sizes.values()), default=folder.stat().st_mtime),
    )


def _git_hash(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
