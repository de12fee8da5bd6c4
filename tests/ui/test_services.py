import json
from collections.abc import Callable
from pathlib import Path

from studio.library import Library
from studio.ui.services import Services


def test_models_of_the_tab_that_can_be_read(save_tiny: Callable[..., Path], tmp_path: Path) -> None:
    save_tiny(tmp_path / "good")
    for name, info in (("broken", "{"), ("foreign", json.dumps({"version": 1, "model": "unheard-of", "config": {}}))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text(info)
    services = Services.on(Library((tmp_path,)), "cpu")
    assert services.models("explore") == ["good"]
    assert services.models("style") == []


def test_a_first_visit_shows_a_model_that_is_there(save_tiny: Callable[..., Path], tmp_path: Path) -> None:
    services = Services.on(Library((tmp_path,)), "cpu")
    assert services.opening().model == "calligraphy"  # the picture's place then says that it is not installed
    save_tiny(tmp_path / "alpha")
    assert services.opening().model == "alpha"
    save_tiny(tmp_path / "calligraphy")
    assert services.opening().model == "calligraphy"
