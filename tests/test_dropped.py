from pathlib import Path

import pytest
from PIL import Image

from studio.dropped import Dropped, Limits
from studio.errors import DataError
from studio.sources import open_source


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """As a page stores an upload: under a name of its own."""
    path = tmp_path / "upload-1"
    Image.new("RGB", (8, 8), "red").save(path, "PNG")
    return path


def test_subfolders_stay_and_the_folders_own_name_is_no_class(picture: Path, tmp_path: Path) -> None:
    dropped = Dropped(tmp_path / "data")
    names = ["My pictures/cats/a b.png", "My pictures/cats/猫.png", "My pictures/dogs\\c.PNG"]
    assert all(dropped.add(name, picture) for name in names)
    assert dropped.source() == tmp_path / "data" / "My pictures"
    assert open_source(dropped.source()).names == ["cats/a b.png", "cats/猫.png", "dogs/c.PNG"]
    assert picture.exists() and dropped.count == 3 and dropped.total_bytes == 3 * picture.stat().st_size


def test_two_folders_are_two_classes(picture: Path, tmp_path: Path) -> None:
    dropped = Dropped(tmp_path / "data")
    dropped.add("cats/a.png", picture)
    dropped.add("dogs/a.png", picture)
    assert dropped.source() == tmp_path / "data"


@pytest.mark.parametrize(
    "name",
    ["../a.png", "a/../../b.png", "/etc/a.png", "C:/a.png", "C:\\a.png", "a//b.png", "", ".", "a/./b.png",
     "a\0.png", "a\n.png", "..\\a.png", "a/" * 16 + "b.png", "x" * 201 + ".png", "a /b.png",
     "\\\\server\\share\\a.png"],
)
def test_no_path_leads_out_of_the_folder(name: str, picture: Path, tmp_path: Path) -> None:
    dropped = Dropped(tmp_path / "data" / "in")
    with pytest.raises(DataError, match="is no path within a folder"):
        dropped.add(name, picture)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "in", "upload-1"]


def test_what_is_no_picture_is_left_out_and_named(picture: Path, tmp_path: Path) -> None:
    text = tmp_path / "upload-2"
    text.write_text("hello")
    dropped = Dropped(tmp_path / "data", Limits(file_bytes=2000))
    assert not dropped.add("notes.txt", text)
    assert not dropped.add("fake.png", text)
    assert not dropped.add(".hidden/a.png", picture)
    assert not dropped.add("__MACOSX/a.png", picture)
    large = tmp_path / "upload-3"
    large.write_bytes(picture.read_bytes() + bytes(4000))
    assert not dropped.add("large.png", large)
    assert set(dropped.skipped) == {"notes.txt", "fake.png", ".hidden/a.png", "__MACOSX/a.png", "large.png"}
    assert "fake.png" in dropped.skipped["fake.png"] and str(tmp_path) not in dropped.skipped["fake.png"]
    with pytest.raises(DataError, match=r"no picture came with it .*the first of 5 files: notes.txt"):
        dropped.source()


def test_the_same_name_twice_is_kept_once(picture: Path, tmp_path: Path) -> None:
    dropped = Dropped(tmp_path / "data")
    assert dropped.add("a.png", picture) and not dropped.add("a.png", picture)
    assert dropped.count == 1 and "already" in dropped.skipped["a.png"]


def test_limits_of_the_whole(picture: Path, tmp_path: Path) -> None:
    dropped = Dropped(tmp_path / "data", Limits(files=1))
    dropped.add("a.png", picture)
    with pytest.raises(DataError, match="more than 1 pictures"):
        dropped.add("b.png", picture)
    tight = Dropped(tmp_path / "more", Limits(total_bytes=picture.stat().st_size))
    tight.add("a.png", picture)
    with pytest.raises(DataError, match="GiB together"):
        tight.add("b.png", picture)
    with pytest.raises(DataError, match="is not empty"):
        Dropped(tmp_path / "data")
