import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio import dataset
from studio.dataset import Report, examine
from studio.errors import Cancelled, DataError


def paint(path: Path, seed: int, size: tuple[int, int] = (80, 80), grey: bool = False) -> Path:
    shape = (5, 5) if grey else (5, 5, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def found(report: Report) -> dict[str, int]:
    return {finding.kind: finding.count for finding in report.findings}


def test_what_is_there_is_counted(tmp_path: Path) -> None:
    for i, size in enumerate([(100, 80), (80, 100), (300, 100), (64, 64), (40, 40)]):
        paint(tmp_path / f"{i}.png", i, size)
    report = examine(tmp_path, 64)
    assert (report.pictures, report.classes, report.skipped, report.copies, report.alike) == (5, {}, [], [], [])
    assert report.widths == {"least": 40, "middle": 80, "most": 300}
    assert report.heights == {"least": 40, "middle": 80, "most": 100}
    assert report.aspects == {"least": 0.8, "middle": 1.0, "most": 3.0}
    assert report.cropped == pytest.approx((0.2 + 0.2 + 2 / 3) / 5, abs=1e-4)
    assert (report.small, report.grey, report.largest) == (["4.png"], 0, 32)
    assert found(report) == {"few": 5, "small": 1, "wide": 1}
    assert report.findings[1].message == (
        "1 pictures are smaller than 64 px and would be blurred by enlarging; leave them out, or train at 32 px"
    )
    assert not any(finding.grave for finding in report.findings) and report.findings[2].names == ("2.png",)


def test_a_picture_lying_on_its_side_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert examine(tmp_path).widths["most"] == 30


def test_bad_files_are_told_and_left_alone(tmp_path: Path) -> None:
    for i in range(3):
        paint(tmp_path / f"书法 {i}.png", i)
    (tmp_path / "cut.png").write_bytes((tmp_path / "书法 0.png").read_bytes()[:300])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "words.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("not looked at")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    report = examine(tmp_path)
    assert report.pictures == 3 and [item["name"] for item in report.skipped] == ["cut.png", "empty.jpg", "words.png"]
    assert all(item["reason"] for item in report.skipped)
    assert found(report)["unreadable"] == 3 and "cut.png" in report.findings[1].names
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_copies_and_pictures_that_look_alike(tmp_path: Path) -> None:
    for i in range(4):
        paint(tmp_path / f"{i}.png", i)
    (tmp_path / "0 again.png").write_bytes((tmp_path / "0.png").read_bytes())
    Image.open(tmp_path / "1.png").resize((70, 70)).save(tmp_path / "1 small.jpg", quality=80)
    report = examine(tmp_path)
    assert report.copies == [["0 again.png", "0.png"]] and report.alike == [["1 small.jpg", "1.png"]]
    assert found(report) == {"few": 5, "copies": 1, "alike": 1}


def test_classes_of_which_one_is_thin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "FEW_OF_A_CLASS", 3)
    for i in range(5):
        paint(tmp_path / f"{'stars' if i < 3 else 'moons'}/deep/{i}.png", i)
    report = examine(tmp_path)
    assert report.classes == {"moons": 2, "stars": 3}
    finding = next(f for f in report.findings if f.kind == "classes")
    assert finding.names == ("moons",) and finding.message.startswith("1 of 2 folders hold fewer than 3 pictures")


def test_grey_pictures_need_one_channel(tmp_path: Path) -> None:
    for i in range(3):
        paint(tmp_path / f"{i}.png", i, grey=True)
    paint(tmp_path / "3.jpg", 3, grey=True)
    report = examine(tmp_path)
    assert (
        report.grey == 4
        and report.findings[-1].message == "all 4 pictures are grey; train with 1 channel, which is faster"
    )
    paint(tmp_path / "4.png", 4)
    assert "grey" not in found(examine(tmp_path))


@pytest.mark.parametrize(
    ("count", "says"), [(3, "3 different pictures are few"), (6, "6 different pictures are enough with"), (9, None)]
)
def test_how_many_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, says: str | None) -> None:
    monkeypatch.setattr(dataset, "FEW", 5)
    monkeypatch.setattr(dataset, "ENOUGH", 8)
    for i in range(count):
        paint(tmp_path / f"{i}.png", i)
    few = [f.message for f in examine(tmp_path).findings if f.kind == "few"]
    assert (few[0].startswith(says) if says else few == [])


def test_nothing_readable_is_grave(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    report = examine(tmp_path)
    assert (
        report.findings[0].grave
        and report.findings[0].message == "0 pictures can be read, and a training needs 2; bring more"
    )
    assert report.widths == {"least": 0, "middle": 0, "most": 0} and report.largest == 0


def test_mostly_small_is_grave(tmp_path: Path) -> None:
    for i in range(3):
        paint(tmp_path / f"{i}.png", i, size=(1, 1))
    small = next(f for f in examine(tmp_path).findings if f.kind == "small")
    assert small.grave and small.message.endswith("leave them out, or bring larger ones")


def test_no_pictures_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        examine(tmp_path)
    with pytest.raises(DataError, match="there is no"):
        examine(tmp_path / "gone")


def test_a_zip_is_read_in_place(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for i in range(3):
            file.write(paint(tmp_path / f"{i}.png", i), f"{'ab'[i % 2]}/{i}.png")
    report = examine(tmp_path / "set.zip")
    assert (report.pictures, report.classes) == (3, {"a": 2, "b": 1})


def test_progress_and_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(40):
        paint(tmp_path / f"{i:02}.png", i, size=(8, 8))
    heard: list[tuple[int, int]] = []
    examine(tmp_path, progress=lambda *pair: heard.append(pair))
    assert heard == [(i, 40) for i in range(1, 41)]
    looked, decode = [], dataset._decode
    monkeypatch.setattr(dataset, "_decode", lambda name, data: (looked.append(name), decode(name, data))[1])
    heard.clear()
    with pytest.raises(Cancelled):
        examine(tmp_path, progress=lambda *pair: heard.append(pair), cancelled=lambda: len(heard) == 3)
    assert len(heard) == 3 and len(looked) < 20


def test_large_pictures_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "LARGE_PIXELS", 50 * 50)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for i in range(8):
        paint(tmp_path / f"{i}.png", i, size=(50, 50))
    decode, at_once, most = dataset._decode, [], []
    guard = threading.Lock()

    def watch(name: str, data: bytes) -> object:
        with guard:
            at_once.append(name)
            most.append(len(at_once))
        try:
            return decode(name, data)
        finally:
            with guard:
                at_once.remove(name)

    monkeypatch.setattr(dataset, "_decode", watch)
    assert examine(tmp_path).pictures == 8 and max(most) == 1


def test_saved_as_json(tmp_path: Path) -> None:
    paint(tmp_path / "set/0.png", 0)
    paint(tmp_path / "set/1.png", 1)
    report = examine(tmp_path / "set", 32)
    report.save(tmp_path / "dataset.json")
    stored = json.loads((tmp_path / "dataset.json").read_text())
    assert stored["version"] == 1 and stored["source"] == str(tmp_path / "set") and stored["pictures"] == 2
    assert stored["findings"][0]["kind"] == "few" and stored == json.loads(json.dumps(report.to_dict()))


def test_works_without_torch() -> None:
    root = Path(__file__).resolve().parents[1]
    code = "import sys; sys.modules['torch'] = None; import studio.dataset"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
