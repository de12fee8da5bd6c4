import json
from collections.abc import Callable
from pathlib import Path

import pytest

from studio import inventory as module
from studio import library as places
from studio.checkpoint import INFO, ModelInfo, load_network, read_info, save_checkpoint
from studio.errors import SettingError, UnknownName
from studio.files import write_json
from studio.inventory import MODEL, NETWORK, delete, find, inventory, network_facts, rename, task_of
from studio.library import Library


@pytest.fixture
def models(tmp_path: Path, save_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Library:
    """`bundled` comes with the studio; `tiny` and two snapshots of a run are the person's own."""
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(places, "BUNDLED", tmp_path / "bundled")
    own = tmp_path / "home" / "models"
    save_tiny(tmp_path / "bundled" / "bundled")
    save_tiny(own / "tiny")
    for kimg in ("4", "12.5"):
        told(save_tiny(own / f"my run {kimg} kimg"), training={"recipe": "dcgan"}, kimg=float(kimg))
    return Library((tmp_path / "bundled", own))


def told(folder: Path, **changes: object) -> Path:
    write_json(folder / INFO, {"version": 1, **vars(read_info(folder)), **changes})
    return folder


def network(name: str = "x4.pth", **facts: object) -> Path:
    path = places.home() / "networks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    if facts:
        write_json(path.with_name(f"{name}.json"), {"network": facts})
    return path


def test_what_is_told(models: Library) -> None:
    network(does="enlarges", architecture="ESRGAN", licence="mit", scale=4)
    items = {item.name: item for item in inventory(models)}
    assert {name: item.origin for name, item in items.items()} == {
        "bundled": "bundled", "tiny": "file", "my run 4 kimg": "trained", "my run 12.5 kimg": "trained",
        "x4.pth": "file",
    }
    assert items["tiny"].can == ("noise", "styles") and items["x4.pth"].can == ("enlarge",)
    assert items["my run 12.5 kimg"].snapshot == ("my run", 12.5) and items["tiny"].snapshot is None
    assert items["tiny"].bytes == sum(p.stat().st_size for p in items["tiny"].path.iterdir())
    assert [task_of(items[name]) for name in ("tiny", "x4.pth")] == ["explore", "upscale"]
    assert items["tiny"].card == "# A tiny model\n"


def test_the_damaged_is_listed_and_names_no_folder_of_the_machine(models: Library, tmp_path: Path) -> None:
    (models.find("tiny") / "model.safetensors").write_bytes(b"no weights")
    item = find(models, MODEL, "tiny")
    assert "corrupt" in item.damaged and str(tmp_path) not in item.damaged
    assert item.can == ()
    assert len(inventory(models)) == 4


def test_rename(models: Library) -> None:
    assert rename(models, find(models, MODEL, "tiny"), "my ink") == "my ink"
    assert models.names() == ["bundled", "my ink", "my run 12.5 kimg", "my run 4 kimg"]
    assert read_info(models.find("my ink")).title == "my ink"
    load_network(models.find("my ink"))


@pytest.mark.parametrize("to, why", [
    ("bundled", "there is a model named 'bundled' already"), ("my run 4 kimg", "already"),
    ("../out", "no name for a model"),
    ("", "no name for a model"), (".hidden", "no name for a model"), ("a ", "no name for a model"),
    ("a/b", "no name for a model"),
])
def test_a_name_that_cannot_be(models: Library, to: str, why: str) -> None:
    with pytest.raises(SettingError, match=why):
        rename(models, find(models, MODEL, "tiny"), to)
    assert "tiny" in models.names()


def test_a_title_of_its_own_stays(models: Library) -> None:
    told(models.find("tiny"), title="Ink, by Ann")
    rename(models, find(models, MODEL, "tiny"), "b")
    assert read_info(models.find("b")).title == "Ink, by Ann"


def test_delete_leaves_nothing(models: Library) -> None:
    item = find(models, MODEL, "tiny")
    assert delete(item) == item.bytes
    assert sorted(p.name for p in item.path.parent.iterdir()) == ["my run 12.5 kimg", "my run 4 kimg"]


def test_what_is_deleted_while_it_is_looked_at_is_gone(models: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    path = network()
    weigh = module._weight

    def vanish(folder: Path) -> tuple[int, float]:
        if folder.name == "tiny":
            raise FileNotFoundError(folder / "samples.png")
        return weigh(folder)

    monkeypatch.setattr(module, "_weight", vanish)
    assert {item.name for item in inventory(models)} == {"bundled", "my run 4 kimg", "my run 12.5 kimg", "x4.pth"}
    with pytest.raises(UnknownName, match="'tiny' has just been renamed or deleted; choose another"):
        find(models, MODEL, "tiny")
    monkeypatch.setattr(module, "noted_facts", lambda where: path.unlink(missing_ok=True))
    with pytest.raises(UnknownName, match="just been"):
        find(models, NETWORK, "x4.pth")


def test_what_comes_with_the_studio_stays(models: Library) -> None:
    item = find(models, MODEL, "bundled")
    for act in (lambda: delete(item), lambda: rename(models, item, "mine")):
        with pytest.raises(SettingError, match="^bundled comes with the studio and cannot be"):
            act()
    assert "bundled" in models.names()


def test_a_network_moves_with_what_is_known_of_it(models: Library) -> None:
    path = network(does="fills", architecture="LaMa", licence="apache-2.0", scale=1)
    assert rename(models, find(models, NETWORK, "x4.pth"), "lama") == "lama.pth"
    item = find(models, NETWORK, "lama.pth")
    assert network_facts(item.path) == {"does": "fills", "architecture": "LaMa", "licence": "apache-2.0", "scale": 1}
    delete(item)
    assert list(path.parent.iterdir()) == []


def test_facts_that_are_no_facts_are_read_from_the_file(models: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    path = network(does="cooks")
    monkeypatch.setattr(module, "_read_facts", lambda *file: {"read": file[0].name})
    assert network_facts(path) == {"read": "x4.pth"}


@pytest.mark.parametrize(
    "kind, name",
    [(MODEL, "../home/models/tiny"), (NETWORK, "../models/tiny/model.safetensors"), (NETWORK, "no.pth")],
)
def test_a_name_is_never_a_path(models: Library, kind: str, name: str) -> None:
    with pytest.raises(UnknownName):
        find(models, kind, name)
