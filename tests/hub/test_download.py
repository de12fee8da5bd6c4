import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download, scan_cache_dir

import studio.hub.client
from studio.errors import Cancelled, DiskError
from studio.hub import Address, Hub, HubError, cached
from studio.hub.download import BLOCK, RETRIES
from tests.hub_server import Fault, HubServer

WEIGHTS = random.Random(0).randbytes(1 << 20)  # four blocks
CARD = b"# A brush\n"
FILES = {"w.safetensors": WEIGHTS, "README.md": CARD}
ON_CDN = "^/[0-9a-f]{64}$"


@pytest.fixture
def brush(server: HubServer) -> str:
    """Its commit's hash."""
    return server.add("ann/brush", FILES, card={"license": "mit"}, tags=("license:mit", "gan"))


def fetch(hub: Hub, text: str = "ann/brush", **more: object) -> Path:
    repository = hub.look(Address.parse(text))
    return hub.download(repository, repository.files, **more)


def partial(hub: Hub) -> list[int]:
    return [p.stat().st_size for p in hub.folder.rglob("*.incomplete")]


def test_what_a_repository_holds(hub: Hub, server: HubServer, brush: str) -> None:
    found = hub.look(Address("ann/brush"))
    assert (found.commit, found.licence, found.note, found.private, found.gated) == (brush, "mit", "", False, False)
    assert {f.name: f.size for f in found.files} == {"w.safetensors": 1 << 20, "README.md": 10}
    assert [len(f.digest) for f in found.files] == [64, 40]
    assert server.seen("resolve") == [], "looking downloads nothing"


def test_files_arrive_where_the_client_itself_finds_them(hub: Hub, brush: str) -> None:
    folder = fetch(hub)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == FILES
    for name in FILES:
        again = hf_hub_download("ann/brush", name, cache_dir=hub.folder, local_files_only=True)
        assert Path(again) == folder / name
    theirs = scan_cache_dir(hub.folder)
    assert not theirs.warnings and theirs.size_on_disk == (1 << 20) + 10
    assert [r.commit_hash for r in next(iter(theirs.repos)).revisions] == [brush]


def test_a_second_time_nothing_is_brought(hub: Hub, server: HubServer, brush: str) -> None:
    fetch(hub)
    server.requests.clear()
    fetch(hub)
    assert server.seen(".", "GET")[1:] == [] and server.seen("revision/main")


def test_progress_is_told_in_bytes(hub: Hub, brush: str) -> None:
    told: list[tuple[int, int]] = []
    fetch(hub, progress=lambda done, total: told.append((done, total)))
    done = [d for d, _ in told]
    assert {total for _, total in told} == {(1 << 20) + 10}
    assert done == sorted(done) and (done[0], done[-1]) == (0, (1 << 20) + 10)
    assert len(set(done)) >= 5, "in blocks, not in whole files"


def test_the_login_goes_to_the_hub_and_to_nobody_else(
    hub: Hub, server: HubServer, login: Callable[[str], None]
) -> None:
    server.add("ann/secret", FILES, private=True)
    login("hf_owner")
    fetch(hub, "ann/secret")
    asked = [(r.host, r.headers.get("Authorization")) for r in server.requests]
    assert {a for host, a in asked if host == "hub"} == {"Bearer hf_owner"}
    assert [a for host, a in asked if host == "cdn"] == [None]
    assert b"hf_owner" not in b"".join(p.read_bytes() for p in hub.folder.rglob("*") if p.is_file())


def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub, server: HubServer, brush: str) -> None:
    server.faults = [Fault(ON_CDN, cut=BLOCK + 7)]
    assert (fetch(hub) / "w.safetensors").read_bytes() == WEIGHTS
    assert [r.headers.get("Range") for r in server.seen(ON_CDN[:-1])] == [None, f"bytes={BLOCK}-"]
    assert {r.headers["Accept-Encoding"] for r in server.seen(ON_CDN[:-1])} == {"identity"}


