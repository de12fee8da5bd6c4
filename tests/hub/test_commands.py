"""The commands about the Hub: in this process, and as a person starts them, with their own environment."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.commands import main
from studio.commands.fetch import show_bytes
from studio.hub import Hub
from tests.hub_server import HubServer

pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")  # the client's own

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, everywhere: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *words: (main([str(word) for word in words]), *capsys.readouterr())


@pytest.fixture
def brush(server: HubServer, tmp_path: Path, save_tiny: Callable[..., Path]) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in save_tiny(tmp_path / "tiny").iterdir()}
    server.add("ann/brush", files, card={"license": "mit"})
    return files


def test_fetch_and_use(run: Run, home: Path, brush: dict[str, bytes], server: HubServer) -> None:
    code, out, err = run("fetch", "ann/brush")
    commit = server.repos["ann/brush"].head
    assert (code, err) == (0, "")
    assert out.startswith(f"installed brush from ann/brush at {commit[:12]} in ") and "licence mit" in out
    code, out, _ = run("models", "--json")
    assert "brush" in [m["name"] for m in json.loads(out)["models"]]


def test_fetch_says_what_a_program_wants_to_know(
    run: Run, home: Path, brush: dict[str, bytes], server: HubServer
) -> None:
    code, out, _ = run("fetch", "ann/brush@" + server.repos["ann/brush"].head, "--name", "ink", "--json")
    values = json.loads(out)
    assert code == 0 and values.pop("seconds") >= 0
    assert values == {
        "name": "ink", "folder": str(home / "models" / "ink"), "repo": "ann/brush", "file": "", "licence": "mit",
        "revision": server.repos["ann/brush"].head, "bytes": sum(map(len, brush.values())), "note": "",
    }


def test_a_refusal_is_one_sentence_and_code_2(run: Run) -> None:
    code, out, err = run("fetch", "ann/other")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: the Hub shows no repository ann/other; ")


def test_an_interrupt_says_how_to_go_on(run: Run, brush: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Hub, "download", interrupted)
    assert run("fetch", "ann/brush") == (2, "", "error: interrupted; the same command goes on from there\n")


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    show = show_bytes()
    for done in (10_000_000, 20_000_000, 30_000_000):  # a third was there already
        show(done, 30_000_000)
    lines = sys.stderr.getvalue().split("\r")[1:]
    assert lines[0].startswith("10.0 of 30.0 MB, 0.0 MB/s\x1b[K")
    assert lines[1].startswith("20.0 of 30.0 MB, ") and lines[1].endswith(" s left\x1b[K")
    assert lines[-1] == "\x1b[K", "the line is wiped at the end"


def test_the_catalogue(run: Run, brush: dict[str, bytes]) -> None:
    code, out, _ = run("catalogue", "fauvist")
    assert code == 0 and out.count("\n") == 1
    assert out.startswith("fauvism-still-life: Fauvist still lifes, explore, 1024 px, 117 MB, licence mit, huggan/")
    code, out, _ = run("catalogue", "brush", "--online", "--json")
    assert json.loads(out) == {
        "models": [], "online": [{"repo": "ann/brush", "task": "", "licence": "mit", "downloads": 7}],
    }


def test_the_cache(run: Run, hub: Hub, brush: dict[str, bytes], home: Path) -> None:
    run("fetch", "ann/brush")
    code, out, _ = run("cache", "--json")
    values = json.loads(out)
    assert values["bytes"] == sum(map(len, brush.values())) and [m["repo"] for m in values["models"]] == ["ann/brush"]
    code, out, _ = run("cache", "--delete", "ann/brush")
    assert out.splitlines()[1:] == [f"0 models, 0.0 MB in {hub.folder}"] and out.startswith("deleted ann/brush, ")
    assert (home / "models" / "brush" / "model.json").is_file(), "what is installed stays"


def test_push_shows_first(
    run: Run, tmp_path: Path, brush: dict[str, bytes], server: HubServer, login: Callable[[str], None]
) -> None:
    login("hf_owner")
    words = ("push", tmp_path / "tiny", "ann/mine", "--licence", "mit")
    code, out, _ = run(*words)
    assert code == 0 and out.startswith(f"would send tiny to {server.url}/ann/mine (private, licence mit):")
    assert "  | library_name: atelier" in out and out.rstrip().endswith("MB")
    assert "nothing was sent; add --yes" in out and "ann/mine" not in server.repos and server.requests == []
    code, out, _ = run(*words, "--yes", "--json")
    assert json.loads(out)["sent"] and server.repos["ann/mine"].private
    assert "hf_owner" not in out


def started(*words: str, **environment: str) -> dict[str, Any]:
    """What a program sees that a person started with these words and these HF_ variables."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    code = (
        "import sys, json; from studio.hub import Address, Hub; hub = Hub(); r = hub.look(Address(sys.argv[1]));"
        "p = hub.download(r, r.files); print(json.dumps({'commit': r.commit, 'note': r.note, 'folder': str(p)}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env={**kept, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0 and "hf_owner" not in done.stdout + done.stderr, done.stderr
    return json.loads(done.stdout)


def test_the_person_s_own_environment_is_heard(tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_TOKEN; then, with HF_HUB_OFFLINE and no server, the cache will do."""
    own = {"HF_HOME": str(tmp_path / "hf")}
    with HubServer().running() as server:
        commit = server.add("ann/secret", {"w.safetensors": b"weights", "README.md": b"# A"}, private=True)
        own["HF_ENDPOINT"] = server.url
        fetched = started("ann/secret", HF_TOKEN="hf_owner", **own)
    folder = str(tmp_path / "hf" / "hub" / "models--ann--secret" / "snapshots" / commit)
    assert fetched == {"commit": commit, "note": "", "folder": folder}
    told = [p for p in tmp_path.rglob("*") if p.is_file() and b"hf_owner" in p.read_bytes()]
    assert told == [], "the token is written nowhere"
    again = started("ann/secret", HF_HUB_OFFLINE="1", **own)
    assert (again["commit"], again["folder"]) == (commit, folder)
    assert again["note"].startswith("HF_HUB_OFFLINE is set")
