import errno
import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import studio.commands.generate
import studio.files
from studio.checkpoint import WEIGHTS
from studio.engine import Engine
from studio.explore import Explorer, ExploreSettings
from studio.files import sha256
from studio.images import to_tensor, to_uint8
from studio.library import Library
from studio.nn.mapped_styles import MappedStyles
from studio.provenance import read
from studio.raster.opening import open_picture


def pixels(path: Path | str) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_one_picture_a_seed(cli: Callable, models: Path) -> None:
    answer = cli("generate", "colour", "--seeds", "0-2,10000,1", "--out", "new/pictures", "--json")
    names = ["seed0000.png", "seed0001.png", "seed0002.png", "seed10000.png"]
    assert answer.code == 0 and answer.err == "" and sorted(os.listdir("new/pictures")) == sorted(names)
    # the second 1 is no picture of its own
    assert answer.values["files"] == [os.path.join("new/pictures", name) for name in names]
    assert set(answer.values) == {"files", "seconds"} and answer.values["seconds"] > 0
    explorer = Explorer(Engine(Library((models,)), "cpu"))
    for seed, name in zip((0, 1, 2, 10000), names):
        expected = to_uint8(explorer.picture(ExploreSettings(model="colour", seed=seed, psi=0.7)))[0]
        found = pixels(f"new/pictures/{name}")
        assert found.shape == (32, 32, 3) and np.abs(found - expected.permute(1, 2, 0).numpy()).max() <= 1
    assert len({pixels(f"new/pictures/{name}").tobytes() for name in names}) == 4


def test_for_people(cli: Callable) -> None:
    answer = cli("generate", "grey", "--seeds", "1,2", "--out", "a")
    assert answer.out.startswith("wrote 2 pictures to a in ") and answer.out.count("\n") == 1
    assert pixels("a/seed0001.png").shape == (32, 32)


def test_the_explore_tab_gets_its_settings_back(cli: Callable, models: Path) -> None:
    options = ["--psi", "-0.25", "--noise", "none", "--label", "2"]
    assert cli("generate", "classes", "--seeds", "7-8", *options, "--out", "a").code == 0
    made = read(Path("a/seed0008.png"))
    assert made.tool == studio.explore.TOOL and made.seed == 8 and made.model == "classes"
    assert made.model_sha256 == sha256(models / "classes" / WEIGHTS)
    settings = ExploreSettings.from_dict(made.settings)
    assert settings == ExploreSettings(model="classes", seed=8, psi=-0.25, noise="none", label=2)
    again = Explorer(Engine(Library((models,)), "cpu")).picture(settings)
    assert (torch.from_numpy(pixels("a/seed0008.png")) - to_uint8(again)[0, 0]).abs().max() <= 1


def test_a_folder_is_as_good_as_a_name(cli: Callable, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "grey", tmp_path / "elsewhere" / "mine")
    assert cli("generate", tmp_path / "elsewhere" / "mine", "--seeds", "3", "--out", "a").code == 0
    assert cli("generate", "grey", "--seeds", "3", "--out", "b").code == 0
    assert (pixels("a/seed0003.png") == pixels("b/seed0003.png")).all()
    assert read(Path("a/seed0003.png")).settings["model"] == read(Path("a/seed0003.png")).model == "mine"
    assert str(tmp_path).encode() not in Path("a/seed0003.png").read_bytes()


def test_the_batch_is_no_matter_of_taste(cli: Callable) -> None:
    for batch in (1, 4):
        assert cli("generate", "colour", "--seeds", "0-5", "--batch", batch, "--out", batch).code == 0
    for seed in range(6):
        assert np.abs(pixels(f"1/seed000{seed}.png") - pixels(f"4/seed000{seed}.png")).max() <= 1


@pytest.mark.parametrize("words, sizes", [(["--batch", "4"], [4, 4, 1]), ([], [9]), (["--batch", "256"], [9])])
def test_pictures_are_drawn_by_the_batch(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, words: list[str], sizes: list[int]
) -> None:
    """And those of one batch are gone when the next but one is drawn."""
    batches: list[weakref.ref] = []
    asked: list[int] = []
    draw = Explorer.pictures

    def pictures(self: Explorer, many: list[ExploreSettings]) -> Tensor:
        assert sum(batch() is not None for batch in batches) <= 1
        asked.append(len(many))
        drawn = draw(self, many)
        batches.append(weakref.ref(drawn))
        return drawn

    monkeypatch.setattr(Explorer, "pictures", pictures)
    assert cli("generate", "grey", "--seeds", "0-8", *words, "--out", "a").code == 0
    assert asked == sizes


def test_a_contact_sheet(cli: Callable) -> None:
    words = ["generate", "colour", "--seeds", "4,9,2,7,1", "--psi", "1", "--out", "a", "--json"]
    answer = cli(*words, "--grid", "sheets/all.png")
    assert answer.values["grid"] == os.path.join("sheets", "all.png") and len(os.listdir("a")) == 5
    sheet = pixels("sheets/all.png")
    assert sheet.shape == (64, 96, 3)
    for i, seed in enumerate((4, 9, 2, 7, 1)):
        y, x = divmod(i, 3)
        cell = sheet[32 * y : 32 * y + 32, 32 * x : 32 * x + 32]
        assert (cell == pixels(f"a/seed000{seed}.png")).all()
    assert (sheet[32:, 64:] == 255).all()
    made = read(Path("sheets/all.png"))
    assert made.tool == "generate" and made.seed is None
    assert made.settings == {"model": "colour", "seeds": [4, 9, 2, 7, 1], "psi": 1.0, "noise": "const", "label": 0}


