import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.batch import Task, frames_of, is_film, list_contents, plan
from studio.errors import ImageError, SettingError

STYLE = Path("styles/one.png")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of photos, one of styles."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "photos/b.png", "photos/deeper/c.tif", "styles/one.png", "styles/two.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(name)


def outs(content: str, styles: list[str], out: str) -> list[str]:
    return [task.out.as_posix() for task in plan(Path(content), [Path(style) for style in styles], Path(out))]


@pytest.mark.parametrize(
    "content, out, expected",
    [
        ("photos/a.jpg", "made", "made/a.jpg"),
        ("photos/a.jpg", "styles", "styles/a.jpg"),
        ("photos/a.jpg", "other/x.webp", "other/x.webp"),
        ("photos/d.bmp", "made", "made/d.png"),
        ("photos/nowhere.JPG", "made", "made/nowhere.JPG"),
    ],
)
def test_names_of_results(content: str, out: str, expected: str) -> None:
    Image.new("RGB", (8, 8)).save("photos/d.bmp")
    assert outs(content, ["styles/one.png"], out) == [expected]


def test_a_folders_results_lie_as_its_files_do() -> None:
    assert outs("photos", ["styles/one.png"], "made") == ["made/a.jpg", "made/b.png", "made/deeper/c.tif"]
    assert outs("photos/a.jpg", ["styles"], "made") == ["made/one.jpg", "made/two.jpg"]
    assert outs("photos", ["styles"], "made") == [
        "made/a/one.jpg", "made/a/two.jpg", "made/b/one.png", "made/b/two.png",
        "made/deeper/c/one.tif", "made/deeper/c/two.tif",
    ]


def test_several_styles_make_one_result_and_a_folder_of_them_many() -> None:
    pair = (Path("styles/one.png"), Path("styles/two.png"))
    assert [task.styles for task in plan(Path("photos/a.jpg"), pair, Path("made"))] == [pair]
    each = plan(Path("photos/a.jpg"), [Path("styles")], Path("made"))
    assert [task.styles for task in each] == [pair[:1], pair[1:]]


def test_results_of_one_name_stay_apart() -> None:
    Image.new("RGB", (8, 8)).save("photos/b.bmp")
    Image.new("RGB", (8, 8)).save("photos/B.ppm")
    made = plan(Path("photos"), [STYLE], Path("made"))
    assert {task.content.name: task.out.name for task in made} == {
        "a.jpg": "a.jpg", "b.png": "b.png", "c.tif": "c.tif", "b.bmp": "b.bmp.png", "B.ppm": "B.ppm.png",
    }


def test_films_and_pictures_are_told_apart() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save("still.gif")
    Path("film.MOV").touch()
    task = lambda content, out: plan(Path(content), [STYLE], Path(out))[0]
    assert task("moving.gif", "made") == Task(Path("moving.gif"), (STYLE,), Path("made/moving.gif"), True)
    assert not task("moving.gif", "first.png").film
    assert task("still.gif", "made") == Task(Path("still.gif"), (STYLE,), Path("made/still.png"), False)
    assert task("film.MOV", "made") == Task(Path("film.MOV"), (STYLE,), Path("made/film.mp4"), True)
    assert task("film.MOV", "made/x.webm").out == Path("made/x.webm")
    names = ("moving.gif", "still.gif", "film.MOV", "photos/a.jpg")
    assert [is_film(Path(name)) for name in names] == [True, False, True, False]
    # a camera's JPEG, with a preview behind it
    frames[0].save("camera.jpg", "MPO", save_all=True, append_images=frames[1:])
    files = ("moving.gif", "still.gif", "film.MOV", "nowhere", "camera.jpg")
    assert [frames_of(Path(name)) for name in files] == [2, 1, 1, 1, 1]


def test_a_folders_films() -> None:
    for name in ("photos/deeper/z.mp4", "photos/.hidden/y.mp4", "photos/notes.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    found = [path.relative_to("photos").as_posix() for path in list_contents(Path("photos"))]
    assert found == ["a.jpg", "b.png", "deeper/c.tif", "deeper/z.mp4"]


@pytest.mark.parametrize("out", ["photos/a.jpg", "photos", "deeper/../photos/a.jpg"])
def test_inputs_are_not_overwritten(out: str) -> None:
    Path("deeper").mkdir()
    named = os.path.join("photos", "a.jpg") if out == "photos" else str(Path(out))
    with pytest.raises(SettingError) as error:
        plan(Path("photos/a.jpg"), [STYLE], Path(out))
    assert str(error.value) == f"{named} is one of the pictures to work from; give another name with --out"
    with pytest.raises(SettingError, match="is one of the pictures to work from"):
        plan(Path("photos"), [STYLE], Path("photos"))
    with pytest.raises(SettingError, match="is one of the pictures to work from"):
        plan(Path("photos/a.jpg"), [STYLE], STYLE)


@pytest.mark.parametrize(
    "content, styles, out, sentence",
    [
        (
            "photos/a.jpg", ["styles", "styles/one.png"], "made",
            "styles is a folder among 2 styles; give it alone, or pictures",
        ),
        (
            "photos", ["styles/one.png"], "x.png",
            "x.png is a file's name, and what is made are several; give a folder with --out",
        ),
        (
            "photos/a.jpg", ["styles"], "x.mp4",
            "x.mp4 is a file's name, and what is made are several; give a folder with --out",
        ),
        (
            "photos/a.jpg", ["styles/one.png"], "x.mp4",
            "x.mp4 does not end in one of .png, .jpg, .jpeg, .webp, .tif, .tiff; choose one of these",
        ),
        ("empty", ["styles/one.png"], "made", "empty holds no pictures; give another folder"),
        ("photos", ["empty"], "made", "empty holds no pictures; give another folder"),
    ],
)
def test_what_is_not_clear(content: str, styles: list[str], out: str, sentence: str) -> None:
    Path("empty").mkdir()
    with pytest.raises((SettingError, ImageError)) as error:
        outs(content, styles, out)
    assert str(error.value) == sentence
