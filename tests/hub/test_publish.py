import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from studio.checkpoint import ModelInfo, load_network, read_info, save_checkpoint
from studio.errors import Cancelled, CheckpointError, SettingError
from studio.files import write_json
from studio.hub import Address, Hub, HubError
from studio.hub.install import install
from studio.publish import prepare, publish
from tests.hub_server import Fault, HubServer

pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")  # the client's own

CARD = """---
tags: [gan, calm]
datasets: [ann/pictures]
---

# Tiny

![samples](samples.jpg)

| licence of the weights | not stated |
"""


@pytest.fixture
def tiny(tmp_path: Path, make_generator: Callable[..., torch.nn.Module]) -> Path:
    """A checkpoint with a card, a picture, figures, and files that are nobody else's business."""
    G = make_generator()
    info = ModelInfo(
        model="stylegan2", config=G.config.to_dict(), sha256="", title="tiny", data_licence="CC0",
        metrics={"KID": 0.25},
    )
    folder = save_checkpoint(tmp_path / "tiny", info, G, CARD, {"samples.jpg": b"a picture"}, dtype=torch.float32)
    (folder / "notes.txt").write_text("private")
    (folder / ".env").write_text("HF_TOKEN=hf_owner")
    return folder


def front_matter(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---\n")[1])


def python_of(card: str) -> str:
    return re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]


def test_what_would_be_sent(tiny: Path, server: HubServer) -> None:
    found = prepare(tiny, "ann/brush", "cc-by-4.0")
    assert found.private and (found.title, found.licence) == ("tiny", "cc-by-4.0")
    assert sorted(found.files) == ["README.md", "model.json", "model.safetensors", "samples.jpg"]
    assert found.sizes()["samples.jpg"] == 9 and found.sizes()["README.md"] == len(found.card.encode())
    assert front_matter(found.card) == {
        "license": "cc-by-4.0", "library_name": "atelier", "pipeline_tag": "unconditional-image-generation",
        "tags": ["art", "atelier", "calm", "gan", "stylegan2"], "datasets": ["ann/pictures"],
    }
    for line in ("# Tiny", "![samples](samples.jpg)", "| licence of the weights | cc-by-4.0 |", "| KID | 0.25 |"):
        assert line in found.card.splitlines()
    assert json.loads(found.files["model.json"]) == {
        **json.loads((tiny / "model.json").read_text()), "licence": "cc-by-4.0"
    }
    assert read_info(tiny).licence == "not stated" and (tiny / "README.md").read_text() == CARD, "nothing changes"
    assert found.notes == () and server.requests == []


def test_it_arrives_as_it_was_shown(
    tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    login("hf_owner")
    shown = prepare(tiny, "ann/brush", "mit")
    assert publish(shown, hub) == f"{server.url}/ann/brush"
    repo = server.repos["ann/brush"]
    assert repo.private and len(repo.commits) == 1
    arrived = repo.commits[repo.head]
    assert arrived == {n: f if isinstance(f, bytes) else f.read_bytes() for n, f in shown.files.items()}
    assert b"hf_owner" not in b"".join(arrived.values())
    assert [r for r in server.requests if r.host == "cdn" and "Authorization" in r.headers] == []
    folder = install(hub, Address("ann/brush")).folder
    z = torch.randn(1, 8)
    assert torch.equal(load_network(folder).generate(z), load_network(tiny).generate(z))


def test_it_says_how_far_it_is(
    tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None]
) -> None:
    login("hf_owner")
    heard: list[tuple[int, int]] = []
    publish(prepare(tiny, "ann/brush", "mit"), hub, lambda done, total: heard.append((done, total)))
    size = (tiny / "model.safetensors").stat().st_size
    assert heard[-1] == (size, size) and all(done <= size for done, _ in heard)


@pytest.mark.parametrize("sent", [0, 1])
def test_cancelled_on_the_way_nothing_is_published(
    tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None], sent: int
) -> None:
    login("hf_owner")
    heard: list[int] = []
    with pytest.raises(Cancelled):
        publish(
            prepare(tiny, "ann/brush", "mit"), hub, lambda done, total: heard.append(done), lambda: len(heard) >= sent
        )
    repo = server.repos["ann/brush"]
    assert not any("model.safetensors" in files for files in repo.commits.values()) and len(heard) == sent
    publish(prepare(tiny, "ann/brush", "mit"), hub)
    assert "model.safetensors" in repo.commits[repo.head]


def test_publishing_again_makes_one_section_and_sends_what_changed(
    tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None]
) -> None:
    login("hf_owner")
    publish(prepare(tiny, "ann/brush", "mit"), hub)
    (tiny / "README.md").write_bytes(server.repos["ann/brush"].commits[server.repos["ann/brush"].head]["README.md"])
    again = prepare(tiny, "ann/brush", "mit")
    assert again.card.count("## In Python") == again.card.count("## Measured") == 1
    uploads = len(server.seen("/[0-9a-f]{64}$", "PUT"))
    publish(again, hub)
    assert len(server.seen("/[0-9a-f]{64}$", "PUT")) == uploads, "the Hub has the weights"


