"""A server that speaks the Hub's protocol, and the real client pointed at it. Nothing leaves the machine."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

import studio.hub.download
from studio.hub import Hub
from tests.hub_server import HubServer


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


@pytest.fixture(autouse=True)
def _a_person_without_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the login nor the cache of whoever runs the tests; and nobody waits a second before trying again."""
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.setattr(constants, name, False)
    _point_at("http://127.0.0.1:9", monkeypatch)  # where nobody answers, instead of the true Hub
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its storage has a protocol of its own
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(studio.hub.download, "PAUSE_S", 0.0)
    monkeypatch.setattr(_http, "time", SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None}))


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> Hub:
    return Hub(server.url, tmp_path / "cache")


@pytest.fixture
def everywhere(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The server and the cache of `hub`, as HF_ENDPOINT and HF_HOME would set them for all that follows."""
    _point_at(hub.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub.folder))
    return hub


def _point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """login("hf_owner"): as `hf auth login` would."""
    return lambda token: monkeypatch.setenv("HF_TOKEN", token)
