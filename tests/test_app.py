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
    def start(*words: str) -> Iterator[subprocess.Popen[str]]:
        environ = {**os.environ, "ATELIER_HOME": str(tmp_path)}
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
