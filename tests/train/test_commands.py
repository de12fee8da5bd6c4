import errno
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from studio.runfolder import RunFolder
from tests.film_files import make_film
from tests.train.conftest import call, exit_of, fill, start
from train import loop, run, state
from train.commands import main


def test_json_lines(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    out = call(capsys, *start(data, tmp_path / "x", kimg=0.016), "--json")
    lines = [json.loads(text) for text in out.splitlines()]
    assert [line.get("tick") for line in lines] == [1, 2, None]
    assert lines[-1] == {"outcome": "done", "kimg": 0.016, "run": str(tmp_path / "x")}
    assert lines[:2] == RunFolder(tmp_path / "x").progress()


def test_a_run_from_its_start_to_a_longer_end(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    out = call(capsys, *start(data, folder))
    assert out.splitlines()[-1] == f"done at 0.008 kimg; use it with: python -m train export {folder} --out DIR"
    stored = json.loads((folder / "config.json").read_text())
    assert (stored["recipe"], stored["data"], stored["settings"]["z_dim"]) == ("stylegan2", str(data), 8)
    assert json.loads((folder / "dataset.json").read_text())["pictures"] == 16
    assert call(capsys, *start(data, folder), code=2) == (
        f"{folder} holds a run already; go on with: python -m train resume {folder}"
    )
    out = call(capsys, "resume", folder, "--kimg", "0.016", "--device", "cpu")
    assert "/0.016 kimg" in out and "done at 0.016 kimg" in out
    assert exit_of(folder)["kimg"] == 0.016


def test_a_preset_and_flags_over_it(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    settings = {"resolution": 32, "channels": 1, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
    settings |= {"batch": 4, "kimg": 500, "loss": "relativistic"}
    preset = tmp_path / "preset.json"
    preset.write_text(json.dumps({"recipe": "stylegan2", "settings": settings}))
    words = ["stylegan2", "--data", data, "--run", tmp_path / "x", "--device", "cpu", "--config", preset]
    call(capsys, *words, "--kimg", "0.004", "--z-dim", "4")
    stored = json.loads((tmp_path / "x/config.json").read_text())["settings"]
    assert (stored["kimg"], stored["z_dim"], stored["w_dim"], stored["loss"]) == (0.004, 4, 8, "relativistic")


@pytest.mark.parametrize(
    ("preset", "says"),
    [
        ({"recipe": "fastgan", "settings": {}}, "json is for the recipe 'fastgan'; run: python -m train fastgan"),
        ({"recipe": "stylegan2", "settings": [1]}, "preset.json does not name a recipe and its settings"),
        ({"settings": {}}, "preset.json does not name a recipe and its settings"),
        ({"recipe": "stylegan2", "settings": {"btach": 4}}, "no setting named 'btach'; known: kimg, batch"),
        ([], "preset.json holds a list, not settings"),
    ],
)
def test_bad_presets(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, preset: object, says: str
) -> None:
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    words = ["stylegan2", "--data", data, "--run", tmp_path / "x", "--config", tmp_path / "preset.json"]
    assert says in call(capsys, *words, code=2)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--batch", "0"], "batch=0 is outside 2..8192"),
        (["--lr", "nan"], "lr=nan is not a finite number"),
        (["--resolution", "33"], "resolution=33 is not one of 16, 32, 64"),
        (["--device", "tpu"], "device='tpu' is not one of auto, cpu"),
        (["--accumulate", "3"], "batch=4 cannot be split over 1 processes in 3 rounds"),
        (["--config", "gone.json"], "there is no gone.json"),
    ],
)
def test_settings_out_of_range(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, words: list, says: str
) -> None:
    assert says in call(capsys, *start(data, tmp_path / "x"), *words, code=2)


def test_data_that_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--data is missing" in call(capsys, "stylegan2", "--run", tmp_path / "x", code=2)
    assert "there is no" in call(capsys, *start(tmp_path / "gone", tmp_path / "x"), code=2)
    one = fill(tmp_path / "one", ["1.png"])
    assert "holds 1 readable pictures" in call(capsys, *start(one, tmp_path / "x"), code=2)
    assert not (tmp_path / "x/config.json").exists()  # so that the same words work once the pictures are there


def test_an_unknown_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["stylgan2"])
    assert caught.value.code == 2 and "stylegan2" in capsys.readouterr().err


def test_a_run_folder_in_use(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    call(capsys, *start(data, tmp_path))
    before = (tmp_path / "exit.json").read_bytes()
    with FileLock(tmp_path / ".lock"):
        for words in (start(data, tmp_path), ["resume", tmp_path, "--device", "cpu"]):
            assert call(capsys, *words, code=2) == (
                f"{tmp_path} is in use by another trainer; stop that one first or choose another folder"
            )
    assert (tmp_path / "exit.json").read_bytes() == before


def test_a_file_where_the_run_should_be(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.touch()
    assert call(capsys, *start(data, file), code=2) == f"{file} is a file; give a folder for the run"
    assert "is not a run folder" in call(capsys, "resume", file, code=2)
    assert "is not a run folder" in call(capsys, "resume", tmp_path / "gone", code=2)
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "stylgan2"}, {"recipe": ["stylegan2"]}, {"data": 5}, {"settings": [1]}, {"settings": {"batch": 0}},
        {"settings": {"batch": "many"}}, {"settings": {"odd": 1}}, {"settings": None},
    ],
    ids=str,
)
def test_a_config_edited_into_nonsense(capsys: pytest.CaptureFixture[str], tmp_path: Path, change: dict) -> None:
    stored = {"version": 1, "recipe": "stylegan2", "data": str(tmp_path), "settings": {}}
    (tmp_path / "config.json").write_text(json.dumps({**stored, **change}))
    for words in (["resume", tmp_path], ["export", tmp_path, "--out", tmp_path / "out"]):
        sentence = call(capsys, *words, code=2)
        assert sentence.startswith(f"{tmp_path}/config.json: ")
        assert sentence.endswith("; mend it or start another run")


