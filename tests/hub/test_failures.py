import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from studio.hub import Address, Hub, HubError
from tests import hub_server
from tests.hub_server import Fault, HubHandler, HubServer

FILES = {"w.safetensors": b"weights"}


def refusal(hub: Hub, text: str = "ann/brush") -> str:
    """The sentence; whatever it is, no token is in it."""
    with pytest.raises(HubError) as error:
        repository = hub.look(Address.parse(text))
        hub.download(repository, repository.files)
    said = str(error.value)
    assert "hf_" not in said and "Bearer" not in said and "\n" not in said and "; " in said
    return said


@pytest.fixture
def brush(server: HubServer) -> str:
    return server.add("ann/brush", FILES)


def test_no_such_repository(hub: Hub, server: HubServer, login: Callable[[str], None]) -> None:
    hidden = "check its name, or log in with `hf auth login` if it is private"
    assert refusal(hub) == f"the Hub shows no repository ann/brush; {hidden}"
    login("hf_other")
    assert refusal(hub) == "the Hub shows your account no repository ann/brush; check its name, or ask its owner"


def test_a_private_repository(hub: Hub, server: HubServer, login: Callable[[str], None]) -> None:
    server.add("ann/brush", FILES, private=True)
    assert refusal(hub).startswith("the Hub shows no repository ann/brush; ")
    login("hf_other")
    assert refusal(hub).startswith("the Hub shows your account no repository ann/brush; ")
    login("hf_owner")
    repository = hub.look(Address("ann/brush"))
    assert repository.private and (hub.download(repository, repository.files) / "w.safetensors").is_file()


def test_a_gated_repository(hub: Hub, server: HubServer, login: Callable[[str], None]) -> None:
    server.add("ann/brush", FILES, gated=True)
    gated = "ann/brush is gated, and its owner has not let you in; ask for access on"
    assert refusal(hub) == f"{gated} {server.url}/ann/brush and log in with `hf auth login`"
    login("hf_other")
    assert refusal(hub) == f"{gated} {server.url}/ann/brush"
    login("hf_owner")
    repository = hub.look(Address("ann/brush"))
    assert repository.gated and (hub.download(repository, repository.files) / "w.safetensors").is_file()


def test_a_login_that_has_expired(hub: Hub, brush: str, login: Callable[[str], None]) -> None:
    login("hf_expired")
    said = "the Hub does not know your login (401); log in with `hf auth login` again, or unset HF_TOKEN"
    assert refusal(hub) == said


def test_a_login_of_another_user(hub: Hub, brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = str(tmp_path / "their token")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", token)

    def refuse(path: Path, *arguments: object, **more: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert refusal(hub) == f"the login in {token} belongs to another user; set HF_HOME to a folder of your own"


def test_no_such_revision_or_file(hub: Hub, server: HubServer, brush: str) -> None:
    assert refusal(hub, "ann/brush@v2") == (
        f"ann/brush has no revision 'v2'; choose one from {server.url}/ann/brush/commits/main"
    )
    with pytest.raises(HubError, match="^ann/brush has no file 'x.pt' at main; there: w.safetensors$"):
        hub.look(Address("ann/brush")).file("x.pt")


@pytest.mark.parametrize("path", ["/api/models/ann/brush", "resolve", "^/[0-9a-f]{64}$"])
@pytest.mark.parametrize(
    "status, sentence",
    [
        (403, "your login may not do this with ann/brush (403); use a token with that right, or another name"),
        (410, "the Hub refused "),
        (500, "the Hub has a fault of its own (500); try again in some minutes"),
        (503, "the Hub has a fault of its own (503); try again in some minutes"),
        (429, "the Hub asks for patience (429); try again in some minutes, or log in with `hf auth login`"),
    ],
)
def test_what_a_server_refuses(
    hub: Hub, server: HubServer, brush: str, path: str, status: int, sentence: str
) -> None:
    server.faults = [Fault(path, status=status, times=99)]
    assert refusal(hub).startswith(sentence)


def test_how_long_to_wait(hub: Hub, server: HubServer, brush: str, login: Callable[[str], None]) -> None:
    login("hf_owner")
    server.faults = [Fault("/api/models", status=429, headers={"Retry-After": "37"})]
    assert refusal(hub) == "the Hub asks for patience (429); try again in 37 s"


def test_a_refusal_when_the_file_is_placed(hub: Hub, server: HubServer, brush: str) -> None:
    server.faults = [Fault("resolve", method="HEAD", status=500, times=99)]
    assert refusal(hub) == "the Hub has a fault of its own (500); try again in some minutes"


@pytest.mark.parametrize("answer", [b"<html>log in to the hotel's network</html>", b"[]", b'{"id": 3}', b"{}"])
def test_something_else_than_the_hub(
    hub: Hub, server: HubServer, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(hub_server, "_ROUTES", [(".*", lambda handler, user: handler._send(answer, {}))])
    assert refusal(hub) == f"{server.url} does not answer as the Hub does; check HF_ENDPOINT and the proxy"


@pytest.mark.parametrize("name", ["../../evil", "/etc/cron.d/evil", "a/../../evil", "..\\evil"])
def test_names_that_lead_out_of_the_cache(hub: Hub, server: HubServer, name: str) -> None:
    server.add("ann/brush", {**FILES, name: b"evil"})
    repository = hub.look(Address("ann/brush"))
    assert [f.name for f in repository.files] == ["w.safetensors"]
    hub.download(repository, repository.files)
    assert not list(hub.folder.parent.rglob("*evil*"))


@pytest.mark.parametrize(
    "field, value", [("sha", "../../evil"), ("blobId", "../evil"), ("size", "7"), ("size", None)]
)
def test_hashes_that_lead_out_of_the_cache(
    hub: Hub, server: HubServer, monkeypatch: pytest.MonkeyPatch, field: str, value: object
) -> None:
    server.add("ann/brush", {"README.md": b"# A brush"})
    about = HubHandler._about

    def lies(handler: HubHandler, *arguments: object) -> dict[str, object]:
        facts = about(handler, *arguments)
        (facts if field == "sha" else facts["siblings"][0])[field] = value
        return facts

    monkeypatch.setattr(HubHandler, "_about", lies)
    assert "does not answer as the Hub does" in refusal(hub)
