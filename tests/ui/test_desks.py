import base64
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studio.errors import DiskError, SettingError
from studio.ui import desks as module
from studio.ui.desks import Desks, Kept, Limits, MissingFile, finding, safe_name, safe_path

MINE, YOURS = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def desks() -> Iterator[Desks]:
    desks = Desks(Limits(file=1000, desk=2500, total=4000, desks=3, files=4, uploads=2))
    yield desks
    desks.close()


def piece(content: bytes, offset: int = 0, size: int | None = None, **changes: Any) -> SimpleNamespace:
    texts = {"desk": MINE, "upload": "c" * 32, "name": "sea.png", "offset": str(offset)}
    texts |= {"size": str(len(content) if size is None else size), **changes}
    return SimpleNamespace(data=texts, files=[("piece", content)])


def put(desks: Desks, content: bytes, **changes: Any) -> Kept:
    kept = desks.receive(piece(content, **changes))
    assert kept is not None
    return kept


def taken(desks: Desks, desk: str, file: str) -> bytes:
    return base64.b64decode(desks.take({"desk": desk, "file": file, "offset": 0})["piece"])


def test_a_file_arrives_in_pieces_and_leaves_in_pieces(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 4)
    assert desks.receive(piece(b"ABCD", 0, 7)) is None
    kept = desks.receive(piece(b"EFG", 4, 7))
    assert kept == Kept(hashlib.sha256(b"ABCDEFG").hexdigest(), "sea.png", kept.path, 7)
    assert kept.path.read_bytes() == b"ABCDEFG"
    ask = {"desk": MINE, "file": kept.id}
    assert desks.take(ask | {"offset": 0}) == {"piece": base64.b64encode(b"ABCD").decode(), "size": 7}
    assert desks.take(ask | {"offset": 4})["piece"] == base64.b64encode(b"EFG").decode()
    assert desks.take(ask | {"offset": 7})["piece"] == ""


def test_an_empty_file_is_said_by_its_name(desks: Desks) -> None:
    with pytest.raises(SettingError, match=r"^sea\.png is empty \(0 bytes\); copy or download it again$"):
        desks.receive(piece(b""))


@pytest.mark.parametrize("offset", [-1, 8, 1.0, True, None, "0"])
def test_an_offset_outside_the_file(desks: Desks, offset: object) -> None:
    kept = put(desks, b"ABCDEFG")
    with pytest.raises(SettingError, match="is outside 0..7"):
        desks.take({"desk": MINE, "file": kept.id, "offset": offset})


def test_two_uploads_do_not_mix(desks: Desks) -> None:
    other = {"upload": "d" * 32, "name": "sky.png"}
    desks.receive(piece(b"AB", 0, 4))
    desks.receive(piece(b"ab", 0, 4, **other))
    assert desks.receive(piece(b"CD", 2, 4)).path.read_bytes() == b"ABCD"
    assert desks.receive(piece(b"cd", 2, 4, **other)).path.read_bytes() == b"abcd"


