"""The number of threads is found by trial, before the first step, and changes nothing else."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from studio.runfolder import RunFolder
from tests.train.conftest import TINY, call, start
from tests.train.test_resume import same
from train import loop, planner, run
from train import threads as module
from train.data import Pictures, open_pictures
from train.planner import plan
from train.recipes import RECIPES
from train.run import build_recipe
from train.threads import TRIES, counts, fastest, threads


class Trial:
    """Steps that take as long as they are told, by the number of threads, on a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, data: Path, seconds: Callable[[int, str], float]) -> None:
        self.now, self.tried = 0.0, []
        self.seconds = seconds
        monkeypatch.setattr(module, "take_step", self.take_step)
        kind = RECIPES.get("stylegan2")
        config = kind.settings.from_dict({**TINY, "accumulate": 2, "r1_interval": 4})
        pictures = open_pictures(data, 32, 1)
        self.build = lambda: build_recipe(kind, config, pictures, torch.device("cpu"))
        self.pictures: Pictures = pictures

    def take_step(self, phase: loop.Phase, recipe: object, rounds: Sequence, accelerator: Accelerator) -> dict:
        assert [len(batch.reals) for batch in rounds] == [2, 2]
        if phase.name == "G":
            self.tried.append(torch.get_num_threads())
        self.now += self.seconds(torch.get_num_threads(), phase.name)
        return {}

    def best(self, choice: Sequence[int], over: Callable[[], bool] = lambda: False) -> int:
        return fastest(self.build, self.pictures, Accelerator(cpu=True), choice, over, lambda: self.now)


def test_the_shortest_mean_step_wins(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """What comes every fourth step counts a quarter: 2 threads take 0.25 s a step, and 1 takes 0.2 s."""
    names = [phase.name for phase in Trial(monkeypatch, data, lambda count, name: 0.0).build().phases]
    lazy = next(name for name in names if name not in ("G", "D"))
    trial = Trial(monkeypatch, data, lambda count, name: {
        1: {"G": 0.05, "D": 0.05, lazy: 0.4}, 2: {"G": 0.1, "D": 0.1, lazy: 0.2},
    }[count].get(name, 0.0))
    assert trial.best([2, 1]) == 1 and trial.tried.count(1) == trial.tried.count(2) == TRIES + 1
    assert torch.get_num_threads() == 1


def test_smaller_counts_are_not_tried_once_hope_is_lost(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    trial = Trial(monkeypatch, data, lambda count, name: 0.08 / count)
    assert trial.best([8, 4, 2, 1]) == 8 and set(trial.tried) == {8, 4} and trial.tried.count(4) == 2


def test_of_two_that_are_close_the_smaller(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    assert Trial(monkeypatch, data, lambda count, name: 0.1 if count == 2 else 0.103).best([2, 1]) == 1
    assert Trial(monkeypatch, data, lambda count, name: 0.1 if count == 2 else 0.11).best([2, 1]) == 2


def test_the_trial_ends_in_time_and_when_asked(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    long = Trial(monkeypatch, data, lambda count, name: 10.0)
    assert long.best([2, 1]) == 2 and long.tried == [2]
    slow = Trial(monkeypatch, data, lambda count, name: 1.0 if count == 2 else 0.9)
    assert slow.best([2, 1]) == 1 and slow.tried == [2, 2, 1, 1]
    asked = Trial(monkeypatch, data, lambda count, name: 0.01)
    assert asked.best([2, 1], over=lambda: len(asked.tried) == 1) == 2 and asked.tried == [2]


def test_what_there_is_to_choose_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)), raising=False)
    words = {"3": [3], "4,2": [4], "": [12, 6, 3, 1], "many": [12, 6, 3, 1], "0": [12, 6, 3, 1]}
    for chosen, expected in words.items():
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
        assert counts() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert counts() == [12, 6, 3, 1]


def test_a_run_keeps_its_threads_and_is_none_the_other_for_the_trial(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(capsys, *start(data, tmp_path / "without"))
    record = lambda: json.loads((tmp_path / "with" / "machine.json").read_text())
    seen, take_step = set(), loop.take_step

    def watch(*arguments: object) -> dict[str, torch.Tensor]:
        seen.add(torch.get_num_threads())
        return take_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run, "counts", lambda: [2, 1])
        patch.setattr(run, "fastest", lambda *arguments: fastest(*arguments) * 0 + 1)
        call(capsys, *start(data, tmp_path / "with"))
        same(tmp_path / "without/state/0000.008", tmp_path / "with/state/0000.008")
        assert record()["threads"] == 1

        (tmp_path / "with" / "machine.json").write_text(json.dumps({**record(), "threads": 2}))
        patch.setattr(run, "fastest", lambda *arguments: pytest.fail("tried again"))
        patch.setattr(loop, "take_step", watch)
        call(capsys, "resume", tmp_path / "with", "--kimg", "0.016", "--device", "cpu")
        assert seen == {2} and record()["threads"] == 2 and torch.get_num_threads() == 1

        patch.setattr(run, "fastest", lambda *arguments: 1)
        for there in ('{"machine": "another one", "threads": 2}', '{"threads": 99}', "{", "[]"):
            (tmp_path / "with" / "machine.json").write_text(there)
            call(capsys, "resume", tmp_path / "with", "--device", "cpu")
            assert record()["threads"] == 1


def test_a_trial_that_was_cut_short_decides_nothing(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one of before the first state, on a machine that may have been busy."""
    record = lambda: json.loads((tmp_path / "machine.json").read_text())
    monkeypatch.setattr(run, "counts", lambda: [2, 1])

    def stopped(*arguments: object) -> int:
        RunFolder(tmp_path).request_stop()
        return 2

    monkeypatch.setattr(run, "fastest", stopped)
    call(capsys, *start(data, tmp_path))
    assert "threads" not in record()
    monkeypatch.setattr(run, "fastest", lambda *arguments: 1)
    call(capsys, "resume", tmp_path, "--device", "cpu")
    assert record()["threads"] == 1


def test_a_plan_is_of_the_threads_that_the_training_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, take_step = set(), loop.take_step

    def watch(*arguments: object) -> dict[str, torch.Tensor]:
        seen.add(torch.get_num_threads())
        return take_step(*arguments)

    monkeypatch.setattr(loop, "take_step", watch)
    monkeypatch.setattr(planner, "fastest", lambda build, pictures, accelerator, choice, over: choice[0])
    monkeypatch.setattr(planner, "counts", lambda: [2, 1])
    plan("stylegan2", RECIPES.get("stylegan2").settings.from_dict(TINY), device="cpu", seconds=1)
    assert seen == {2} and torch.get_num_threads() == 1


def test_threads_come_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), threads(2):
        1 / 0
    assert torch.get_num_threads() == 1
