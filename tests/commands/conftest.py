"""A person's own folder with two models, and the command line run in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import studio.library
from studio.commands import main


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def values(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one sentence of a command that failed as it should."""
        assert self.code == 2 and self.out == "" and self.err.count("\n") == 1, self
        assert self.err.startswith("error: ")
        return self.err.removeprefix("error: ").rstrip("\n")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, save_tiny: Callable[..., Path]) -> Path:
    """`colour` and `grey` of 32 px, `classes` of 3 classes. Shared: only to be read."""
    root = tmp_path_factory.mktemp("home") / "models"
    save_tiny(root / "colour", resolution=32, channels=3)
    save_tiny(root / "grey", seed=1, resolution=32)
    save_tiny(root / "classes", seed=2, classes=3)
    return root


@pytest.fixture
def cli(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """cli("walk", ...): its exit code and what it said. Started in an empty folder, with `models` installed."""
    monkeypatch.setenv("ATELIER_HOME", str(models.parent))
    monkeypatch.setattr(studio.library, "BUNDLED", tmp_path / "no bundled models")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: object) -> Answer:
        code = main([str(word) for word in words])
        return Answer(code, *capsys.readouterr())

    return run
