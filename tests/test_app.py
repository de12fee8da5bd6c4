"""`python app.py` as a person starts it."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import app
from studio.ui.i18n import messages
from tests import readonly
from tests.tiny_style import blobs
from tests.ui.strangers import Stranger
from tests.ui.visitor import png

ROOT = Path(app.__file__).parent


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--share"], "share=True lets anyone with the link in; add --auth USER:PASS, or leave it at 127.0.0.1"),
        (["--host", "::"], "host=:: is open to other machines; add --auth USER:PASS, or leave it at 127.0.0.1"),
        (["--auth", "ada"], "--auth takes a name and a password with a colon between them; give --auth USER:PASS"),
        (["--port", "70000"], "port=70000 is outside 1..65535; leave --port out to have one chosen"),
    ],
)
def test_what_can_be_mended_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words) == 2
    assert capsys.readouterr() == ("", f"app.py: {sentence}\n")


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert app.main(["--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert error == f"app.py: port {port} is in use; stop the program there, choose another --port, or leave it out\n"


@pytest.mark.parametrize("words", [["--lang", "fr"], ["--port", "x"], ["--nonsense"]])
def test_flags_that_are_not_understood(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        app.main(words)
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err


@pytest.fixture
def start(
    tmp_path: Path, save_tiny: Callable[..., Path]
) -> Callable[..., AbstractContextManager[subprocess.Popen[str]]]:
    """Start app.py in a process of its own, with a tiny model in the person's own folder."""
    save_tiny(tmp_path / "models" / "tiny")

    @contextmanager
    def start(*words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        environ = {**os.environ, "ATELIER_HOME": str(tmp_path), **variables}
        command = [sys.executable, str(ROOT / "app.py"), *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=tmp_path, env=environ, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()  # leaving the block waits for it, however the test ended

    return start


@pytest.mark.skipif(sys.platform == "win32", reason="a test cannot send Ctrl-C there without stopping itself")
def test_it_opens_in_a_forced_language_and_closes_quietly(start: Callable) -> None:
    with start("--lang", "zh-CN", "--device", "cpu") as process:
        url = next(word for word in process.stdout.readline().split() if word.startswith("http://127.0.0.1:"))
        page = urllib.request.urlopen(url, timeout=10).read().decode()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert messages("zh-CN")["page.motto"] in page
    assert process.returncode == 0
    assert errors == ""


def test_with_a_password_nothing_is_told_before_it(start: Callable) -> None:
    with start("--device", "cpu", ATELIER_AUTH="ada:secret") as process:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        visitor = Stranger(url, Host="studio.example")  # as a proxy in front passes it on
        for method, path in [
            ("GET", "/config"), ("GET", "/gradio_api/info"), ("GET", "/gradio_api/queue/data?session_hash=x"),
            ("GET", "/gradio_api/call/explore/x"), ("GET", "/gradio_api/queue/status"),
            ("POST", "/gradio_api/component_server/"), ("POST", "/gradio_api/queue/join"),
            ("POST", "/gradio_api/call/explore"),
        ]:
            body = {} if method == "POST" else None
            assert visitor.client.request(method, path, json=body).status_code == 401, path
        assert "live-explore" not in visitor.client.get("/").text
        for wrong in ({"username": "ada", "password": "x"}, {"username": "", "password": ""}, {"username": "ada"}):
            assert visitor.client.post("/login", data=wrong).status_code in (400, 422)
        assert visitor.client.get("/config").status_code == 401
        evil = {"Origin": "https://evil.example"}
        entry = {"username": "ada", "password": "secret"}
        assert visitor.client.post("/login", data=entry, headers=evil).status_code == 403
        assert visitor.client.post("/login", data=entry).status_code == 200
        assert visitor.component("train")["props"]["props"]["paths"] is False
        wish = {"source": {"path": "/etc"}, "recipe": "stylegan2", "settings": {}}
        answer = visitor.call("train", "check", wish).json()
        assert "may not read folders" in answer["error"]
        assert "picture" in visitor.ask("live-explore", "draw", settings={"model": "tiny"})
        visitor.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Spaces run on Linux; a test cannot send SIGTERM elsewhere")
def test_as_a_space_starts_it(tmp_path: Path) -> None:
    """Its variables, another port, every address, and a disk that cannot be written beside a temporary folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = readonly.environ(tmp_path)
    environ |= {"SPACE_ID": "ada/atelier", "SPACE_HOST": "ada-atelier.hf.space", "OMP_NUM_THREADS": "1"}
    environ |= {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port), "HF_HOME": str(tmp_path / "cache")}
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    command = [sys.executable, "app.py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environ, **pipes) as process:
        try:
            assert any(f":{port}" in line for line in iter(process.stdout.readline, ""))
            name = environ["SPACE_HOST"]
            visitor = Stranger(f"http://127.0.0.1:{port}", Host=name, Origin=f"https://{name}")
            assert visitor.client.get("/").status_code == 200
            assert "picture" in visitor.ask("live-explore", "draw", settings={"model": "calligraphy"})
            photo = visitor.send(png(blobs(60, 80, 1)), "photo.png")
            answer = visitor.ask("live-restore", "draw", settings={"work": photo["id"]})
            assert answer["before"]["name"] == "photo.png"
            event, data = visitor.queued("explore", {"model": "calligraphy", "seed": 3})
            assert event == "complete" and data[0].startswith("data:image/png")
            assert "train" not in {c["props"].get("elem_id") for c in visitor.config()["components"]}
            for path in ("requirements.txt", "/etc/passwd", f"{ROOT}/app.py"):
                assert visitor.get(f"/gradio_api/file={path}")[0] == 404
            visitor.close()
            process.terminate()
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert errors == ""
    after = sorted(str(path) for path in tmp_path.rglob("*"))
    assert [path for path in after if path not in before and not path.startswith(environ["TMPDIR"])] == []


def test_an_unknown_device(start: Callable) -> None:
    with start("--device", "cuda:99") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("app.py: this machine has no device 'cuda:99'; use --device cpu")
    assert errors.count("\n") == 1


def test_without_pywebview_the_window_is_the_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(app.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(app.webbrowser, "open", done.append)
    monkeypatch.setattr(app, "wait", lambda: done.append("waited"))
    app.show_window("http://127.0.0.1:7860/")
    assert done == ["http://127.0.0.1:7860/", "waited"]
    assert "`pip install pywebview`" in capsys.readouterr().out