def test_what_was_cut_for_good_is_gone_on_from_the_next_time(hub: Hub, server: HubServer, brush: str) -> None:
    server.faults = [Fault(ON_CDN, cut=2 * BLOCK), Fault(ON_CDN, status=503)]
    with pytest.raises(HubError) as error:
        fetch(hub)
    assert str(error.value) == "the Hub has a fault of its own (503); try again in some minutes"
    assert partial(hub) == [2 * BLOCK]
    assert [c.unfinished_bytes for c in cached(hub.folder)] == [2 * BLOCK]
    told: list[int] = []
    assert (fetch(hub, progress=lambda done, total: told.append(done)) / "w.safetensors").read_bytes() == WEIGHTS
    assert server.seen(ON_CDN[:-1])[-1].headers["Range"] == f"bytes={2 * BLOCK}-"
    assert BLOCK not in told and partial(hub) == []


def test_a_server_that_knows_no_ranges(hub: Hub, server: HubServer, brush: str) -> None:
    server.faults = [Fault(ON_CDN, cut=BLOCK), Fault(ON_CDN, ignore_range=True)]
    assert (fetch(hub) / "w.safetensors").read_bytes() == WEIGHTS


def test_a_server_that_hangs_up_every_time(hub: Hub, server: HubServer, brush: str) -> None:
    server.faults = [Fault(ON_CDN, cut=0, times=99)]
    with pytest.raises(HubError, match="^the Hub at http://.* cannot be reached .*; check the network, then try"):
        fetch(hub)
    assert len(server.seen(ON_CDN[:-1])) == RETRIES + 1


@pytest.mark.parametrize("name, kind", [("w.safetensors", "sha256"), ("README.md", "git hash")])
def test_other_bytes_than_promised(hub: Hub, server: HubServer, brush: str, name: str, kind: str) -> None:
    server.faults = [Fault(ON_CDN if kind == "sha256" else name, wrong=True)]
    with pytest.raises(HubError) as error:
        fetch(hub)
    digest = hub.look(Address("ann/brush")).file(name).digest
    what = f"{name} has come with another {kind} than the Hub names ({digest[:12]})"
    assert str(error.value) == f"{what}; fetch it again, or check the proxy in between"
    assert partial(hub) == [] and list(hub.folder.rglob(name)) == [] and list(hub.folder.rglob(digest)) == []
    assert (fetch(hub) / name).read_bytes() == FILES[name]


def test_a_damaged_copy_in_the_cache_is_noticed(hub: Hub, server: HubServer, brush: str) -> None:
    path = fetch(hub) / "w.safetensors"
    path.write_bytes(WEIGHTS[:-1] + b"x")
    assert (fetch(hub) / "w.safetensors").read_bytes() == WEIGHTS


def test_a_stop_is_heard_and_nothing_is_lost(hub: Hub, server: HubServer, brush: str) -> None:
    seen = [0]

    def progress(done: int, total: int) -> None:
        seen[0] = done

    with pytest.raises(Cancelled):
        fetch(hub, progress=progress, cancelled=lambda: seen[0] >= 2 * BLOCK)
    kept = partial(hub)[0]
    assert 2 * BLOCK <= kept < len(WEIGHTS)
    assert (fetch(hub) / "w.safetensors").read_bytes() == WEIGHTS
    assert server.seen(ON_CDN[:-1])[-1].headers["Range"] == f"bytes={kept}-"


def test_a_revision_stays_what_it_was(hub: Hub, server: HubServer, brush: str) -> None:
    newer = server.repos["ann/brush"].commit({"README.md": b"# Another\n"})
    assert (fetch(hub, f"ann/brush@{brush}") / "README.md").read_bytes() == CARD
    assert (fetch(hub) / "README.md").read_bytes() == b"# Another\n"
    assert sorted(p.name for p in hub.folder.glob("models--ann--brush/snapshots/*")) == sorted([brush, newer])
    assert [c.bytes for c in cached(hub.folder)] == [(1 << 20) + 20], "the weights are there once"


def test_a_repository_that_changes_meanwhile(hub: Hub, server: HubServer, brush: str) -> None:
    seen = hub.look(Address("ann/brush"))
    server.repos["ann/brush"].commit({"README.md": b"# Another\n"})
    with pytest.raises(HubError, match="^ann/brush has changed while it was fetched; fetch it again$"):
        hub.download(seen, seen.files)


