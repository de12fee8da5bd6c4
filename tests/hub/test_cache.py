import errno
import os
from pathlib import Path

import pytest

from studio.errors import DiskError, UnknownName
from studio.hub import Address, Hub, cached, delete
from studio.hub.cache import RemoteFile, files_of, is_intact, snapshot
from tests.hub_server import HubServer


@pytest.fixture
def filled(hub: Hub, server: HubServer) -> Path:
    """The cache with two models of 300 and 20 bytes, and what other programs keep there."""
    for repo, size in (("ann/brush", 300), ("bob/ink-2", 20)):
        server.add(repo, {"w.safetensors": b"w" * size})
        repository = hub.look(Address(repo))
        hub.download(repository, repository.files)
    (hub.folder / "datasets--ann--pictures" / "blobs").mkdir(parents=True)
    (hub.folder / "models--ann--brush" / "blobs" / ("0" * 64 + ".incomplete")).write_bytes(b"x" * 50)
    return hub.folder


def test_what_is_in_it(filled: Path) -> None:
    assert [(c.repo, c.bytes, c.unfinished_bytes, len(c.commits)) for c in cached(filled)] == [
        ("ann/brush", 300, 50, 1), ("bob/ink-2", 20, 0, 1),
    ]
    assert cached(filled / "not there") == []


def test_deleting_one_leaves_the_others(filled: Path) -> None:
    assert delete(filled, "ann/brush") == 350
    assert [c.repo for c in cached(filled)] == ["bob/ink-2"]
    assert not (filled / "models--ann--brush").exists()
    assert (filled / "datasets--ann--pictures").is_dir()


def test_a_cache_that_may_not_be_read(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(filled))

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)  # which of them pathlib takes depends on Python's version
    with pytest.raises(DiskError, match="belongs to another user or is read-only; set HF_HOME to a folder of"):
        cached(filled)


@pytest.mark.parametrize("repo", ["ann/other", "../..", "", "ann/brush/..", "ann--brush"])
def test_only_what_is_listed_can_be_deleted(filled: Path, repo: str) -> None:
    with pytest.raises(UnknownName) as error:
        delete(filled, repo)
    assert str(error.value) == f"{repo!r} is not in the Hub's cache; there: ann/brush, bob/ink-2"


def test_a_snapshot_by_branch_and_by_hash(filled: Path) -> None:
    folder = snapshot(filled, Address("ann/brush"))
    assert folder is not None and snapshot(filled, Address("ann/brush", folder.name)) == folder
    assert snapshot(filled, Address("ann/brush", "v1")) is None
    assert snapshot(filled, Address("ann/other")) is None
    (filled / "models--ann--brush" / "refs" / "main").write_text("../../../..")
    assert snapshot(filled, Address("ann/brush")) is None, "a commit is a hash and never a path"


def test_files_of_a_cache_without_links(tmp_path: Path) -> None:
    """Where the system makes no links, files lie in the snapshot itself and their hashes are not known."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "w.bin").write_bytes(b"123")
    assert files_of(tmp_path) == (RemoteFile("a/w.bin", 3, ""),)


def test_the_two_hashes_of_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"  # sha256sum
    git = "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert is_intact(path, sha256) and is_intact(path, git) and is_intact(path, "")
    path.write_bytes(b"hello")
    assert not is_intact(path, sha256) and not is_intact(path, git)
