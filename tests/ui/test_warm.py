import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from studio.errors import CheckpointError
from studio.explore import ExploreSettings
from studio.library import Library
from studio.ui.services import Services
from studio.ui.warm import choose_threads, warm


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fastest", [1, 2, 4])
def test_the_fastest_number_of_threads_is_kept(fastest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.ui.warm.os.cpu_count", lambda: 4)
    picture = lambda settings: time.sleep(0.001 if torch.get_num_threads() == fastest else 0.01)
    services = SimpleNamespace(explorer=SimpleNamespace(picture=picture))
    assert choose_threads(services, ExploreSettings()) == fastest == torch.get_num_threads()


def test_the_first_model_draws_and_finds_its_dials() -> None:
    done: list[object] = []
    cuda = SimpleNamespace(device=torch.device("cuda"))
    explorer = SimpleNamespace(picture=done.append, dials=done.append, engine=cuda)
    warm(SimpleNamespace(explorer=explorer, opening=lambda: ExploreSettings(model="tiny")))
    assert done == [ExploreSettings(model="tiny"), "tiny"]


def test_a_model_that_cannot_be_loaded_does_not_stop_the_page(save_tiny: Callable[..., Path], tmp_path: Path) -> None:
    (save_tiny(tmp_path / "tiny") / "model.safetensors").write_bytes(b"nothing")
    services = Services.on(Library((tmp_path,)), "cpu")
    warm(services)
    with pytest.raises(CheckpointError, match="model.safetensors"):  # which the page says, when it asks
        services.explorer.picture(services.opening())
