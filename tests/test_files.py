import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.errors import DiskError
from studio.files import disk_errors, sha256, whole_file, whole_folder, write_bytes, write_json


def full_disk(*args: object, **more: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def everything_in(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*"))


@pytest.mark.parametrize(
    "code, sentence",
    [
        (errno.ENOSPC, "the disk of PLACE is full; free some space and try again"),
        (errno.EDQUOT, "the disk of PLACE is full; free some space and try again"),
        (errno.EACCES, "PLACE cannot be written (no permission); choose another folder"),
        (errno.EROFS, "PLACE cannot be written (no permission); choose another folder"),
        (errno.ENOENT, "PLACE cannot be written because its folder does not exist; create it first"),
        (errno.ENOTDIR, "PLACE cannot be written because its folder does not exist; create it first"),
        (errno.ENAMETOOLONG, "'PLACE'... is too long for a file's name; choose a shorter one"),
        (errno.EISDIR, "PLACE cannot be written: a folder has that name; choose another name"),
    ],
)
def test_the_systems_refusals_as_sentences(code: int, sentence: str) -> None:
    with pytest.raises(DiskError) as error, disk_errors(Path("PLACE")):
        raise OSError(code, os.strerror(code))
    assert str(error.value) == sentence


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(OSError, match="Bad address"), disk_errors(Path("PLACE")):
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    with pytest.raises(KeyError), disk_errors(Path("PLACE")):
        raise KeyError


def test_refusals_that_safetensors_meets(tmp_path: Path) -> None:
    """Its writer raises an error of its own, in which the system's code is only words."""
    place = tmp_path / "no" / "such" / "folder.safetensors"
    with pytest.raises(DiskError, match="because its folder does not exist"), disk_errors(place):
        save_file({"x": torch.zeros(1)}, place)


def test_bytes_arrive(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert everything_in(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"one")
    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(DiskError, match="is full"):
        write_bytes(path, b"two")
    assert path.read_bytes() == b"one"
    assert everything_in(tmp_path) == ["a.bin"]


def test_no_folder_and_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="its folder does not exist"):
        write_bytes(tmp_path / "none" / "a.bin", b"")
    (tmp_path / "taken").mkdir()
    with pytest.raises(DiskError, match="taken is a folder; give the name of a file in it$"):
        write_bytes(tmp_path / "taken", b"")
    assert everything_in(tmp_path) == ["taken"]


def test_json_is_for_people(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"title": "書"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "title": "書"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert "書" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_a_whole_folder_replaces_the_old_one(tmp_path: Path) -> None:
    for word in ("one", "two"):
        with whole_folder(tmp_path / "deep" / "x") as folder:
            (folder / word).write_text(word)
            assert not (tmp_path / "deep" / "x" / word).exists()
    assert everything_in(tmp_path) == ["deep", "deep/x", "deep/x/two"]
    assert (tmp_path / "deep" / "x").stat().st_mode & 0o777 == 0o755


def test_a_block_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "x") as folder:
        (folder / "one").write_text("one")
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "x") as folder:
        (folder / "two").write_text("two")
        raise KeyboardInterrupt
    assert everything_in(tmp_path) == ["x", "x/one"]


WHOLE = pytest.mark.parametrize("whole", [whole_file, whole_folder])


@WHOLE
def test_what_goes_wrong_elsewhere_is_not_this_places_error(tmp_path: Path, whole: Callable) -> None:
    """A film whose frames need a model that is gone: its own file could have been written."""
    with pytest.raises(FileNotFoundError, match="model.json"), whole(tmp_path / "x"):
        (tmp_path / "models" / "model.json").read_text()
    with pytest.raises(PermissionError), whole(tmp_path / "x"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "elsewhere"))
    with pytest.raises(OSError, match="Permission denied") as error, whole(tmp_path / "x"):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))  # of a socket: it names no file
    assert not isinstance(error.value, DiskError)
    assert everything_in(tmp_path) == []


@WHOLE
def test_what_goes_wrong_at_this_place_is_its_error(tmp_path: Path, whole: Callable) -> None:
    with pytest.raises(DiskError, match="x cannot be written .no permission."), whole(tmp_path / "x") as beside:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(beside))
    with pytest.raises(DiskError, match="^the disk of .*x is full"), whole(tmp_path / "x"):
        full_disk()
    assert everything_in(tmp_path) == []


def test_a_whole_file_replaces_the_old_one(tmp_path: Path) -> None:
    for word in ("one", "two"):
        with whole_file(tmp_path / "x") as beside:
            beside.write_text(word)
            assert word == "one" or (tmp_path / "x").read_text() == "one"
    assert (tmp_path / "x").read_text() == "two" and (tmp_path / "x").stat().st_mode & 0o777 == 0o644
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "x") as beside:
        beside.write_text("three")
        raise KeyboardInterrupt
    assert (tmp_path / "x").read_text() == "two" and everything_in(tmp_path) == ["x"]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_rename_that_fails_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    with whole_folder(tmp_path / "x") as folder:
        (folder / "one").write_text("one")
    rename, calls = os.replace, []

    def refuse_once(source: Path, target: Path) -> None:
        calls.append(source)
        full_disk() if len(calls) == fails_at else rename(source, target)

    monkeypatch.setattr(os, "replace", refuse_once)
    with pytest.raises(DiskError, match="is full"), whole_folder(tmp_path / "x") as folder:
        (folder / "two").write_text("two")
    assert everything_in(tmp_path) == ["x", "x/one"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a letter")
    with pytest.raises(DiskError, match="is a file, not a folder; choose another name"), whole_folder(tmp_path / "x"):
        pass
    with pytest.raises(DiskError, match="its folder does not exist"), whole_folder(tmp_path / "x" / "y"):
        pass
    assert (tmp_path / "x").read_text() == "a letter"
    assert everything_in(tmp_path) == ["x"]


def test_a_safetensors_file_in_a_whole_folder(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "x") as folder:
        save_file({"x": torch.arange(3)}, folder / "w.safetensors")
    assert load_file(tmp_path / "x" / "w.safetensors")["x"].tolist() == [0, 1, 2]


def test_sha256_of_more_than_a_block(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000  # 1.28 MB, over the block of 1 MiB
    (tmp_path / "a").write_bytes(data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    (tmp_path / "b").write_bytes(b"abc")
    assert sha256(tmp_path / "b") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
