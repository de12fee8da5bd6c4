import hashlib
import io
import itertools
import math
import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from studio import sources
from studio.dataset import examine
from studio.errors import DataError, ImageError
from studio.sources import FolderSource
from tests.train.conftest import fill, png
from train import data as reading
from train.data import Pictures, batches, decode, indices_at, is_held_out, open_pictures


def pack(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def refused(path: Path, **how: object) -> str:
    """The one sentence with which a source is refused."""
    with pytest.raises(DataError) as caught:
        open_pictures(path, 32, 1, **how)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 400, sentence
    return sentence


def take(stream: object, count: int) -> list[torch.Tensor]:
    taken = [pictures for pictures, _ in itertools.islice(stream, count)]
    stream.close()
    return taken


# What is shown, in which order


@pytest.mark.parametrize("size", [2, 7, 64])
def test_each_epoch_is_a_permutation_of_its_own(size: int) -> None:
    stream = indices_at(0, 3 * size, size, seed=5)
    epochs = [stream[i * size : (i + 1) * size] for i in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(size))] * 3
    if size > 2:
        assert epochs[0] != epochs[1] != epochs[2]


def test_any_position_gives_the_tail_of_the_same_stream() -> None:
    whole = indices_at(0, 50, 7, seed=1)
    for position in range(40):
        assert indices_at(position, 10, 7, seed=1) == whole[position : position + 10]
    assert indices_at(0, 50, 7, seed=2) != whole


def test_batches_from_any_position_are_the_tail(data: Path) -> None:
    pictures = open_pictures(data, 32, 1)
    whole = take(batches(pictures, 0, 5, seed=3), 6)
    tail = take(batches(pictures, 20, 5, seed=3), 2)
    assert torch.equal(torch.stack(whole[4:]), torch.stack(tail))