def test_the_card_s_three_lines_work(
    tiny: Path, everywhere: Hub, login: Callable[[str], None]
) -> None:
    login("hf_owner")
    shown = prepare(tiny, "ann/brush", "mit")
    publish(shown)
    lines = python_of(shown.card)
    assert lines.count("\n") == 3
    names: dict[str, torch.Tensor] = {}
    exec(lines, names)
    assert names["pictures"].shape == (4, 1, 16, 16) and "# [4, 1, 16, 16] in [-1, 1]" in lines


def test_three_lines_for_a_model_with_classes(tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    folder = save_tiny(tmp_path / "classes", classes=3)
    lines = python_of(prepare(folder, "ann/brush", "mit").card).replace('"ann/brush"', repr(str(folder)))
    names: dict[str, torch.Tensor] = {}
    exec(lines, names)
    assert names["pictures"].shape == (3, 1, 16, 16)


def test_the_lines_of_a_model_that_paints(tmp_path: Path) -> None:
    from studio.library import BUNDLED

    card = prepare(BUNDLED / "style", "ann/brush", "mit").card
    assert "style = network.encode(styles)" in python_of(card)
    assert front_matter(card)["pipeline_tag"] == "image-to-image"


def test_what_to_look_at_first(tiny: Path) -> None:
    info = replace(read_info(tiny), data_licence="not stated", data=f"pictures in {Path.home()}/secret")
    write_json(tiny / "model.json", {"version": 1, **vars(info)})
    write_json(tiny / "source.json", {"repo": "bob/ink", "revision": "1", "file": "", "licence": ""})
    notes = prepare(tiny, "ann/brush", "other").notes
    assert [note.split(":")[0] for note in notes] == [
        "it was fetched from bob/ink under no licence that is stated",
        "the licence of the pictures it learned from is not stated",
        f"its texts name {Path.home()}, a folder of yours",
        "'other' asks for the licence's text as a file LICENSE, which is to be added on the Hub's page",
    ]


@pytest.mark.parametrize(
    "repo, licence, sentence",
    [
        ("brush", "mit", "'brush' is no repository's name; "),
        ("ann/brush", "beer", "'beer' is no licence that the Hub knows by that name; give one of mit, "),
    ],
)
def test_names_that_the_hub_has_not(tiny: Path, repo: str, licence: str, sentence: str) -> None:
    with pytest.raises(SettingError) as error:
        prepare(tiny, repo, licence)
    assert str(error.value).startswith(sentence)


def test_what_does_not_load_is_not_published(tiny: Path) -> None:
    (tiny / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError):
        prepare(tiny, "ann/brush", "mit")


def test_a_card_that_no_one_can_read(tiny: Path) -> None:
    (tiny / "README.md").write_text("---\na: [1\n---\n# Tiny\n")
    with pytest.raises(CheckpointError, match="README.md are no YAML that the Hub can read; mend them$"):
        prepare(tiny, "ann/brush", "mit")


def test_without_a_login(tiny: Path, hub: Hub, server: HubServer) -> None:
    with pytest.raises(HubError) as error:
        publish(prepare(tiny, "ann/brush", "mit"), hub)
    step = "log in with `hf auth login`, with a token that may write"
    assert str(error.value) == f"the Hub does not know who publishes ann/brush; {step}"
    assert server.requests == []


def test_under_another_s_name(tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None]) -> None:
    login("hf_other")
    with pytest.raises(HubError, match=r"^your login may not do this with ann/brush \(403\); use a token with"):
        publish(prepare(tiny, "ann/brush", "mit"), hub)
    server.add("ann/brush", {"README.md": b"hers"})
    with pytest.raises(HubError, match=r"\(403\)"):
        publish(prepare(tiny, "ann/brush", "mit", private=False), hub)
    assert server.repos["ann/brush"].commits[server.repos["ann/brush"].head] == {"README.md": b"hers"}


@pytest.mark.parametrize(
    "is_private, asked_private, sentence",
    [
        (False, True, "ann/brush is there and public; publish for all to see, or choose another name"),
        (True, False, "ann/brush is there and private; publish as private, or choose another name"),
    ],
)
def test_nothing_becomes_public_by_mistake(
    tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None],
    is_private: bool, asked_private: bool, sentence: str,
) -> None:
    login("hf_owner")
    server.add("ann/brush", {}, private=is_private)
    with pytest.raises(HubError) as error:
        publish(prepare(tiny, "ann/brush", "mit", asked_private), hub)
    assert str(error.value) == sentence and len(server.repos["ann/brush"].commits) == 1


def test_a_public_one_when_asked_for(tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None]) -> None:
    login("hf_owner")
    publish(prepare(tiny, "ann/brush", "mit", private=False), hub)
    assert not server.repos["ann/brush"].private


@pytest.mark.parametrize(
    "path, method",
    [("/preupload/", "POST"), ("objects/batch", "POST"), ("/commit/", "POST"), ("^/[0-9a-f]{64}$", "PUT")]
)
def test_a_fault_on_the_way(
    tiny: Path, hub: Hub, server: HubServer, login: Callable[[str], None], path: str, method: str
) -> None:
    login("hf_owner")
    server.faults = [Fault(path, method, status=500, times=99)]
    with pytest.raises(HubError, match=r"^the Hub has a fault of its own \(500\); try again in some minutes$"):
        publish(prepare(tiny, "ann/brush", "mit"), hub)
    server.faults = []
    publish(prepare(tiny, "ann/brush", "mit"), hub)
    assert "model.safetensors" in server.repos["ann/brush"].commits[server.repos["ann/brush"].head]
