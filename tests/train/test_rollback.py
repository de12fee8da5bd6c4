"""A loss that is not finite sends a run back to its last good state, at half the rate, three times at most."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.checkpoint import load_network, read_info
from studio.runfolder import RunFolder
from tests.train.conftest import call, exit_of, start
from train import run as run_module
from train import watch


def stored(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())["settings"]


def break_at(monkeypatch: pytest.MonkeyPatch, step: int, times: int) -> list[float]:
    """D's weights break at the end of that step, the first `times` times; the rates of all attempts are collected."""
    rates: list[float] = []
    build = run_module.build_recipe

    def spoilt(*arguments: object) -> object:
        recipe = build(*arguments)
        rates.append(recipe.config.lr)
        number, end = len(rates), recipe.end_step

        def end_step(at: int, reduce: Callable) -> None:
            end(at, reduce)
            if at == step and number <= times:
                recipe.networks["D"].b4.out.bias.data.fill_(math.nan)

        recipe.end_step = end_step
        return recipe

    monkeypatch.setattr(run_module, "build_recipe", spoilt)
    return rates


def test_back_to_the_last_good_state_at_half_the_rate(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = break_at(monkeypatch, 3, times=1)
    out = call(capsys, *start(data, tmp_path, kimg=0.032, d_lr=0.004))
    run = RunFolder(tmp_path)
    assert rates == [0.01, 0.005] and exit_of(tmp_path)["outcome"] == "done"
    assert (stored(tmp_path)["lr"], stored(tmp_path)["d_lr"]) == (0.005, 0.002)
    (line,) = run.warnings()
    assert (line["warning"], line["step"], line["kimg"]) == ("diverged", 2, 0.008)
    assert line["message"] == (
        "loss_G became nan at 0.016 kimg; went back to 0.008 kimg, on with lr 0.005 instead of 0.01, d_lr 0.002 "
        "instead of 0.004 (time 1 of at most 3)"
    )
    assert f"warning: {line['message']}" in out and "changed from step 2 on: lr 0.01 -> 0.005" in out
    assert [tick["step"] for tick in run.progress()] == [2, 4, 6, 8]


def test_what_follows_equals_a_resume_by_hand(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(capsys, *start(data, tmp_path / "hand"))
    call(capsys, "resume", tmp_path / "hand", "--lr", "0.005", "--kimg", "0.024", "--device", "cpu")
    break_at(monkeypatch, 3, times=1)
    call(capsys, *start(data, tmp_path / "itself", kimg=0.024))
    files = [(tmp_path / name / "state/0000.024/networks.safetensors").read_bytes() for name in ("hand", "itself")]
    assert files[0] == files[1]


def test_three_times_at_most(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = break_at(monkeypatch, 5, times=99)
    sentence = call(capsys, *start(data, tmp_path, kimg=0.032), code=2)
    assert rates == [0.01, 0.005, 0.0025, 0.00125]
    assert "became nan at 0.024 kimg; the last good state is state/0000.0" in sentence
    assert exit_of(tmp_path)["outcome"] == "failed" and exit_of(tmp_path)["message"] == sentence
    messages = [line["message"] for line in RunFolder(tmp_path).lines() if "warning" in line]
    assert [m.partition("(")[2] for m in messages] == [f"time {n} of at most 3)" for n in (1, 2, 3)]
    # the state at 0.016 led to it twice: it may be spoilt already, and the one before it is tried
    assert [m.partition("went back to ")[2].partition(" ")[0] for m in messages] == ["0.016", "0.008", "0.016"]
    assert call(capsys, "resume", tmp_path, "--device", "cpu", code=2) and len(rates) == 5  # by itself no more


def test_before_the_first_state_it_begins_again(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = break_at(monkeypatch, 1, times=2)
    call(capsys, *start(data, tmp_path))
    assert rates == [0.01, 0.005, 0.0025] and exit_of(tmp_path)["outcome"] == "done"
    assert "went back to 0 kimg" in RunFolder(tmp_path).warnings()[0]["message"]


def test_not_if_it_is_not_wanted(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = break_at(monkeypatch, 3, times=1)
    call(capsys, *start(data, tmp_path, kimg=0.032), "--rollbacks", "0", code=2)
    assert rates == [0.01] and RunFolder(tmp_path).warnings() == []


def test_how_a_run_is_watched_is_kept(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    health = lambda: json.loads((tmp_path / "config.json").read_text()).get("health")
    call(capsys, *start(data, tmp_path))
    assert health() is None
    call(capsys, "resume", tmp_path, "--patience", "3", "--kimg", "0.012", "--device", "cpu")
    assert health()["patience"] == 3
    call(capsys, "resume", tmp_path, "--measure-ticks", "2", "--kimg", "0.016", "--device", "cpu")
    assert (health()["patience"], health()["measure_ticks"]) == (3, 2)
    preset = tmp_path / "preset.json"
    preset.write_text((tmp_path / "config.json").read_text())
    other = tmp_path / "other"
    call(
        capsys, "stylegan2", "--data", data, "--run", other, "--config", preset, "--device", "cpu", "--patience", "5"
    )
    stored = json.loads((other / "config.json").read_text())["health"]
    assert (stored["patience"], stored["measure_ticks"]) == (5, 2)
    assert "patience=-1 is outside 0..1000" in call(capsys, "resume", tmp_path, "--patience=-1", code=2)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "health": [1]}))
    assert "config.json: the settings are a list" in call(capsys, "resume", tmp_path, code=2)


def test_the_best_is_a_checkpoint(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured for real, in Lite0's features; the second measurement is told to be worse."""
    monkeypatch.setattr(watch, "MIN_KIMG", 0.0)
    evaluate, kid = watch.evaluate, iter([0.2, 0.3])
    monkeypatch.setattr(watch, "evaluate", lambda *a: {**evaluate(*a), "Lite0-KID": next(kid)})
    words = ["--measure-ticks", "1", "--measure-samples", "16", "--measure-features", "lite0"]
    call(capsys, *start(data, tmp_path, kimg=0.016), *words)
    lines = RunFolder(tmp_path).progress()
    assert [line["Lite0-KID"] for line in lines] == [0.2, 0.3] and 0 < lines[0]["diversity"] < 2
    assert read_info(tmp_path / "best").kimg == 0.008 and load_network(tmp_path / "best").z_dim == 8
    assert (tmp_path / "nearest.jpg").exists()