@pytest.mark.parametrize("offset, size", [(3, 4), (1, 4), (2, 3)])
def test_pieces_out_of_order_are_refused_and_forgotten(desks: Desks, temporary: Path, offset: int, size: int) -> None:
    desks.receive(piece(b"AB", 0, 4))
    with pytest.raises(SettingError, match="sea.png did not arrive in order"):
        desks.receive(piece(b"CDE", offset, size))
    with pytest.raises(SettingError, match="sea.png did not arrive in order"):
        desks.receive(piece(b"CD", 2, 4))
    assert [file for file in temporary.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    "change",
    [
        {"desk": "../../etc"}, {"desk": MINE + "\n"}, {"desk": None}, {"upload": "x"}, {"name": None}, {"size": "-1"},
        {"size": "1e3"}, {"size": ""}, {"offset": "²"}, {"size": "0"},
    ],
)
def test_a_piece_of_another_form_is_refused(desks: Desks, change: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        desks.receive(piece(b"AB", **change))


def test_what_is_no_piece_is_refused(desks: Desks) -> None:
    for data in (None, {}, SimpleNamespace(data={}, files=[]), SimpleNamespace(data=piece(b"A").data, files=[])):
        with pytest.raises(SettingError, match="did not arrive whole"):
            desks.receive(data)


def test_a_piece_that_is_too_large(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 3)
    with pytest.raises(SettingError, match="over the limit of"):
        desks.receive(piece(b"ABCD"))


def test_a_file_over_the_limit_is_refused_at_its_first_piece(desks: Desks, temporary: Path) -> None:
    with pytest.raises(SettingError, match=r"sea.png has .* MiB, over the limit of"):
        desks.receive(piece(b"A", 0, 1001))
    assert list(temporary.rglob("*")) == []


def test_a_full_disk_is_said_before_anything_is_sent(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    with pytest.raises(DiskError, match="the disk has no room for sea.png"):
        desks.receive(piece(b"A"))


def test_nobody_reads_another_desk(desks: Desks) -> None:
    kept = put(desks, b"secret")
    put(desks, b"other", desk=YOURS)
    for call in (
        lambda: desks.find(YOURS, kept.id),
        lambda: desks.take({"desk": YOURS, "file": kept.id, "offset": 0}),
        lambda: desks.hold(YOURS, [kept.id]).__enter__(),
    ):
        with pytest.raises(MissingFile):
            call()
    assert desks.missing({"desk": YOURS, "files": [kept.id]}) == {"missing": [kept.id]}
    assert desks.missing({"desk": MINE, "files": [kept.id]}) == {"missing": []}
    assert taken(desks, MINE, kept.id) == b"secret"


@pytest.mark.parametrize("file", ["", "../../etc/passwd", "A" * 64, "a" * 63, None, 3])
def test_a_files_name_is_never_a_path(desks: Desks, file: object) -> None:
    put(desks, b"x")
    with pytest.raises(SettingError, match="64 hexadecimal digits"):
        desks.find(MINE, file)


def test_a_full_desk_forgets_what_it_has_not_used_for_longest(desks: Desks) -> None:
    first, second = put(desks, b"1" * 900), put(desks, b"2" * 900)
    desks.find(MINE, first.id)
    third = put(desks, b"3" * 900)  # 2,700 bytes, 200 over the limit
    assert desks.missing({"desk": MINE, "files": [first.id, second.id, third.id]}) == {"missing": [second.id]}
    assert not second.path.exists()


def test_a_desk_has_so_many_files(desks: Desks) -> None:
    ids = [put(desks, bytes([i])).id for i in range(6)]
    assert desks.missing({"desk": MINE, "files": ids[:3]})["missing"] == ids[:2]
    assert desks.missing({"desk": MINE, "files": ids[3:]})["missing"] == []
    for files in (ids, None, "all"):
        with pytest.raises(SettingError, match="no list of at most 4"):
            desks.missing({"desk": MINE, "files": files})


def test_what_is_in_use_stays(desks: Desks) -> None:
    first = put(desks, b"1" * 900)
    with desks.hold(MINE, [first.id]) as held:
        assert [kept.id for kept in held] == [first.id]
        for i in range(3):
            put(desks, bytes([i]) * 900)
        desks.discard(MINE, first.id)
        assert first.path.exists()
        for name in "cdef0":  # more desks than there may be
            put(desks, b"x", desk=name * 32)
        assert first.path.exists()
    put(desks, b"4" * 900)
    assert not first.path.exists()


def test_desks_that_were_silent_longest_make_room(desks: Desks) -> None:
    mine = put(desks, b"1" * 900)
    for name in "bcd":  # a fourth desk
        put(desks, b"2" * 100, desk=name * 32)
    with pytest.raises(MissingFile):
        desks.find(MINE, mine.id)
    yours = desks.find(YOURS, hashlib.sha256(b"2" * 100).hexdigest())
    for name in "cd":
        put(desks, b"3" * 1000, desk=name * 32)
        put(desks, b"4" * 1000, desk=name * 32)
    assert not yours.path.exists()  # 4,300 bytes in all


def test_a_file_can_be_let_go(desks: Desks) -> None:
    kept = put(desks, b"x")
    desks.discard(MINE, kept.id)
    desks.discard(YOURS, kept.id)
    with pytest.raises(MissingFile):
        desks.find(MINE, kept.id)


def test_what_is_made_here_is_put_on_the_desk(desks: Desks) -> None:
    with desks.scratch(MINE) as folder:
        (folder / "made").write_bytes(b"painting")
        (folder / "rest").write_bytes(b"rest")
        kept = desks.add(MINE, folder / "made", "../sea: <1>.png")
    assert (kept.name, kept.bytes) == ("sea_ _1_.png", 8)
    assert taken(desks, MINE, kept.id) == b"painting"
    assert not folder.exists()


def test_nothing_is_left_behind(desks: Desks, temporary: Path) -> None:
    put(desks, b"x")
    desks.receive(piece(b"AB", 0, 4))
    assert list(temporary.iterdir()) != []
    desks.close()
    assert list(temporary.iterdir()) == []


def test_desks_of_killed_servers_are_cleared_away(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead, alive = temporary / "atelier-desks-4242-x", temporary / f"atelier-desks-{os.getpid()}-x"
    dead.mkdir()
    alive.mkdir()
    monkeypatch.setattr(module.psutil, "pid_exists", lambda pid: pid == os.getpid())
    desks = Desks()
    put(desks, b"x")
    assert (dead.exists(), alive.exists()) == (False, True)
    desks.close()


@pytest.mark.parametrize(
    "name, safe",
    [
        ("sea.png", "sea.png"), ("../../etc/passwd", "passwd"), ("C:\\photos\\sea.png", "sea.png"),
        ("a/b/c.jpg", "c.jpg"),
        ("", "file"), ("...", "file"), ("风景.jpg", "风景.jpg"), ("a\0b\n.png", "a_b_.png"),
        ("photo\u202egnp.exe", "photo_gnp.exe"),
        ("x" * 300 + ".png", "x" * 116 + ".png"),
    ],
)
def test_names_fit_any_system(name: str, safe: str) -> None:
    assert safe_name(name) == safe


# --- looked at, written, named


def test_the_last_piece_is_looked_at(desks: Desks) -> None:
    seen = []

    def look(desk: str, kept: Kept, purpose: object) -> dict[str, object]:
        seen.append((desk, kept.path.read_bytes(), purpose))
        return {"id": kept.id}

    assert desks.accept(piece(b"ABCD", 0, 7, purpose="work"), look) == {}
    assert seen == []
    answer = desks.accept(piece(b"EFG", 4, 7, purpose="work"), look)
    assert answer == {"id": hashlib.sha256(b"ABCDEFG").hexdigest()}
    assert seen == [(MINE, b"ABCDEFG", "work")]


def test_what_is_refused_is_forgotten(desks: Desks) -> None:
    def look(desk: str, kept: Kept, purpose: object) -> dict[str, object]:
        raise SettingError("not this one")

    with pytest.raises(SettingError, match="^not this one$"):
        desks.accept(piece(b"ABCD"), look)
    with pytest.raises(MissingFile):
        desks.find(MINE, hashlib.sha256(b"ABCD").hexdigest())


def test_bytes_made_here_are_a_file(desks: Desks) -> None:
    kept = desks.write(MINE, b"ABCD", "a/mask.png")
    assert (kept.id, kept.name, kept.bytes) == (hashlib.sha256(b"ABCD").hexdigest(), "mask.png", 4)
    assert desks.find(MINE, kept.id).path.read_bytes() == b"ABCD"


def test_a_file_that_is_gone_is_an_answer() -> None:
    @finding
    def ask(file: str) -> dict[str, object]:
        if file:
            raise MissingFile(file)
        return {"found": True}

    assert ask("") == {"found": True}
    assert ask("ab" * 32) == {"missing": ["ab" * 32]}


@pytest.mark.parametrize(
    "name, path",
    [
        ("roses/1.png", "roses/1.png"),
        ("..\\..\\1.png", "1.png"),
        ("/etc/./../1:2.png", "etc/1_2.png"),
        ("a/b/c/d/e/f/g/h/i.png", "b/c/d/e/f/g/h/i.png"),
        (" /. ", "picture"),
    ],
)
def test_names_with_folders(name: str, path: str) -> None:
    assert safe_path(name) == path