def test_processes_share_a_batch_out(data: Path) -> None:
    pictures = open_pictures(data, 32, 1)
    (whole,) = take(batches(pictures, 8, 6, seed=3), 1)
    shares = [take(batches(pictures, 8, 6, 3, rank, 3), 1)[0] for rank in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert torch.equal(torch.stack(shares, dim=1).flatten(0, 1), whole)


def test_batches_are_the_files_pixels(data: Path) -> None:
    pictures = open_pictures(data, 32, 1, classes=True)
    images, labels = next(batches(pictures, 0, 4, seed=0))
    for image, label, index in zip(images, labels, indices_at(0, 4, 16, 0)):
        name = pictures.names[index]
        with Image.open(data / name) as file:
            assert list(file.get_flattened_data() if hasattr(file, "get_flattened_data") else file.getdata()) == (
                ((image + 1) * 127.5).round().int().flatten().tolist()
            )
        assert pictures.class_names[label] == name[0]
    assert images.dtype == torch.float32 and images.min() >= -1 and images.max() <= 1


def test_what_does_not_fit_in_memory_is_decoded_again(data: Path) -> None:
    kept, dear = open_pictures(data, 32, 1), open_pictures(data, 32, 1, memory_bytes=100)
    assert dear._decoded is None and kept._decoded is not None
    assert torch.equal(dear.load([3, 0]), kept.load([3, 0]))


def test_a_picture_that_vanishes_is_a_sentence(tmp_path: Path) -> None:
    fill(tmp_path, ["1.png", "2.png"])
    pictures = open_pictures(tmp_path, 32, 1, memory_bytes=0)
    (tmp_path / "2.png").unlink()
    with pytest.raises(ImageError, match="^2.png cannot be read"):
        pictures.load([1])


# What is read


def test_folder_and_zip_give_the_same(tmp_path: Path) -> None:
    """Order as well: a run may go on with its folder packed, or unpacked."""
    names = ["a10.png", "a2.png", "B/1.png", "b/1.png", ".hidden.png", "__MACOSX/a2.png"]
    folder = fill(tmp_path / "folder", names)
    files = {name: (folder / name).read_bytes() for name in names}
    packed = pack(tmp_path / "x.zip", files | {"notes.txt": b"no picture"})
    one, other = open_pictures(folder, 32, 1), open_pictures(packed, 32, 1)
    assert one.names == other.names == sorted(["a10.png", "a2.png", "B/1.png", "b/1.png"])
    assert torch.equal(one.load([0, 1, 2, 3]), other.load([0, 1, 2, 3]))


def test_the_middle_square_is_kept() -> None:
    wide = Image.new("RGB", (96, 32), (255, 0, 0))
    wide.paste((0, 0, 255), (32, 0, 64, 32))
    file = io.BytesIO()
    wide.save(file, "PNG")
    colour = decode(file.getvalue(), 32, 3)
    assert colour.shape == (3, 32, 32) and colour.dtype == torch.uint8
    assert [int(c.min()) for c in colour] == [int(c.max()) for c in colour] == [0, 0, 255]
    assert decode(file.getvalue(), 32, 1).unique().tolist() == [29]  # 0.114 * 255


def test_bad_files_are_skipped_and_listed(tmp_path: Path) -> None:
    fill(tmp_path, ["1.png", "2.png"])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no picture at all")
    (tmp_path / "cut.png").write_bytes(png(0)[:300])
    pictures = open_pictures(tmp_path, 32, 1)
    assert pictures.names == ["1.png", "2.png"]
    reasons = {skipped["name"]: skipped["reason"] for skipped in pictures.summary()["skipped"]}
    assert sorted(reasons) == ["cut.png", "empty.png", "text.jpg"]
    assert "empty" in reasons["empty.png"] and "cut short" in reasons["cut.png"]
    assert "not a picture" in reasons["text.jpg"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_entry_is_skipped(tmp_path: Path, method: int) -> None:
    path = pack(tmp_path / "x.zip", {f"{i}.png": png(i) for i in range(3)}, method)
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("1.png").header_offset + 30 + len("1.png")
    content = bytearray(path.read_bytes())
    content[at + 40 : at + 400] = b"\xff" * 360
    path.write_bytes(content)
    pictures = open_pictures(path, 32, 1)
    assert pictures.names == ["0.png", "2.png"] and pictures.skipped[0].name == "1.png"
    assert "cannot be unpacked" in pictures.skipped[0].reason


def test_an_encrypted_entry_is_skipped(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {f"{i}.png": png(i) for i in range(3)})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[6] |= 1  # the flag of encryption, in both of the first file's headers
    content[central + 8] |= 1
    path.write_bytes(content)
    pictures = open_pictures(path, 32, 1)
    assert [skipped.name for skipped in pictures.skipped] == ["0.png"]
    assert "encrypted" in pictures.skipped[0].reason


def test_an_entry_larger_than_its_header_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "x.zip", {"0.png": png(0), "1.png": png(1), "2.png": png(2, (64, 64))})
    monkeypatch.setattr(sources, "MAX_ENTRY_BYTES", 2000)
    assert "unpacks to 0 MiB, over the limit of 0" in refused(path)  # 4 kB, as the header says
    monkeypatch.undo()
    source = sources.ZipSource(path)
    monkeypatch.setattr(sources, "MAX_ENTRY_BYTES", 2000)
    with pytest.raises(ImageError, match="'2.png' unpacks to more than"):
        source.read("2.png")


# What is refused


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    assert f"there is no {tmp_path}/gone; give a folder or a zip" in refused(tmp_path / "gone")
    assert "holds no pictures" in refused(tmp_path)
    fill(tmp_path, ["1.png"])
    assert refused(tmp_path) == f"{tmp_path} holds 1 readable pictures; give 2 or more"
    (tmp_path / "2.png").touch()
    assert "holds 1 readable pictures; give 2 or more; the first of 1 that were skipped: 2.png: " in refused(tmp_path)


def test_a_holdout_that_leaves_too_few(tmp_path: Path) -> None:
    fill(tmp_path, ["1.png", "2.png"])
    sentence = refused(tmp_path, part="held-out", holdout=1e-6)
    assert "0 readable pictures in the held-out part at a holdout of 1e-06; give 2 or more" in sentence


def test_not_a_zip(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    says = "x.zip is not a readable zip (File is not a zip file); pack the pictures again"
    assert says in refused(tmp_path / "x.zip")


@pytest.mark.parametrize("damage", ["cut", "version", "name"])
def test_a_zip_whose_index_is_damaged(tmp_path: Path, damage: str) -> None:
    path = pack(tmp_path / "x.zip", {"0.png": png(0), "1é.png": png(1)})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    if damage == "version":
        content[central + 6 : central + 8] = struct.pack("<H", 99)
    elif damage == "name":
        at = content.rindex("é".encode())
        content[at : at + 2] = b"\xff\xff"  # not the UTF-8 that its flag promises
    path.write_bytes(content[:-30] if damage == "cut" else content)
    assert "is not a readable zip" in refused(path)


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "..\\out.png"])
def test_a_zip_that_reaches_out(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "x.zip", {"1.png": png(1), "2.png": png(2), name: png(3)})
    assert f"names a file outside itself ({name!r}); do not use this zip" in refused(path)


