import sys
import threading
from pathlib import Path

import psutil
import pytest

from studio.config import settings
from studio.errors import Cancelled, DeviceError, RunError, SettingError, UnknownName
from studio.training import command_line
from tests.train.conftest import SMALL
from train import aside
from train.commands import _parser
from train.offer import Offer
from train.recipes import RECIPES


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    return Offer(tmp_path / "presets")


def test_every_recipe_is_offered_with_what_a_form_needs(offer: Offer) -> None:
    assert [info.name for info in offer.recipes][:2] == ["stylegan2", "fastgan"]
    assert {info.name for info in offer.recipes} == set(RECIPES)
    assert {info.name for info in offer.recipes if info.explorable} == set(SMALL)
    assert offer.recipe("style").needs == ("pictures", "styles")
    for info in offer.recipes:
        assert info.description.endswith(".") and all(item.help for item in settings(info.settings))
    with pytest.raises(UnknownName, match="no recipe named 'dcgen'; known: "):
        offer.recipe("dcgen")


def test_the_command_is_read_back_as_the_same_settings(
    offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = offer.recipe("style").settings(styles="my paintings", kimg=3, d_lr=0.001)
    words = offer.command("style", config, Path("photos"), offer.watching(patience=2))
    assert words[:3] == ("style", "--data", str(tmp_path / "photos"))
    found = vars(_parser().parse_args([*words, "--run", "x"]))
    assert found["styles"] == str(tmp_path / "my paintings") and found["patience"] == 2 and found["d_lr"] == 0.001
    assert "lr" not in found  # only what differs from the defaults
    line = command_line(words, tmp_path / "a run", "cpu")
    assert line.startswith("python -m train style --data ") and line.endswith("a run' --device cpu")


def test_settings_of_another_recipe_are_refused(offer: Offer) -> None:
    config = offer.recipe("dcgan").settings()
    with pytest.raises(SettingError, match="are not those of the recipe 'vae'"):
        offer.command("vae", config, Path("x"))
    with pytest.raises(SettingError, match="are not those of the recipe 'vae'"):
        offer.plan(None, "vae", config)


def test_presets_are_the_bundled_ones_and_ones_own(offer: Offer) -> None:
    bundled = list(offer.presets())
    path = offer.save_preset("mine", "dcgan", offer.recipe("dcgan").settings(kimg=7))
    assert list(offer.presets()) == [*bundled, "mine"] and offer.presets()["mine"].settings == {"kimg": 7.0}
    assert offer.read_preset(path) == offer.presets()["mine"]
    offer.delete_preset("mine")
    assert list(offer.presets()) == bundled


def test_a_plan_that_cannot_be_made_says_why(offer: Offer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the other process said so or was killed."""
    config = offer.recipe("dcgan").settings(**SMALL["dcgan"], accumulate=3)
    with pytest.raises(RunError, match="^batch=4 cannot be split over 1 processes in 3 rounds; give a multiple of 3$"):
        offer.plan(None, "dcgan", config, device="cpu", watching=offer.watching(measure_ticks=0))
    with pytest.raises(DeviceError, match="cuda:99"):
        offer.plan(None, "dcgan", config, device="cuda:99")
    monkeypatch.setattr(aside, "PLAN", (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(RunError, match="^the measurement ended with signal 9 .*; choose a smaller batch or size$"):
        offer.plan(None, "dcgan", config, device="cpu")


def test_a_plan_that_is_cancelled_leaves_no_process(offer: Offer, monkeypatch: pytest.MonkeyPatch) -> None:
    config, before = offer.recipe("dcgan").settings(**SMALL["dcgan"]), psutil.Process().children()
    monkeypatch.setattr(aside, "PLAN", (sys.executable, "-c", "import time; time.sleep(600)"))
    looks = iter([False, False, True])
    with pytest.raises(Cancelled):
        offer.plan(None, "dcgan", config, lambda: next(looks), device="cpu")
    assert psutil.Process().children() == before


def test_a_plan_from_another_thread_can_be_cancelled(offer: Offer) -> None:
    config = offer.recipe("dcgan").settings(**SMALL["dcgan"])
    plans: list[float] = []
    thread = threading.Thread(
        target=lambda: plans.append(offer.plan(None, "dcgan", config, device="cpu", seconds=20).seconds)
    )
    thread.start()
    thread.join()
    assert plans and plans[0] > 0
    with pytest.raises(Cancelled):
        offer.plan(None, "dcgan", config, lambda: True, device="cpu")
