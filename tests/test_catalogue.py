import json
from pathlib import Path
from typing import Any

import pytest

from studio.catalogue import BUILT_IN, catalogue, find, locate, own_catalogue, read_catalogue, search
from studio.errors import SettingError, UnknownName
from studio.hub import Address


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the person's catalogue would be; not there yet."""
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    assert own_catalogue() == tmp_path / "catalogue.json"
    return own_catalogue()


def write(path: Path, *models: dict[str, Any]) -> None:
    path.write_text(json.dumps({"version": 1, "models": models}))


def test_ours_is_in_order(own: Path) -> None:
    entries = catalogue()
    assert entries == read_catalogue(BUILT_IN) and len({e.name for e in entries}) == len(entries) >= 10
    assert {e.task for e in entries} <= {"explore", "style", "inpaint", "upscale", "translate"}
    for entry in entries:
        assert entry.title and entry.note
        assert entry.revision == "" or len(entry.revision) == 40, "a pin is a commit's whole hash"
    pinned = find("paintings")
    assert pinned.address == Address(
        "huggan/fastgan-few-shot-painting", "2d74d156bb01bad125b6dc62b0f75df4a8447d44", "pytorch_model.bin"
    )
    assert pinned.preview_address == Address(pinned.repo, pinned.revision, "example.png")
    assert find("butterflies").address.revision == "main" and find("butterflies").preview_address is None


def test_the_person_s_own_come_first(own: Path) -> None:
    write(own, {"name": "paintings", "repo": "ann/better"}, {"name": "mine", "repo": "ann/ink", "note": "Sumi-e"})
    assert [e.name for e in catalogue()][:2] == ["paintings", "mine"]
    assert find("paintings").repo == "ann/better"
    assert len(catalogue()) == len(read_catalogue(BUILT_IN)) + 1


def test_search_by_every_word(own: Path) -> None:
    assert [e.name for e in search("fauvist HUGGAN")] == ["fauvism-still-life"]
    assert {e.task for e in search("spandrel")} == {"upscale"}
    assert search("fauvist butterflies") == [] and search("") == catalogue()


def test_a_name_or_an_address(own: Path) -> None:
    assert locate("shells") == (find("shells").address, "shells")
    assert locate("ann/brush@v1:g.pt") == (Address("ann/brush", "v1", "g.pt"), "")
    with pytest.raises(UnknownName, match="^no model named 'shels' in the catalogue; known: paintings, "):
        locate("shels")


@pytest.mark.parametrize(
    "model, wrong",
    [
        ({"repo": "a/b"}, "has no name; add it"),
        ({"name": "x"}, "has no repo; add it"),
        ({"name": "x", "repo": "a/b", "licens": "mit"}, "has the unknown 'licens'; known: name, repo, title, "),
        ({"name": "x", "repo": "a/b", "bytes": "7"}, "bytes='7' is not a whole number; mend it"),
        ({"name": "x", "repo": "a/b", "bytes": True}, "bytes=True is not a whole number; mend it"),
        ({"name": "x", "repo": "a/b", "title": None}, "title=None is not a text; mend it"),
        ({"name": "../x", "repo": "a/b"}, "'../x' is no name for a model"),
        ({"name": "x", "repo": "http://evil/"}, "is no repository's name; "),
        ({"name": "x", "repo": "a/b", "file": "../../x"}, "'../../x' is no file of a repository; "),
        ({"name": "x", "repo": "a/b", "preview": "/etc/passwd"}, "is no file of a repository; "),
        ("x", "is not names with values"),
    ],
)
def test_what_is_wrong_with_an_entry(own: Path, model: Any, wrong: str) -> None:
    write(own, {"name": "good", "repo": "a/b"}, model)
    with pytest.raises(SettingError) as error:
        catalogue()
    assert str(error.value).startswith(f"{own}, model 2") and wrong in str(error.value)


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("{", "is not valid JSON; mend it, or move it away"),
        ("[]", "has no list of models; write "),
        ('{"version": 2, "models": []}', "has version 2, and this studio reads 1; mend it"),
        ("[" * 100_000, "is not valid JSON; "),
    ],
)
def test_what_is_no_catalogue(own: Path, text: str, wrong: str) -> None:
    own.write_text(text)
    with pytest.raises(SettingError) as error:
        catalogue()
    assert str(error.value).startswith(f"{own} {wrong}")
