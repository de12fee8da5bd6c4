import json
import time
from pathlib import Path

import pytest
import torch

from studio.errors import Cancelled, DeviceError, RunError, SettingError
from tests.train.conftest import TINY, call, flags
from train import loop, planner
from train.health import HealthConfig
from train.planner import Plan, duration, plan
from train.recipes import RECIPES
from train.recipes.stylegan2 import StyleGAN2Settings
from train.run import build_recipe


def config(**changes: object) -> StyleGAN2Settings:
    return StyleGAN2Settings(**{**TINY, "kimg": 300.0, "r1_interval": 2, **changes})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"), (40, "40 s"), (59.6, "1 min"), (425, "7 min"), (3599, "1 h"),
        (3900, "1 h 05 min"), (9500, "2 h 40 min"), (7200, "2 h"), (86399, "1.0 days"), (3.5 * 86400, "3.5 days"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_pace_leaves_the_first_round_out() -> None:
    lines = [{"trained_s": 100.0, "kimg": 1.0}, {"trained_s": 104.0, "kimg": 2.0}, {"trained_s": 106.0, "kimg": 3.0}]
    assert planner._pace(lines, {}) == 3.0
    assert planner._pace(lines[:1], {"trained_s": 5.0, "images": 500}) == 10.0
    assert Plan(30.0, 120.0).to_dict() == {
        "seconds_per_kimg": 30.0, "kimg": 120.0, "memory_bytes": None, "seconds": 3600.0, "words": "1 h",
    }


def test_steps_of_a_known_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """G and D take 30 ms each, and every second step has a third phase: 75 ms a step on average, 4 pictures each."""
    monkeypatch.setattr(loop, "take_step", lambda phase, *rest: (time.sleep(0.03), {"loss_G": torch.zeros([])})[1])
    found = plan("stylegan2", config(), device="cpu", health=HealthConfig(measure_ticks=0))
    assert found.seconds_per_kimg == pytest.approx(75 / 4, rel=0.5) and found.seconds_per_kimg > 75 / 4
    assert found.kimg == 300 and found.memory_bytes > 1e7


def test_what_is_done_beside_the_steps_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 pictures are drawn and judged in 8 batches of 0.1 s, every 4 ticks; a grid takes 0.1 s, every 2."""
    monkeypatch.setattr(planner, "_timed", lambda work, device: work() is not None and 0.1)
    made = config(tick_kimg=0.5, sample_ticks=2)
    recipe = build_recipe(RECIPES.get("stylegan2"), made, planner._noise("stylegan2", made), torch.device("cpu"))
    beside = lambda **words: planner._beside(recipe, made, HealthConfig(**words), torch.device("cpu"))
    assert beside(measure_ticks=4) == pytest.approx(0.1 / (2 * 0.5) + 8 * 0.1 / (4 * 0.5))
    assert beside(measure_ticks=4, measure_samples=512) == pytest.approx(0.1 / (2 * 0.5) + 16 * 0.1 / (4 * 0.5))
    assert beside(measure_ticks=0) == pytest.approx(0.1 / (2 * 0.5))


def test_the_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps so slow that not one round is finished still give a pace."""
    monkeypatch.setattr(loop, "take_step", lambda phase, *rest: (time.sleep(0.2), {"loss_G": torch.zeros([])})[1])
    begun = time.monotonic()
    found = plan("stylegan2", config(r1_interval=16), device="cpu", seconds=0.7)
    assert time.monotonic() - begun < 10 and found.seconds_per_kimg > 100 and found.memory_bytes is None


def test_cancelled() -> None:
    with pytest.raises(Cancelled):
        plan("stylegan2", config(), device="cpu", cancelled=lambda: True)


def test_classes_and_ones_own_pictures(data: Path) -> None:
    assert plan("stylegan2", config(classes=True), device="cpu").seconds > 0
    assert plan("stylegan2", config(classes=True), data, device="cpu").seconds > 0


def test_what_cannot_be_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="batch=4 cannot be split over 1 processes in 3 rounds"):
        plan("stylegan2", config(accumulate=3), device="cpu")
    with pytest.raises(
        SettingError, match="the recipe 'style' is measured on its own pictures; give them with --data"
    ):
        plan("style", RECIPES.get("style").settings(), device="cpu")

    def full(*arguments: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(loop, "take_step", full)
    with pytest.raises(DeviceError, match="cpu has too little memory for batch=4 in 1 rounds; lower --batch"):
        plan("stylegan2", config(), device="cpu")


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "stylegan2", *flags(kimg=500, r1_interval=1), "--device", "cpu"]
    found = json.loads(call(capsys, *words, "--json"))
    assert found["kimg"] == 500 and found["seconds"] == pytest.approx(500 * found["seconds_per_kimg"])
    assert call(capsys, *words).startswith("32 px, 500 kimg: about ")
