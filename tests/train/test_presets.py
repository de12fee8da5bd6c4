import json
from pathlib import Path

import pytest

from studio.errors import RunError, SettingError, StudioError, UnknownName
from train.commands import main
from train.health import HealthConfig
from train.presets import BUNDLED, bundled, delete_preset, own, read_preset, save_preset
from train.recipes import RECIPES
from train.recipes.dcgan import DCGANSettings


def test_the_bundled_ones_are_valid_and_each_says_when_to_choose_it() -> None:
    assert list(bundled())[:2] == ["small-computer", "few-pictures"]
    for path in BUNDLED.glob("*.json"):
        preset = read_preset(path)
        assert preset.bundled and preset.sentence.endswith(".") and len(preset.sentence) < 160
        stored = json.loads(path.read_text())
        config = RECIPES.get(preset.recipe).settings.from_dict(stored["settings"])
        assert RECIPES.get(preset.recipe).settings.from_dict(preset.settings) == config


def test_a_preset_of_ones_own_comes_back_and_trains(tmp_path: Path, data: Path) -> None:
    config = DCGANSettings(resolution=16, channels=1, width=4, batch=4, kimg=0.004, tick_kimg=0.004)
    path = save_preset(
        tmp_path / "presets", "mein Preset 1", "dcgan", config, HealthConfig(measure_ticks=0), "For me."
    )
    preset = own(tmp_path / "presets")["mein Preset 1"]
    assert (preset.sentence, preset.recipe, preset.bundled) == ("For me.", "dcgan", False)
    assert DCGANSettings.from_dict(preset.settings) == config and preset.watching == {"measure_ticks": 0}
    assert "batch" in preset.settings and "lr" not in preset.settings  # only what differs
    run = tmp_path / "run"
    assert main(["dcgan", "--data", str(data), "--run", str(run), "--config", str(path), "--device", "cpu"]) == 0
    assert json.loads((run / "config.json").read_text())["settings"] == config.to_dict()
    again = read_preset(run / "config.json")
    assert (again.recipe, again.settings, again.watching) == (preset.recipe, preset.settings, preset.watching)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "con", "a\0", "x" * 61, "end.", "a\\b"])
def test_a_name_is_never_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be a preset's name"):
        save_preset(tmp_path / "presets", name, "dcgan", DCGANSettings())
    assert list(tmp_path.rglob("*")) == []


def test_deleting(tmp_path: Path) -> None:
    save_preset(tmp_path, "mine", "dcgan", DCGANSettings())
    with pytest.raises(UnknownName, match="no preset of yours is named '../mine'; known: mine"):
        delete_preset(tmp_path, "../mine")
    delete_preset(tmp_path, "mine")
    assert own(tmp_path) == {}
    with pytest.raises(SettingError, match="comes with the studio"):
        delete_preset(tmp_path, "first-look")
    with pytest.raises(SettingError, match="comes with the studio"):
        save_preset(tmp_path, "first-look", "dcgan", DCGANSettings())


@pytest.mark.parametrize(
    "text, message",
    [
        ("[]", "not settings"),
        ("{", "not valid JSON"),
        ('{"recipe": "dcgan"}', "does not name a recipe and its settings"),
        ('{"recipe": "dcgen", "settings": {}}', "no recipe named 'dcgen'"),
        ('{"recipe": "dcgan", "settings": {"batch": 0}}', "batch=0 is outside"),
        ('{"recipe": "dcgan", "settings": {}, "health": {"patience": -1}}', "patience=-1 is outside"),
        ('{"recipe": "dcgan", "settings": {}, "sentence": 3}', "the sentence is not a text"),
        ('{"version": 9, "recipe": "dcgan", "settings": {}}', "version 9"),
        (" " * 70_000, "at most 65,536"),
    ],
)
def test_a_file_of_another_hand_is_refused_in_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(StudioError, match=message):
        read_preset(tmp_path / "x.json")
    assert own(tmp_path) == {}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no .*; give a preset's JSON file"):
        read_preset(tmp_path / "x.json")