def test_a_zip_bomb(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"1.png": png(1), "2.png": png(2), "3.png": bytes(2 << 20)})
    assert "'3.png'" in refused(path) and "zip bomb" in refused(path)


def test_a_huge_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "x.zip", {"1.png": bytes(3 << 20)})
    monkeypatch.setattr(sources, "MAX_ENTRY_BYTES", 2 << 20)
    assert "unpacks to 3 MiB, over the limit of 2; leave it out" in refused(path)


# Classes and held-out pictures


def test_subfolders_are_classes(data: Path) -> None:
    pictures = open_pictures(data, 32, 1, classes=True)
    assert pictures.class_names == ["a", "b"]
    assert [pictures.class_names[i] for i in pictures.labels] == [name[0] for name in pictures.names]
    assert open_pictures(data, 32, 1).labels.tolist() == [0] * 16


def test_classes_need_subfolders(tmp_path: Path) -> None:
    fill(tmp_path, ["1.png", "2.png"])
    assert "all pictures are in one folder; put each class in a subfolder" in refused(tmp_path, classes=True)


def test_held_out_share() -> None:
    names = [f"{i}.png" for i in range(10_000)]
    held = {name for name in names if is_held_out(name, 0.1)}
    assert abs(len(held) - 1000) < 5 * math.sqrt(10_000 * 0.1 * 0.9)
    assert held < {name for name in names if is_held_out(name, 0.2)}
    assert not any(is_held_out(name, 0.0) for name in names)
    assert all(is_held_out(name, 1.0) for name in names)


def test_the_parts_are_disjoint_and_stable(data: Path, tmp_path: Path) -> None:
    trained = open_pictures(data, 32, 1, part="train", holdout=0.4)
    held = open_pictures(data, 32, 1, part="held-out", holdout=0.4)
    assert sorted(trained.names + held.names) == open_pictures(data, 32, 1).names
    assert len(held) > 2 and held.names == [name for name in held.names if is_held_out(name, 0.4)]
    # a picture that joins later changes nobody's place
    more = {name: (data / name).read_bytes() for name in [*trained.names, *held.names]} | {"c/new.png": png(99)}
    later = open_pictures(pack(tmp_path / "more.zip", more), 32, 1, part="held-out", holdout=0.4)
    assert [name for name in later.names if name != "c/new.png"] == held.names


def test_what_was_found_is_summed_up(data: Path) -> None:
    seen = []
    progress = lambda done, total: seen.append((done, total))
    pictures: Pictures = open_pictures(data, 32, 1, classes=True, progress=progress)
    expected = {"pictures": 16, "resolution": 32, "channels": 1, "classes": ["a", "b"], "skipped": []}
    names = hashlib.sha256("\n".join(pictures.names).encode()).hexdigest()
    assert pictures.summary() == {**expected, "fit": "crop", "names_sha256": names}
    assert open_pictures(data, 32, 1, fit="pad").summary()["fit"] == "pad"
    assert seen == [(i, 16) for i in range(1, 17)]


