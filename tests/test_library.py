import os
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.checkpoint import INFO
from studio.errors import UnknownName
from studio.library import BUNDLED, Library, home


def test_what_is_installed(library: Library) -> None:
    assert library.names() == ["tiny", "tiny-classes"]
    assert library.find("tiny") == library.roots[0] / "tiny"


def test_an_unknown_name_lists_the_installed_ones(library: Library, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="^no model named 'tny'; installed: tiny, tiny-classes$"):
        library.find("tny")
    with pytest.raises(UnknownName, match="^no model named 'tiny'; installed: none$"):
        Library((tmp_path, tmp_path / "not there")).find("tiny")


@pytest.mark.parametrize(
    "hidden", ["", ".", "..", "../secret", "sub/../tiny", "./tiny", "tiny/", "sub/tiny", "\0", "x" * 5000]
)
def test_a_name_is_never_a_path(tmp_path: Path, save_tiny: Callable[..., Path], hidden: str) -> None:
    for folder in ("secret", "models/tiny", "models/sub/tiny"):
        save_tiny(tmp_path / folder)
    library = Library((tmp_path / "models",))
    assert library.names() == ["tiny"]
    with pytest.raises(UnknownName, match="installed: tiny$"):
        library.find(hidden)
    with pytest.raises(UnknownName):
        library.find(str(tmp_path / "secret"))
    with pytest.raises(UnknownName):
        library.find(os.path.relpath(tmp_path / "models" / "tiny"))


def test_on_the_command_line_a_path_will_do(tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    save_tiny(tmp_path / "mine")
    save_tiny(tmp_path / "models" / "tiny", seed=1)
    library = Library((tmp_path / "models",), any_folder=True)
    assert library.find(str(tmp_path / "mine")) == tmp_path / "mine"
    assert library.find("tiny") == tmp_path / "models" / "tiny"
    with pytest.raises(UnknownName, match="installed: tiny$"):
        library.find(str(tmp_path / "models"))


def test_a_name_comes_before_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_tiny: Callable[..., Path]
) -> None:
    save_tiny(tmp_path / "here" / "tiny")
    save_tiny(tmp_path / "models" / "tiny", seed=1)
    monkeypatch.chdir(tmp_path / "here")
    assert Library((tmp_path / "models",), any_folder=True).find("tiny") == tmp_path / "models" / "tiny"


def test_the_earlier_root_wins(tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    for root in ("a", "b"):
        save_tiny(tmp_path / root / "tiny")
    save_tiny(tmp_path / "b" / "other")
    library = Library((tmp_path / "a", tmp_path / "b"))
    assert library.names() == ["other", "tiny"]
    assert library.find("tiny") == tmp_path / "a" / "tiny"
    assert library.find("other") == tmp_path / "b" / "other"


def test_what_a_killed_export_left_is_no_model(tmp_path: Path) -> None:
    for name in (".tiny.x1y2z3", "half"):
        (tmp_path / name).mkdir()
    (tmp_path / ".tiny.x1y2z3" / INFO).write_text("{}")
    (tmp_path / "a file").write_text("")
    assert Library((tmp_path,)).names() == []


def test_where_models_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "kept"))
    assert home() == tmp_path / "kept"
    assert Library.default() == Library((BUNDLED, tmp_path / "kept" / "models"))
    assert BUNDLED.name == "checkpoints" and (BUNDLED.parent / "studio" / "library.py").is_file()
    monkeypatch.setenv("ATELIER_HOME", "")
    assert home() == Path.home() / ".atelier"
    assert not (tmp_path / "kept").exists()