def test_failures_are_written_down(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that breaks, a full disk, too little memory: exit code 2, exit.json, and the last state resumes."""
    call(capsys, *start(data, tmp_path))
    resume = ["resume", tmp_path, "--kimg", "0.016", "--device", "cpu"]

    def broken(phase: object, *rest: object) -> dict[str, torch.Tensor]:
        return {"loss_G": torch.tensor(math.nan)}

    def full(tensors: dict, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def small(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    for module, name, what, says in (
        (loop, "take_step", broken, "loss_G became nan at 0.016 kimg; the last good state is state/0000.008; lower"),
        (state, "save_file", full, "is full; free some space and try again"),
        (loop, "take_step", small, "cpu has too little memory for batch=4 in 1 rounds; lower --batch"),
        (run, "build_recipe", small, "cpu has too little memory for batch=4"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, what)
            sentence = call(capsys, *resume, code=2)
        assert says in sentence and exit_of(tmp_path) == {"outcome": "failed", "message": sentence, "kimg": 0.008}
    call(capsys, *resume)
    assert exit_of(tmp_path)["outcome"] == "done"


def test_a_stop_request_is_withdrawn_by_resume(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    RunFolder(tmp_path).request_stop()
    assert call(capsys, *start(data, tmp_path)).startswith("stopped at 0 kimg; ")
    assert call(capsys, "resume", tmp_path, "--device", "cpu").splitlines()[-1].startswith("done at 0.008 kimg; ")


def test_an_interrupt(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "take_step", interrupt)
    assert main([str(word) for word in start(data, tmp_path)]) == 2
    assert "interrupted; go on with: python -m train resume" in capsys.readouterr().err


def test_pictures_are_looked_at_before_a_training(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    out = call(capsys, "examine", data, "--resolution", "16", "--out", tmp_path / "dataset.json").splitlines()
    assert out[0] == "16 pictures, 32 to 32 px wide, 32 to 32 px high"
    assert out[1].startswith("- 16 different pictures are few") and out[-1].startswith("- all 16 pictures are grey")
    found = json.loads(call(capsys, "examine", data, "--json"))
    assert found["classes"] == {"a": 8, "b": 8} and len(found["small"]) == 16
    assert json.loads((tmp_path / "dataset.json").read_text())["small"] == []
    assert (
        call(capsys, "examine", tmp_path / "gone", code=2)
        == f"there is no {tmp_path}/gone; give a folder or a zip of pictures"
    )


def test_stills_of_a_film_can_be_learned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    squares = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    pictures = [np.kron(square, np.ones((16, 16, 1), np.uint8)) for square in squares]
    film = make_film(tmp_path / "film.mp4", [picture for picture in pictures for _ in range(4)], rate=Fraction(4))
    said = call(capsys, "examine", film, code=2)
    assert said == f"{film} is a film; take pictures out of it first: python -m train stills FILM --out DIR"
    assert "took 3 pictures" in call(capsys, "stills", film, "--out", tmp_path / "out")
    assert json.loads(call(capsys, "examine", tmp_path / "out", "--json"))["pictures"] == 3
    assert (
        json.loads(call(capsys, "stills", film, "--out", tmp_path / "few", "--most", "2", "--json"))["complete"]
        is False
    )
