import re
from pathlib import Path
from typing import Any

import gradio
import pytest
import yaml

from studio import space
from studio.space import keep_in_storage, lends_gpus, on_space


ROOT = Path(space.__file__).resolve().parents[1]
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")


def front_matter() -> dict[str, Any]:
    _, head, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head)


def requirements() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pairs = [re.fullmatch(r"([a-z0-9-]+)([<>=].+)", line).groups() for line in lines if not line.startswith("#")]
    assert len({name for name, _ in pairs}) == len(pairs), "a package stands there twice"
    return dict(pairs)


def test_the_readme_is_what_a_space_reads() -> None:
    head = front_matter()
    assert head["sdk"] == "gradio" and (ROOT / head["app_file"]).is_file()
    assert head["colorFrom"] in COLOURS and head["colorTo"] in COLOURS
    assert 0 < len(head["short_description"]) <= 60  # the Hub refuses longer ones
    assert isinstance(head["python_version"], str), "3.10 without quotes would be 3.1"
    assert (3, 10) <= tuple(map(int, head["python_version"].split("."))) <= (3, 13)
    assert head["tags"] and all(re.fullmatch("[a-z0-9-]+", tag) for tag in head["tags"])


def test_a_space_gets_a_gradio_that_the_requirements_allow() -> None:
    """A Space installs the front matter's version, and then the requirements: those must not ask for another one."""
    wanted = tuple(map(int, front_matter()["sdk_version"].split(".")))
    least, below = re.fullmatch(r">=([\d.]+),<(\d+)", requirements()["gradio"]).groups()
    assert tuple(map(int, least.split("."))) <= wanted < (int(below),)
    assert wanted[0] == int(gradio.__version__.split(".")[0])


def kept(storage: Path, **environ: str) -> dict[str, str]:
    keep_in_storage(environ, storage)
    return environ


def test_a_space_keeps_things_in_its_storage(tmp_path: Path) -> None:
    found = kept(tmp_path, SPACE_ID="ada/atelier")
    assert found["ATELIER_HOME"] == str(tmp_path / "atelier")
    assert found["HF_HOME"] == str(tmp_path / "huggingface")


@pytest.mark.parametrize("own", [{"HF_HOME": "/cache"}, {"HF_HUB_CACHE": "/cache"}])
def test_what_its_owner_has_chosen_stays(tmp_path: Path, own: dict[str, str]) -> None:
    found = kept(tmp_path, SPACE_ID="ada/atelier", ATELIER_HOME="/mine", **own)
    assert found == {"SPACE_ID": "ada/atelier", "ATELIER_HOME": "/mine", **own}


def test_nothing_changes_elsewhere(tmp_path: Path) -> None:
    assert kept(tmp_path) == {}
    assert not on_space({}) and not on_space({"SPACE_ID": ""})
    assert kept(tmp_path / "none", SPACE_ID="ada/atelier") == {"SPACE_ID": "ada/atelier"}


def test_where_gpus_are_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"spaces"}
    monkeypatch.setattr(space.importlib.util, "find_spec", lambda name: name if name in present else None)
    assert lends_gpus({"SPACES_ZERO_GPU": "true"}) and lends_gpus({"SPACES_ZERO_GPU": "1"})
    assert not lends_gpus({}) and not lends_gpus({"SPACES_ZERO_GPU": "false"})
    present.clear()
    assert not lends_gpus({"SPACES_ZERO_GPU": "true"})
