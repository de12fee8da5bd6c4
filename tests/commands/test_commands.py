import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.commands import COMMANDS, Command, main, make_folder, progress, public_name
from studio.errors import DiskError, StudioError
from studio.library import Library

ROOT = Path(__file__).resolve().parents[2]


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """`models` fails so."""

    def run(arguments: argparse.Namespace) -> None:
        raise error

    monkeypatch.setitem(COMMANDS._things, "models", Command("fails", lambda parser: None, run))


def test_a_command_is_one_file() -> None:
    # import is a word of Python's, which no module can be called
    files = {
        file.stem if file.stem.startswith("_") else file.stem.rstrip("_")
        for file in (ROOT / "studio" / "commands").glob("*.py")
    }
    assert set(COMMANDS.names()) == files - {"__init__"} >= {"models", "generate", "walk"}


def test_as_a_program() -> None:
    """Where gradio is not installed. Only the command that runs is paid for: the list of commands needs no torch."""
    code = """if True:
        import runpy, sys
        sys.modules["gradio"] = None
        sys.argv = ["studio", *{words}]
        try:
            runpy.run_module("studio", run_name="__main__")
        except SystemExit as end:
            print("torch" in sys.modules, end.code, file=sys.stderr)
    """
    listed = python(code.format(words=["--help"]))
    assert listed.stderr == "False 0\n" and all(name in listed.stdout for name in COMMANDS)
    wrong = python(code.format(words=["walc"]))
    assert wrong.stdout == "" and wrong.stderr.endswith("\nFalse 2\n") and "'walc'" in wrong.stderr
    assert python(code.format(words=["models"])).stderr == "True 0\n"


@pytest.mark.parametrize("command", ["models", "generate", "walk"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and "--json" in said and "--device" in said


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "the following arguments are required: COMMAND; see python -m studio --help"),
        (["models", "--jsn"], "unrecognized arguments: --jsn; see python -m studio --help"),
        (
            ["walk", "grey", "--out", "a.mp4"],
            "the following arguments are required: --seeds; see python -m studio walk --help",
        ),
        (
            ["generate", "grey", "--seeds", "1", "--out", "a", "--batch", "two"],
            "argument --batch: invalid int value: 'two'; see python -m studio generate --help",
        ),
        (
            ["generate", "grey", "--see", "1", "--seeds", "1", "--out", "a"],
            "unrecognized arguments: --see 1; see python -m studio --help",
        ),
    ],
)
def test_words_that_are_not_understood(cli: Callable, words: list[str], sentence: str) -> None:
    assert cli(*words).error == sentence


def test_what_the_person_can_mend(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "batch=0 is outside 1..9"
    raising(monkeypatch, StudioError(sentence))
    assert cli("models").error == sentence
    answer = cli("models", "--json")
    assert (answer.code, answer.values, answer.err) == (2, {"error": sentence}, f"error: {sentence}\n")


def test_ctrl_c_is_no_bug(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert cli("models").error == "interrupted; finished files stay, nothing unfinished is left"


def test_a_bug_keeps_its_traceback() -> None:
    found = python("""if True:
        import sys
        from studio.commands import COMMANDS, Command, main
        COMMANDS.names()
        COMMANDS._things["models"] = Command("fails", lambda parser: None, lambda arguments: 1 / 0)
        sys.exit(main(["models", "--json"]))
    """)
    assert found.returncode == 1 and found.stdout == ""
    assert found.stderr.startswith("Traceback") and "ZeroDivisionError" in found.stderr


def test_progress_is_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(progress("abc", 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress("abc", 3, "letters")) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == "" and "\r2 of 3 letters, 0 s left\x1b[K" in err
    assert err.endswith("\r\x1b[K") and "\n" not in err  # the line is wiped for what comes next


def test_an_error_wipes_the_line_of_progress(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, StudioError("no"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli("models").err == "\r\x1b[Kerror: no\n"


def test_a_folder_with_its_parents(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "c" / "d"):
        with pytest.raises(DiskError, match=f"^{tmp_path / 'file'} is a file, not a folder; choose another name$"):
            make_folder(path)


def test_a_folder_that_must_not_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DiskError, match=r"cannot be written \(no permission\); choose another folder$"):
        make_folder(tmp_path / "a")


def test_a_path_tells_nothing_of_its_owner(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library((models,), any_folder=True)
    assert public_name(library, "grey") == public_name(library, str(models / "grey")) == "grey"
    assert public_name(library, f"{models}/grey/") == "grey"
    monkeypatch.chdir(models / "grey")
    assert public_name(Library((), any_folder=True), ".") == "grey"


def test_json_is_one_object(cli: Callable) -> None:
    answer = cli("models", "--json")
    assert answer.code == 0 and answer.err == "" and answer.out.count("\n") == 1
    assert isinstance(json.loads(answer.out), dict)
