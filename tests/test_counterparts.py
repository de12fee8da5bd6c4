from pathlib import Path

import numpy as np
import pytest

from studio.counterparts import Job, jobs, kept_notes
from studio.errors import ImageError, SettingError
from tests.tiny_style import picture


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_a_folders_files_keep_their_places_and_lossless_kinds(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "b.jpg", "a.TIF", "deep/c.webp", "notes.txt")
    made = {str(job.inside): str(job.out.relative_to(tmp_path)) for job in jobs(folder, tmp_path / "out")}
    assert made == {"a.TIF": "out/a.TIF", "b.jpg": "out/b.png", "deep/c.webp": "out/deep/c.webp"}


def test_two_of_one_name_give_way(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "a.jpg", "a.png", "a.gif")
    made = {job.source.name: job.out.name for job in jobs(folder, tmp_path / "out")}
    assert made["a.png"] == "a.png" and sorted(made.values()) == ["a.gif.png", "a.jpg.png", "a.png"]


def test_one_file_goes_to_a_name_or_into_a_folder(tmp_path: Path) -> None:
    photo = touch(tmp_path, "a.jpg") / "a.jpg"
    assert jobs(photo, tmp_path / "b.jpg") == [Job(photo, tmp_path / "b.jpg", Path("a.jpg"))]
    assert jobs(photo, tmp_path / "new")[0].out == tmp_path / "new" / "a.png"
    (tmp_path / "dotted.png").mkdir()
    assert jobs(photo, tmp_path / "dotted.png")[0].out == tmp_path / "dotted.png" / "a.png"


def test_what_is_not_clear(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "a.png")
    with pytest.raises(SettingError, match=r"^x.png is a file's name, and what is made are several"):
        jobs(folder, tmp_path / "x.png")
    with pytest.raises(SettingError, match=r"a.png is the picture to work from; give another name with --out$"):
        jobs(folder, folder)
    with pytest.raises(ImageError, match=r"^x.bmp does not end in one of .png"):
        jobs(folder / "a.png", tmp_path / "x.bmp")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"holds no pictures; give another folder$"):
        jobs(tmp_path / "empty", tmp_path / "out")


def test_what_a_kind_of_file_cannot_keep_is_said() -> None:
    deep = picture(np.zeros((2, 2, 3), np.uint16))
    assert kept_notes(Path("a.tif"), deep) == kept_notes(Path("a.png"), deep) == []
    assert kept_notes(Path("a.webp"), deep) == ["a.webp: WebP keeps 8 of 16 bits; a .png or .tif keeps them all"]
    assert kept_notes(Path("a.webp"), picture(np.zeros((2, 2, 3), np.uint8))) == []
    assert kept_notes(Path("a.jpg"), deep)[0].startswith("a.jpg: JPEG encodes every pixel anew")
