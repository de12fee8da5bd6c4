"""What a run keeps in config.json: settings changed by a resume, a version, and nothing after a refused start."""

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from studio.config import settings
from studio.errors import SettingError
from studio.runfolder import RunFolder
from tests.train.conftest import TINY, call, exit_of, fill, start
from train import loop, run
from train.data import open_pictures
from train.recipes import RECIPES, LoopConfig


def stored(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def test_changes_are_in_force_and_kept(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(capsys, *start(data, tmp_path, r1_interval=4))
    before, seen = stored(tmp_path), []
    take_step = loop.take_step

    def watch(phase: object, recipe: object, rounds: list, *rest: object) -> dict[str, torch.Tensor]:
        rates = [round(group["lr"], 9) for name in ("G", "D") for group in recipe.optimizers[name].param_groups]
        seen.append((*rates, recipe.config.gamma(), len(rounds), sum(len(batch.reals) for batch in rounds)))
        return take_step(phase, recipe, rounds, *rest)

    monkeypatch.setattr(loop, "take_step", watch)
    words = ["--lr", "0.005", "--d-lr", "0.001", "--r1-gamma", "3", "--batch", "8", "--accumulate", "2"]
    out = call(capsys, "resume", tmp_path, *words, "--kimg", "0.016", "--tick-kimg", "0.5", "--device", "cpu")
    assert out.splitlines()[0] == (
        "changed from step 2 on: kimg 0.008 -> 0.016, batch 4 -> 8, accumulate 1 -> 2, tick_kimg 0.008 -> 0.5, "
        "lr 0.01 -> 0.005, d_lr none -> 0.001, r1_gamma none -> 3.0"
    )
    assert "/0.016 kimg" in out.splitlines()[1]
    assert set(seen) == {(0.005, 0.0008, 3.0, 2, 8)}  # D's rate makes room for R1 every 4th step
    changes = {"kimg": 0.016, "batch": 8, "accumulate": 2, "tick_kimg": 0.5}
    changes |= {"lr": 0.005, "d_lr": 0.001, "r1_gamma": 3.0}
    after = {**before, "settings": {**before["settings"], **changes}}
    assert stored(tmp_path) == after
    lines = [json.loads(text) for text in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert lines[1]["resumed"] == 2 and lines[1]["changed"]["lr"] == [0.01, 0.005] and len(lines[1]["changed"]) == 7

    seen.clear()
    out = call(capsys, "resume", tmp_path, "--kimg", "0.024", "--device", "cpu", "--json")
    assert json.loads(out.splitlines()[0]) == {"resumed": 3, "changed": {"kimg": [0.016, 0.024]}}
    assert set(seen) == {(0.005, 0.0008, 3.0, 2, 8)}  # D's rate makes room for R1 every 4th step
    after["settings"]["kimg"] = 0.024
    assert "changed" not in call(capsys, "resume", tmp_path, "--device", "cpu") and stored(tmp_path) == after


def test_other_pictures_are_told_and_other_classes_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Class 0 would go on as what was class 1; export would name them as they were."""
    pictures = fill(tmp_path / "data", [f"{kind}/{i}.png" for kind in "ab" for i in range(8)])
    folder, data = tmp_path / "run", lambda: json.loads((tmp_path / "run" / "dataset.json").read_text())
    call(capsys, *start(pictures, folder), "--classes")
    resume = lambda kimg, **words: call(capsys, "resume", folder, "--kimg", kimg, "--device", "cpu", **words)
    assert "pictures 16" not in resume(0.012)
    fill(pictures, ["a/8.png", "b/8.png"])
    assert "pictures 16 -> 18" in resume(0.016) and data()["pictures"] == 18
    (pictures / "a" / "8.png").rename(pictures / "a" / "9.png")
    assert "pictures 18 -> 18, others or renamed" in resume(0.02)
    assert "pictures 18" not in resume(0.024)
    (pictures / "a").rename(pictures / "c")
    sentence = resume(0.028, code=2)
    assert "has the classes b, c and this run has learned a, b; name its folders as they were" in sentence
    assert data()["classes"] == ["a", "b"] and RunFolder(folder).kimg() == 0.024
    (pictures / "c").rename(pictures / "a")
    assert "0.028" in resume(0.028)


def test_pictures_that_disappear_and_come_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set that memory does not hold, on a disk that is pulled out."""
    monkeypatch.setitem(open_pictures.__kwdefaults__, "memory_bytes", 0)
    pictures, folder = fill(tmp_path / "data", [f"{i}.png" for i in range(16)]), tmp_path / "run"
    take_step, gone = loop.take_step, tmp_path / "gone"

    def pull(*arguments: object) -> dict[str, torch.Tensor]:
        if RunFolder(folder).states() and not gone.exists():
            pictures.rename(gone)
        return take_step(*arguments)

    monkeypatch.setattr(loop, "take_step", pull)
    sentence = call(capsys, *start(pictures, folder, kimg=0.064), code=2)
    assert ".png" in sentence and exit_of(folder) == {
        "outcome": "failed", "message": sentence, "kimg": RunFolder(folder).kimg(),
    }
    at = RunFolder(folder).kimg()
    assert at >= 0.008
    assert str(pictures) in call(capsys, "resume", folder, "--device", "cpu", code=2)
    gone.rename(pictures)
    monkeypatch.setattr(loop, "take_step", take_step)
    call(capsys, "resume", folder, "--device", "cpu")
    assert RunFolder(folder).kimg() == 0.064 and exit_of(folder)["outcome"] == "done"


def test_how_pictures_fit_is_kept_and_cannot_change(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    call(capsys, *start(data, tmp_path, fit="pad"))
    assert stored(tmp_path)["settings"]["fit"] == "pad"
    assert json.loads((tmp_path / "dataset.json").read_text())["fit"] == "pad"
    refused = call(capsys, "resume", tmp_path, "--fit", "crop", "--device", "cpu", code=2)
    assert refused.startswith("fit=crop cannot replace fit=pad in mid-run")


def test_a_run_that_says_nothing_of_it_goes_on_with_the_middle(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    call(capsys, *start(data, tmp_path))
    config = stored(tmp_path)
    assert config["settings"].pop("fit") == "crop"
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run.stored_config(RunFolder(tmp_path))[1].fit == "crop"
    assert "changed" not in call(capsys, "resume", tmp_path, "--device", "cpu")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--resolution", "64"], "resolution=64 cannot replace resolution=32 in mid-run, as what was learned so "),
        (["--seed=1"], "seed=1 cannot replace seed=0 in mid-run, "),
        (["--holdout", "0.5"], "holdout=0.5 cannot replace holdout=0.0 in mid-run, "),
        (["--classes"], "classes=True cannot replace classes=False in mid-run, "),
        (["--channel-max", "16", "--lr", "0.001"], "; start another run, or change one of: kimg, batch, "),
        (["--data", "elsewhere"], "data=elsewhere cannot replace the pictures in mid-run; start another run with it"),
        (["--styles", "x"], "the recipe 'stylegan2' has no setting 'styles'; known: kimg, batch"),
        (["--batch", "0"], "batch=0 is outside 2..8192"),
        (["--batch", "many"], "batch='many' is not a whole number"),
        (["--lr", "nan"], "lr=nan is not a finite number"),
        (["--accumulate", "3"], "batch=4 cannot be split over 1 processes in 3 rounds; give a multiple of 3"),
    ],
)
def test_what_cannot_change(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, words: list, says: str
) -> None:
    values = {"version": 1, "recipe": "stylegan2", "data": str(data), "settings": TINY}
    (tmp_path / "config.json").write_text(json.dumps(values))
    before = (tmp_path / "config.json").read_bytes()
    assert says in call(capsys, "resume", tmp_path, "--device", "cpu", *words, code=2)
    assert (tmp_path / "config.json").read_bytes() == before and not RunFolder(tmp_path).progress_path.exists()


def test_flags_that_say_what_is_already_so_change_nothing(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    call(capsys, *start(data, tmp_path))
    before = (tmp_path / "config.json").read_bytes()
    out = call(capsys, "resume", tmp_path, "--resolution", "32", "--no-classes", "--lr", "1e-2", "--device", "cpu")
    assert "changed" not in out and (tmp_path / "config.json").read_bytes() == before


def test_rules_between_settings_hold_after_a_change() -> None:
    style = RECIPES.get("style").settings(batch=8)
    with pytest.raises(SettingError, match="batch=5 is no multiple of photos_a_style=2"):
        run.change(style, {"batch": 5})
    assert run.change(style, {"batch": 4}).batch == 4


def test_what_may_change_exists() -> None:
    """A name spelt wrongly would refuse its setting for ever."""
    known = {item.name for name in RECIPES for item in settings(RECIPES.get(name).settings)}
    assert LoopConfig.changeable - known == set()
    for name in RECIPES:
        kind = RECIPES.get(name).settings
        assert {"kimg", "lr", "batch"} <= kind.changeable and not kind.changeable & {"seed", "holdout", "resolution"}


@pytest.mark.parametrize("version", [2, 0, "1", None, True, 1.5])
def test_settings_of_another_version(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, version: object
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"version": version, "recipe": "stylegan2", "data": str(data), "settings": TINY}))
    says = f"{file} has version {version!r}, and this trainer reads 1; use the one that wrote it"
    for words in (["resume", tmp_path], [*start(data, tmp_path / "x"), "--config", file]):
        assert call(capsys, *words, code=2) == says


def test_settings_without_a_version_are_of_the_first(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    call(capsys, *start(data, tmp_path))
    values = stored(tmp_path)
    assert values.pop("version") == 1
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert "done at 0.016 kimg" in call(capsys, "resume", tmp_path, "--kimg", "0.016", "--device", "cpu")
    assert stored(tmp_path)["version"] == 1


def refuses(*_: object) -> None:
    raise SettingError("styles is missing; give a folder")


def breaks(*_: object) -> dict[str, torch.Tensor]:
    return {"loss_G": torch.tensor(math.nan)}


def overflows(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize(
    ("module", "name", "what", "says"),
    [
        (run, "build_recipe", refuses, "styles is missing; give a folder"),
        (loop, "take_step", breaks, "no state was saved before; lower --lr or raise --r1-gamma and start again"),
        (loop, "take_step", overflows, "lower --batch or raise --accumulate and start again"),
    ],
)
def test_a_start_that_failed_can_be_tried_again(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object,
    name: str, what: object, says: str,
) -> None:
    folder = tmp_path / "x"
    with monkeypatch.context() as patch:
        patch.setattr(module, name, what)
        assert call(capsys, *start(data, folder), code=2).endswith(says)
    assert not (folder / "config.json").exists() and exit_of(folder)["outcome"] == "failed"
    call(capsys, *start(data, folder, resolution=16))
    assert stored(folder)["settings"]["resolution"] == 16 and exit_of(folder)["outcome"] == "done"
    with Image.open(folder / "samples/0000.000.jpg") as grid:
        assert grid.size == (128, 128)  # the first try's would be of 32 px


def test_a_start_without_pictures_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in call(capsys, *start(tmp_path / "empty", tmp_path / "x"), code=2)
    assert not (tmp_path / "x").exists()



def test_a_start_that_failed_after_a_state_is_a_run(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_step = loop.take_step

    def later(*arguments: object) -> dict[str, torch.Tensor]:
        return overflows() if RunFolder(tmp_path).states() else take_step(*arguments)

    monkeypatch.setattr(loop, "take_step", later)
    sentence = call(capsys, *start(data, tmp_path, kimg=0.016), code=2)
    assert sentence.endswith(f"lower --batch or raise --accumulate: python -m train resume {tmp_path} --batch N")
    monkeypatch.setattr(loop, "take_step", take_step)
    assert "done at 0.016 kimg" in call(capsys, "resume", tmp_path, "--batch", "2", "--device", "cpu")
