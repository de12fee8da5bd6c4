from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.cases import CELL, HOLES, TITLE, contact_sheet, cut, draw_hole, in_turns, open_held_out, squares
from studio.errors import UnknownName
from train.data import is_held_out


def test_folders_take_turns_in_an_order_that_stays() -> None:
    names = [f"photos/{i}.png" for i in range(5)] + ["paintings/0.png", "one.png"]
    order = in_turns(names)
    assert sorted(order) == sorted(names) and order == in_turns(names[::-1])
    assert [name.split("/")[0] for name in order] == ["paintings", "photos", "one.png", *["photos"] * 4]


def test_squares_are_not_enlarged_and_go_round() -> None:
    sizes = {"a/0": (100, 80), "a/1": (63, 200), "b/0": (64, 64)}
    openers = {name: lambda size=size: Image.new("RGB", size) for name, size in sizes.items()}
    found = squares(openers, 64, 5)
    assert [name for name, _ in found] == ["a/0", "b/0", "a/0", "b/0", "a/0"]
    assert {picture.size for _, picture in found} == {(64, 64)}
    assert squares(openers, 101, 5) == []


@pytest.mark.parametrize("kind", HOLES)
def test_holes_are_the_same_in_every_run(kind: str) -> None:
    holes = [draw_hole(kind, 64, number) for number in range(4)]
    assert all(0 < hole.mean() <= 0.55 for hole in holes)
    assert all((hole == draw_hole(kind, 64, number)).all() for number, hole in enumerate(holes))
    assert any((hole != holes[0]).any() for hole in holes[1:])


def test_what_a_model_held_out_is_taken(tmp_path: Path, capsys) -> None:
    names = [f"photos/{i}.png" for i in range(20)]
    for name in [*names, "../other/mine.png"]:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    folder = tmp_path / "model"
    folder.mkdir()
    info = '{"version": 1, "model": "inpaint", "config": {}, "training": {"settings": %s}}'
    (folder / "model.json").write_text(info % '{"holdout": 0.3}')
    openers = open_held_out(tmp_path / "data", tmp_path / "other", str(folder))
    wanted = [name for name in names if is_held_out(name, 0.3)]
    assert 0 < len(wanted) < 20 and sorted(openers) == sorted([*wanted, "other/mine.png"])
    assert openers["other/mine.png"]().size == (4, 4) and not capsys.readouterr().out

    (folder / "model.json").write_text(info % "{}")
    assert len(open_held_out(tmp_path / "data", None, str(folder))) == 20
    assert "held nothing out" in capsys.readouterr().out
    with pytest.raises(UnknownName):
        open_held_out(tmp_path / "data", None, str(tmp_path / "nobody"))


def test_a_cut_stays_within_the_picture() -> None:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[290, 390] = 255
    corner = cut(Image.fromarray(pixels), (390, 290))
    assert corner.size == (CELL, CELL)
    assert np.argwhere(np.asarray(corner)[..., 0]).tolist() == [[290 - (300 - CELL), 390 - (400 - CELL)]]
    assert cut(Image.new("RGB", (30, 400))).size == (30, CELL)


def test_sections_of_a_sheet_lie_below_one_another() -> None:
    red, blue = (Image.new("RGB", (CELL, CELL), colour) for colour in ("red", "blue"))
    sheet = contact_sheet({"one": [{"a": red, "b": blue}], "two": [{"c": blue}, {"c": red}]})
    assert sheet.size == (2 * CELL, 2 * TITLE + 3 * CELL)
    middle = lambda column, row, titles: sheet.getpixel((column * CELL + 99, titles * TITLE + row * CELL + 99))
    assert middle(0, 0, 1) == middle(0, 2, 2) == (255, 0, 0)
    assert middle(1, 0, 1) == middle(0, 1, 2) == (0, 0, 255)
    assert middle(1, 1, 2) == (255, 255, 255)
