import statistics

import torch
from PIL import Image

from benchmarks.style import (
    MIN_FID, PHOTO, PRESETS, SHEET_CELL, SHEET_TITLE, Scores, contact_sheet, pairs_of, print_quality,
)


def test_pairs_differ_and_go_round() -> None:
    photos, paintings = [f"p{i}" for i in range(5)], [f"q{i}" for i in range(4)]
    pairs = pairs_of(photos, paintings, 12)
    assert len(set(pairs)) == 12
    assert {sum(pair[0] == name for pair in pairs) for name in photos} == {2, 3}
    assert {sum(pair[1] == name for pair in pairs) for name in paintings} <= {2, 3, 4}
    assert len(set(pairs_of(photos, paintings, 100))) == 20


def test_the_table_is_over_the_first_pairs(capsys) -> None:
    scores = {name: Scores() for name in (PHOTO, PRESETS, "slow")}
    for i in range(MIN_FID + 2):
        for name, found in scores.items():
            if name == "slow" and i >= MIN_FID:
                continue
            values = {"VGG-content": float(i), "VGG-gram": 1.0} if name != PRESETS else {"VGG-content": float(i)}
            found.add(values, torch.full([1, 3], float(i)))
    looks = [torch.full([1, 3], float(i)) for i in range(MIN_FID + 2)]
    every = print_quality("every", scores, looks, MIN_FID + 2)
    assert list(every) == [PHOTO, PRESETS]  # the slow one did not paint that many
    assert every[PHOTO]["VGG-content"] == statistics.mean(range(MIN_FID + 2))
    assert every[PHOTO]["Lite0-FID"] == 0 and "Lite0-FID" not in every[PRESETS]
    first = print_quality("first", scores, looks, MIN_FID)
    assert first["slow"]["VGG-content"] == statistics.mean(range(MIN_FID))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "every" and [word for word in lines[4].split() if word == "-"] == ["-"] * 3


def test_the_sheet_keeps_columns_where_a_picture_is_missing() -> None:
    red, blue = (Image.new("RGB", (400, 100), colour) for colour in ("red", "blue"))
    sheet = contact_sheet([{"a": red, "b": blue}, {"b": blue}], ["a", "b"])
    width, height = SHEET_CELL
    assert sheet.size == (2 * width, SHEET_TITLE + 2 * height)
    at = lambda column, row: sheet.getpixel((column * width + 20, SHEET_TITLE + row * height + 20))
    assert at(0, 0) == (255, 0, 0) and at(1, 0) == (0, 0, 255)
    assert at(0, 1) == (255, 255, 255) and at(1, 1) == (0, 0, 255)