def test_too_little_room_is_said_before_the_first_byte(
    hub: Hub, server: HubServer, brush: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(studio.hub.client.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(DiskError) as error:
        fetch(hub)
    sizes = f"ann/brush needs 1.0 MB, and 1.0 MB are free on the disk of {hub.folder}"
    assert str(error.value) == f"{sizes}; free some, or set HF_HOME to a folder on another disk"
    assert server.seen("resolve") == []


def test_what_is_there_already_needs_no_room(
    hub: Hub, server: HubServer, brush: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = [Fault(ON_CDN, cut=3 * BLOCK), Fault(ON_CDN, status=503)]
    with pytest.raises(HubError):
        fetch(hub)
    usage = type("Usage", (), {"free": BLOCK + 10})
    monkeypatch.setattr(studio.hub.client.shutil, "disk_usage", lambda place: usage)
    assert (fetch(hub) / "w.safetensors").read_bytes() == WEIGHTS


def test_a_disk_that_fills_up_on_the_way(hub: Hub, brush: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(done: int, total: int) -> None:
        if done > BLOCK:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskError, match="^the disk of .* is full; free some space and try again$"):
        fetch(hub, progress=full)
    assert (fetch(hub) / "w.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_the_cache_of_another_user(hub: Hub, brush: str, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(path: Path, *arguments: object, **more: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    repository = hub.look(Address("ann/brush"))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DiskError) as error:
        hub.download(repository, repository.files)
    whose = f"the Hub's cache {hub.folder} belongs to another user or is read-only"
    assert str(error.value) == f"{whose}; set HF_HOME to a folder of your own"


def test_a_cache_that_may_only_be_read_serves_what_it_has(
    hub: Hub, brush: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(hub)

    def refuse(*arguments: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    assert fetch(hub) == folder


def test_offline_the_cache_will_do(hub: Hub, server: HubServer, brush: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch(hub)
    server.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for text in ("ann/brush", f"ann/brush@{brush}"):
        repository = hub.look(Address.parse(text))
        assert repository.commit == brush and {f.name: f.size for f in repository.files} == {
            name: len(data) for name, data in FILES.items()
        }
        assert repository.note.startswith("HF_HUB_OFFLINE is set")
        assert hub.download(repository, repository.files) == folder
    assert server.requests == []


def test_offline_a_damaged_copy_is_not_handed_out(hub: Hub, brush: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (fetch(hub) / "w.safetensors").write_bytes(b"x" * len(WEIGHTS))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="^ann/brush: w.safetensors in the cache is damaged; fetch it with a network$"):
        fetch(hub)


def test_offline_and_never_fetched(hub: Hub, brush: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError) as error:
        fetch(hub)
    said = "HF_HUB_OFFLINE is set, and ann/brush is not in the cache; unset it and fetch once with a network"
    assert str(error.value) == said


def test_a_network_that_is_down(tmp_path: Path) -> None:
    with HubServer().running() as server:
        server.add("ann/brush", FILES)
        hub = Hub(server.url, tmp_path / "cache")
        folder = fetch(hub)
    repository = hub.look(Address("ann/brush"))
    assert repository.note.startswith(f"the Hub at {server.url} cannot be reached")
    assert hub.download(repository, repository.files) == folder
    with pytest.raises(HubError, match="cannot be reached .*; check the network, then try again$"):
        hub.look(Address("ann/other"))


def test_two_at_once_do_not_write_one_file(hub: Hub, brush: str) -> None:
    from filelock import FileLock

    repository = hub.look(Address("ann/brush"))
    locks = hub.folder / ".locks" / "models--ann--brush"
    locks.mkdir(parents=True)
    with FileLock(locks / f"{repository.file('w.safetensors').digest}.fetch.lock"):
        with pytest.raises(HubError, match="^w.safetensors is being fetched by another program; wait for it"):
            hub.download(repository, repository.files)


def test_search(hub: Hub, server: HubServer, brush: str) -> None:
    server.add("bob/brushes", FILES)
    server.add("bob/hidden-brush", FILES, private=True)
    server.add("bob/other", FILES)
    assert [(f.repo, f.licence, f.downloads) for f in hub.search("brush")] == [
        ("ann/brush", "mit", 7), ("bob/brushes", "", 7),
    ]
