"""What the models tab's page may ask for, and what a visitor and a stranger are told."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.checkpoint import INFO, read_info
from studio.errors import CheckpointError, SettingError, StudioError, UnknownName
from studio.files import write_json
from studio.hub import Hub
from studio.library import Library
from studio.ui.handlers.models import ModelsHandlers
from studio.ui.services import Services
from studio.ui.tabs import models as tab
from studio.ui.tasks import AT_WORK
from tests.hub.conftest import _a_person_without_login, everywhere, hub, login, server  # noqa: F401
from tests.hub_server import Fault, HubServer
from tests.test_adopt import zipped
from tests.ui.visitor import SECRET, Visitor, photo

pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")  # the client's own
TOKEN = "hf_owner"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def handlers(home: Path, save_tiny: Callable[..., Path]) -> Iterator[ModelsHandlers]:
    save_tiny(home / "models" / "tiny")
    services = Services.on(Library((home / "models",)), "cpu", paths=True)
    yield ModelsHandlers(services)
    services.close()


@pytest.fixture
def files(tmp_path: Path, save_tiny: Callable[..., Path]) -> dict[str, bytes]:
    """A checkpoint as it lies on the Hub."""
    folder = save_tiny(tmp_path / "brush", seed=3)
    return {**{path.name: path.read_bytes() for path in folder.iterdir()}, "samples.png": photo(64, 64)}


def ended(handlers: ModelsHandlers) -> dict[str, Any]:
    for _ in range(600):
        report = handlers.work.watch({"desk": SECRET})
        if report["state"] not in AT_WORK:
            return report
        time.sleep(0.02)
    raise AssertionError("the task goes on")


def done(handlers: ModelsHandlers, **asked: Any) -> Any:
    """What a job has made."""
    handlers.work.begin({"desk": SECRET, **asked})
    report = ended(handlers)
    assert report["state"] == "done", report
    return json.loads(Visitor(handlers.work).take(report["file"]))


def test_the_list_and_one_of_it(handlers: ModelsHandlers) -> None:
    listed = handlers.shelf.models({})["models"]
    told = [(one["name"], one["origin"], one["opens"], one["own"]) for one in listed]
    assert told == [("tiny", "file", "explore", True)]
    told = handlers.shelf.about({"kind": "model", "name": "tiny"})
    assert told["card"] == [{"kind": "heading", "level": 1, "spans": [{"text": "A tiny model"}]}]
    assert told["can"] == ["noise", "styles"] and told["licence"] == "not stated" and len(told["sha256"]) == 64
    assert set(told["can"]) <= set(tab.CAPABILITIES) and told["origin"] in tab.ORIGINS


def test_the_same_seeds_again_are_the_same_pictures(handlers: ModelsHandlers) -> None:
    first = handlers.shelf.draw({"model": "tiny", "first": 3, "psi": 0.5})["cells"]
    again = handlers.shelf.draw({"model": "tiny", "first": 4, "psi": 0.5})["cells"]
    assert [cell["seed"] for cell in first] == [3, 4, 5, 6, 7, 8]
    assert first[1:] == again[:-1] and first[0]["picture"] != first[1]["picture"]


@pytest.mark.parametrize("asked", [
    {}, {"model": "tiny"}, {"model": "tiny", "first": -1, "psi": 0.5}, {"model": "tiny", "first": 0, "psi": "nan"},
    {"model": "../tiny", "first": 0, "psi": 0.5}, None,
])
def test_what_cannot_be_drawn(handlers: ModelsHandlers, asked: Any) -> None:
    with pytest.raises(StudioError):
        handlers.shelf.draw(asked)


def test_rename_and_delete(handlers: ModelsHandlers, home: Path) -> None:
    assert handlers.shelf.rename({"kind": "model", "name": "tiny", "to": " ink "}) == {"kind": "model", "name": "ink"}
    freed = handlers.shelf.remove({"models": [{"kind": "model", "name": "ink"}]})["freed"]
    assert freed > 1000 and handlers.services.library.names() == []


def test_of_several_all_go_or_none(handlers: ModelsHandlers) -> None:
    asked = [{"kind": "model", "name": "tiny"}, {"kind": "model", "name": "gone"}]
    with pytest.raises(UnknownName):
        handlers.shelf.remove({"models": asked})
    assert handlers.services.library.names() == ["tiny"]


def test_what_is_renamed_while_it_is_looked_at(handlers: ModelsHandlers, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"kind": "model", "name": "tiny"}
    item = handlers.shelf.find(asked)
    handlers.shelf.rename({**asked, "to": "ink"})
    monkeypatch.setattr(handlers.shelf, "find", lambda data: item)
    with pytest.raises(UnknownName, match="'tiny' has just been renamed or deleted; choose another"):
        handlers.shelf.about(asked)


# A visitor.


def test_a_visitor_looks_and_changes_nothing(home: Path, handlers: ModelsHandlers) -> None:
    services = Services.on(handlers.services.library, "cpu")
    visitor = ModelsHandlers(services)
    names = [ask.__name__ for ask in visitor.functions()]
    assert names == ["models", "about", "draw"]
    assert len(handlers.functions()) == len({ask.__name__ for ask in handlers.functions()}) == 18
    assert visitor.shelf.models({})["models"][0]["own"] is False
    # also where somebody calls what the page has not
    for ask in [ask for ask in handlers.functions() if ask.__name__ not in (*names, "watch", "stop", "take")]:
        for part in (visitor.shelf, visitor.hub, visitor.work):
            if own := getattr(part, ask.__name__, None):
                with pytest.raises(SettingError, match="^visitors of this page may not change"):
                    tiny = {"kind": "model", "name": "tiny"}
                    own({**tiny, "to": "x", "models": [tiny], "job": "adopt", "desk": SECRET})
    assert services.library.names() == ["tiny"]
    services.close()


# The Hub.


def test_the_catalogue_shows_licences_and_asks_nobody(
    everywhere: Hub, server: HubServer, handlers: ModelsHandlers
) -> None:
    entries = handlers.hub.catalogue({})["entries"]
    assert {"name", "licence", "bytes", "preview", "here"} <= set(entries[0])
    assert handlers.hub.preview({"name": entries[0]["name"]}) == {"picture": ""}
    assert server.requests == []


def test_an_entrys_preview_is_fetched_when_asked_for(
    everywhere: Hub, server: HubServer, handlers: ModelsHandlers, home: Path, files: dict[str, bytes]
) -> None:
    server.add("ann/brush", files)
    entry = {"name": "ink", "repo": "ann/brush", "preview": "samples.png"}
    write_json(home / "catalogue.json", {"version": 1, "models": [entry]})
    picture = handlers.hub.preview({"name": "ink", "ask": True})["picture"]
    assert picture.startswith("data:image/jpeg;base64,")
    asked = len(server.requests)
    assert handlers.hub.preview({"name": "ink"})["picture"] == picture and len(server.requests) == asked
    assert handlers.hub.glimpse({"address": "ink"})["picture"].startswith("data:image/jpeg;base64,")


def test_a_look_fetches_nothing(
    everywhere: Hub, server: HubServer, handlers: ModelsHandlers, files: dict[str, bytes]
) -> None:
    commit = server.add("ann/brush", files, card={"license": "mit"}, task="unconditional-image-generation")
    told = handlers.hub.look({"address": "https://huggingface.co/ann/brush"})
    assert (told["licence"], told["commit"], told["name"], told["kept"]) == ("mit", commit, "brush", 0)
    assert told["bytes"] == sum(len(data) for data in files.values()) and told["problem"] == ""
    assert not server.seen("resolve")
    glimpse = handlers.hub.glimpse({"address": "ann/brush"})
    assert glimpse["card"][0]["spans"] == [{"text": "A tiny model"}] and glimpse["picture"]
    assert not server.seen("model.safetensors")


def test_several_files_are_a_choice_and_what_fits_no_tab_is_said(
    everywhere: Hub, server: HubServer, handlers: ModelsHandlers
) -> None:
    server.add("bob/two", {"a.pth": b"12", "sub/b.pth": b"3"})
    server.add("bob/words", {"a.bin": b"12", "b.bin": b"3"}, task="text-generation")
    told = handlers.hub.look({"address": "bob/two"})
    assert [file["address"] for file in told["choices"]] == ["bob/two:a.pth", "bob/two:sub/b.pth"]
    assert told["files"] == []
    assert handlers.hub.look({"address": told["choices"][1]["address"]})["bytes"] == 1
    assert "which no tab here does" in handlers.hub.look({"address": "bob/words"})["problem"]
    found = handlers.hub.search({"words": "bob"})["found"]
    assert [(one["repo"], one["fits"]) for one in found] == [("bob/two", True), ("bob/words", False)]


def test_fetched_cancelled_and_gone_on_with(
    everywhere: Hub, server: HubServer, handlers: ModelsHandlers, files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.add("ann/brush", files)
    monkeypatch.setattr("studio.hub.download.RETRIES", 0)
    monkeypatch.setattr("studio.hub.download.BLOCK", 1000)
    server.faults.append(Fault("/[0-9a-f]{64}", cut=5000))
    server.faults.append(Fault("/[0-9a-f]{64}", status=503))
    handlers.work.begin({"desk": SECRET, "job": "install", "address": "ann/brush", "name": ""})
    failed = ended(handlers)
    assert failed["state"] == "failed" and "try again" in failed["error"]
    handlers.work.stop({"desk": SECRET})
    assert 4000 <= handlers.hub.look({"address": "ann/brush"})["kept"] < 8000
    made = done(handlers, job="install", address="ann/brush", name="my ink")
    assert (made["kind"], made["name"]) == ("model", "my ink")
    assert [r.headers["Range"] for r in server.seen("/[0-9a-f]{64}") if "Range" in r.headers]
    assert handlers.shelf.about({"kind": "model", "name": "my ink"})["repo"] == "ann/brush"
    kept = handlers.hub.cache({})
    assert [(one["repo"], one["here"]) for one in kept["models"]] == [("ann/brush", True)]
    with handlers.hub.fetching("ann/brush"), pytest.raises(SettingError, match="is being fetched"):
        handlers.hub.forget({"repo": "ann/brush"})
    assert handlers.hub.forget({"repo": "ann/brush"})["freed"] == kept["bytes"]
    assert handlers.hub.cache({})["models"] == []
    assert handlers.services.library.names() == ["my ink", "tiny"]


# Files.


def test_a_dropped_file(handlers: ModelsHandlers, files: dict[str, bytes], tmp_path: Path) -> None:
    sent = Visitor(handlers.work).send(zipped(tmp_path / "brush"), "my brush.zip")
    assert sent["suggested"] == "my brush"
    made = done(handlers, job="adopt", file=sent["id"], name="my brush")
    assert made == {"kind": "model", "name": "my brush"}
    path = tmp_path / "other.zip"
    path.write_bytes(zipped(tmp_path / "brush"))
    assert done(handlers, job="adopt", path=str(path), name="")["name"] == "other"


def test_files_that_cannot_be(handlers: ModelsHandlers) -> None:
    with pytest.raises(CheckpointError, match="photo.png is no file of weights"):
        Visitor(handlers.work).send(photo(8, 8), "photo.png")
    for path in ("weights.pth", "/no/such/file.pth", "/a\0b"):
        with pytest.raises(StudioError):
            handlers.work.begin({"desk": SECRET, "job": "adopt", "path": path, "name": ""})
    for asked in ({"job": "cook"}, {"job": "install"}, {"job": "adopt", "name": "x", "file": "../x"}, {}):
        with pytest.raises(StudioError):
            handlers.work.begin({"desk": SECRET, **asked})


# Publishing.


def test_what_is_sent_is_what_was_seen(
    everywhere: Hub, server: HubServer, handlers: ModelsHandlers, login: Callable[[str], None], home: Path
) -> None:
    asked = {"model": "tiny", "repo": "ann/ink", "licence": "cc-by-4.0"}
    seen = handlers.work.prepare(asked)
    assert seen["private"] and not seen["signed_in"] and server.requests == []
    assert {file["name"] for file in seen["files"]} == {"README.md", "model.json", "model.safetensors"}
    assert "license: cc-by-4.0" in seen["card"]
    for other in ({**asked, "public": True}, {**asked, "licence": "mit"}, {**asked, "repo": "ann/other"}):
        with pytest.raises(SettingError, match="is not what was shown"):
            handlers.work.begin({"desk": SECRET, "job": "publish", **other, "seen": seen["seen"]})
    login(TOKEN)
    told = done(handlers, job="publish", **asked, seen=seen["seen"])
    assert told["private"] and server.repos["ann/ink"].private
    assert server.repos["ann/ink"].at("main")[1]["README.md"].decode() == seen["card"]
    answers = json.dumps([told, handlers.work.prepare(asked), handlers.hub.catalogue({})])
    assert TOKEN not in answers and not any(TOKEN.encode() in p.read_bytes() for p in home.rglob("*") if p.is_file())
    info = read_info(home / "models" / "tiny")
    write_json(home / "models" / "tiny" / INFO, {"version": 1, **vars(info), "title": "Another"})
    with pytest.raises(SettingError, match="look at what would be sent again"):
        handlers.work.begin({"desk": SECRET, "job": "publish", **asked, "seen": seen["seen"]})


@pytest.mark.parametrize(
    "change", [{"licence": ""}, {"licence": "mine"}, {"repo": "nowhere"}, {"model": "gone"}, {"model": None}]
)
def test_what_cannot_be_published(handlers: ModelsHandlers, change: dict[str, Any]) -> None:
    with pytest.raises(StudioError):
        handlers.work.prepare({"model": "tiny", "repo": "ann/ink", "licence": "mit", **change})