@pytest.mark.parametrize("fit", ["crop", "pad", "squeeze"])
def test_pictures_fit_alike_in_and_beyond_memory(tmp_path: Path, fit: str) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(png(i, (40, 20)))
    held, read_again = (open_pictures(tmp_path, 16, 1, fit=fit, memory_bytes=n) for n in (1 << 20, 1))
    wanted = torch.stack([decode(png(i, (40, 20)), 16, 1, fit) for i in range(3)])
    assert torch.equal(held.load([0, 1, 2]), wanted) and torch.equal(read_again.load([0, 1, 2]), wanted)


def test_nothing_is_written_beside_the_pictures(data: Path) -> None:
    before = sorted(os.listdir(data))
    open_pictures(data, 32, 1)
    assert sorted(os.listdir(data)) == before


def test_what_memory_does_not_hold_is_looked_through_in_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{i:02}.png" for i in range(12)]
    fill(tmp_path, names)
    for broken in ("03.png", "06.png"):
        (tmp_path / broken).write_bytes(b"cut short")
    whole = open_pictures(tmp_path, 8, 1)
    seen: dict[int, set[str]] = {}
    for rank in (0, 1):
        looked, found = set(), {}
        monkeypatch.setattr(reading, "place", lambda: (rank, 2))
        monkeypatch.setattr(reading, "gathered", lambda mine: found.update(mine) or dict(mine))
        read = FolderSource.read
        monkeypatch.setattr(FolderSource, "read", lambda self, name: looked.add(name) or read(self, name))
        open_pictures(tmp_path, 8, 1, memory_bytes=1)
        monkeypatch.setattr(FolderSource, "read", read)
        seen[rank] = looked
        assert set(found) == {name for name in ("03.png", "06.png") if name in looked}
    assert seen[0] == set(names[::2]) and seen[1] == set(names[1::2])
    # with what the others found, each has the same list
    broken = {name: reading.Skipped(name, "cut") for name in ("03.png", "06.png")}
    monkeypatch.setattr(reading, "gathered", lambda mine: {**mine, **broken})
    assert open_pictures(tmp_path, 8, 1, memory_bytes=1).names == whole.names


def test_pictures_of_one_pixel_and_of_twenty_thousand(tmp_path: Path) -> None:
    """The doctor tells of them, and a training takes what can be read: none of them ends it."""
    data = fill(tmp_path / "data", ["a.png", "b.png"])
    Image.new("RGB", (1, 1), (9, 99, 199)).save(data / "dot.png")
    Image.new("RGB", (20_000, 24), (200, 100, 0)).save(data / "scroll.png")
    vast = bytearray((data / "dot.png").read_bytes())
    vast[16:24] = struct.pack(">II", 20_000, 20_000)
    vast[29:33] = struct.pack(">I", zlib.crc32(vast[12:29]))
    (data / "vast.png").write_bytes(vast)
    report = examine(data, 16)
    assert (report.small, report.widths["most"], report.pictures) == (["dot.png"], 20_000, 4)
    assert [skipped["name"] for skipped in report.skipped] == ["vast.png"]
    pictures = open_pictures(data, 16, 3)
    assert sorted(pictures.names) == ["a.png", "b.png", "dot.png", "scroll.png"]
    assert "400" in pictures.skipped[0].reason and pictures.skipped[0].name == "vast.png"
    dot, scroll = (pictures.load([pictures.names.index(name)])[0] for name in ("dot.png", "scroll.png"))
    assert dot.flatten(1).float().mean(dim=1).tolist() == [9, 99, 199]
    assert scroll.flatten(1).float().mean(dim=1).tolist() == [200, 100, 0]
