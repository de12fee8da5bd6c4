import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import studio.library
from studio.checkpoint import INFO, WEIGHTS
from studio.files import sha256
from studio.models.stylegan2 import StyleGAN2Generator


@pytest.fixture
def mine(models: Path, cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of one model, `grey`, to be damaged."""
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "mine"))
    shutil.copytree(models / "grey", tmp_path / "mine" / "models" / "grey")
    return tmp_path / "mine" / "models"


def edit(folder: Path, **values: object) -> None:
    path = folder / INFO
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def listed(cli: Callable) -> dict[str, dict]:
    answer = cli("models", "--json")
    assert answer.code == 0 and answer.err == ""
    return {model["name"]: model for model in answer.values["models"]}


def test_every_installed_model(cli: Callable, models: Path) -> None:
    found = listed(cli)
    assert list(found) == ["classes", "colour", "grey"]
    assert found["grey"] == {
        "name": "grey", "title": "grey", "model": "stylegan2", "task": found["grey"]["task"], "resolution": 32,
        "bytes": (models / "grey" / WEIGHTS).stat().st_size, "licence": "not stated", "data_licence": "not stated",
        "kimg": 0.0, "sha256": sha256(models / "grey" / WEIGHTS),
    }
    assert found["classes"]["resolution"] == 16


def test_for_people(cli: Callable, mine: Path) -> None:
    edit(mine / "grey", title="Grey things", licence="CC0-1.0", kimg=1500)
    size = (mine / "grey" / WEIGHTS).stat().st_size / 1e6
    answer = cli("models")
    assert answer.out.startswith("grey: Grey things, ") and answer.out.count("\n") == 1
    assert answer.out.endswith(f", 32 px, {size:.1f} MB, 1500 kimg, licence CC0-1.0\n")


def test_none(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "nowhere"))
    assert cli("models").out == "no models are installed\n" and listed(cli) == {}


def test_bundled_models_are_among_them(
    cli: Callable, models: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.library, "BUNDLED", models)
    assert list(listed(cli)) == ["classes", "colour", "grey"]


def test_no_network_is_built(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StyleGAN2Generator, "__init__", None)
    assert len(listed(cli)) == 3


def cut_short(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: (folder / WEIGHTS).unlink(), "model.safetensors is missing; get this model again"),
        (cut_short, "model.safetensors is corrupt or no safetensors file"),
        (lambda folder: (folder / INFO).write_text("{"), "model.json is not valid JSON; get this model again"),
        (lambda folder: edit(folder, model="stylegan9"), "no model named 'stylegan9'; known: "),
        (lambda folder: edit(folder, config={"resolution": 33}), "resolution"),
        (lambda folder: edit(folder, version=99), "has format version 99"),
    ],
)
def test_a_damaged_model_hides_no_other(
    cli: Callable, mine: Path, models: Path, damage: Callable[[Path], None], said: str
) -> None:
    shutil.copytree(models / "colour", mine / "colour")
    damage(mine / "grey")
    found = listed(cli)
    assert list(found) == ["colour", "grey"] and found["colour"]["resolution"] == 32
    assert set(found["grey"]) == {"name", "damaged"} and said in found["grey"]["damaged"]
    assert f"grey: damaged: {found['grey']['damaged']}\n" in cli("models").out