def test_a_large_sheet_shrinks_its_cells(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio.commands.generate, "SHEET_PX", 50)
    assert cli("generate", "grey", "--seeds", "0-3", "--grid", "all.jpg", "--out", "a").code == 0
    assert to_tensor(open_picture(Path("all.jpg"))).shape == (1, 3, 50, 50)
    assert pixels("a/seed0000.png").shape == (32, 32)


def test_the_largest_sheet_says_what_made_it(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text that a picture can carry is bounded: found out after 1024 pictures, that would be a nuisance."""
    monkeypatch.setattr(studio.commands.generate, "SHEET_PX", 64)
    monkeypatch.setattr(Explorer, "pictures", lambda self, many: torch.zeros(len(many), 1, 16, 16))
    monkeypatch.setattr(studio.files, "write_bytes", lambda path, data: None)
    count = studio.commands.generate.MAX_CELLS
    seeds = f"{2**32 - count}-{2**32 - 1}"
    assert cli("generate", "classes", "--seeds", seeds, "--grid", "all.jpg", "--out", "a").code == 0
    assert read(Path("all.jpg")).settings["seeds"] == list(range(2**32 - count, 2**32))


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["nobody", "--seeds", "1"], "no model named 'nobody'; installed: classes, colour, grey"),
        (["grey", "--seeds", "5-3"], "seeds='5-3' runs backwards; write 3-5"),
        (["grey", "--seeds", "0-100000"], "seeds='0-100000' are more than 100000, the most at once; ask for fewer"),
        (
            ["grey", "--seeds", "1", "--psi", "3"],
            "psi=3.0 is outside -1..2 (truncation: 0 the mean picture, 1 the full variety)",
        ),
        (
            ["grey", "--seeds", "1", "--psi", "much"],
            "psi='much' is not a number; give a number in -1..2 (truncation: 0 the mean picture, 1 the full variety)",
        ),
        (["grey", "--seeds", "1", "--noise", "loud"], "noise='loud' is not one of const, random, none"),
        (
            ["classes", "--seeds", "1", "--label", "3"],
            "label=3 is outside 0..2, the classes of 'classes'; choose one of these",
        ),
        (
            ["grey", "--seeds", "1", "--label", "1"],
            "label=1 is given, and 'grey' has no classes; leave the label out",
        ),
        (["grey", "--seeds", "1", "--batch", "0"], "batch=0 is outside 1..256 (pictures drawn in one pass)"),
        (["grey", "--seeds", "1", "--batch", "257"], "batch=257 is outside 1..256 (pictures drawn in one pass)"),
        (
            ["grey", "--seeds", "1", "--grid", "all.gif"],
            "'all.gif' is no name for a contact sheet; let it end in one of .png, .jpg, .jpeg, .webp, .tif, .tiff",
        ),
        (
            ["grey", "--seeds", "0-1024", "--grid", "all.png"],
            "1025 seeds are too many for --grid, which shows 1024; ask for fewer or leave it out",
        ),
        (
            ["grey", "--seeds", "1", "--device", "abacus"],
            "device='abacus' is not one of auto, cpu, cuda, cuda:0, mps; choose one of these",
        ),
        (
            ["grey", "--seeds", "1", "--device", "cuda:99"],
            "this machine has no device 'cuda:99'; use --device cpu, or auto to let the studio choose",
        ),
    ],
)
def test_bad_input(cli: Callable, words: list[str], sentence: str) -> None:
    assert cli("generate", *words, "--out", "a").error == sentence
    assert cli("generate", *words, "--out", "a", "--json").values == {"error": sentence}
    assert not Path("a").exists() or os.listdir("a") == []


def test_a_model_without_styles(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(MappedStyles, "mapping")
    answer = cli("generate", "grey", "--seeds", "1", "--out", "a")
    lacks = "a model with a style space w, which 'grey' lacks"
    assert answer.error == f"generate needs {lacks}; choose another model"
    assert os.listdir() == []


def test_a_damaged_model_makes_no_folder(cli: Callable, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "grey", tmp_path / "broken")
    (tmp_path / "broken" / WEIGHTS).write_bytes(b"weights")
    answer = cli("generate", tmp_path / "broken", "--seeds", "1", "--out", "a")
    assert "model.safetensors is corrupt or no safetensors file" in answer.error and os.listdir() == []


def test_a_file_in_the_folders_place(cli: Callable) -> None:
    Path("file").touch()
    answer = cli("generate", "grey", "--seeds", "1", "--out", "file/a")
    assert answer.error == "file is a file, not a folder; choose another name"


def test_a_disk_that_fills_up_keeps_the_finished_pictures(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, left = os.replace, [2]

    def until_full(source: str, target: Path) -> None:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        replace(source, target)

    monkeypatch.setattr(studio.files.os, "replace", until_full)
    error = cli("generate", "grey", "--seeds", "0-5", "--out", "a").error
    assert error == f"the disk of {Path('a/seed0002.png')} is full; free some space and try again"
    assert sorted(os.listdir("a")) == ["seed0000.png", "seed0001.png"]
