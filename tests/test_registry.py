import sys
import threading
from pathlib import Path

import pytest

from studio.errors import UnknownName
from studio.registry import Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package `instruments` with a registry `ALL` that finds its modules."""
    folder = tmp_path / "instruments"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from studio.registry import Registry\nALL = Registry('instrument', package=__name__)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [n for n in sys.modules if n.partition(".")[0] == "instruments"]:
        del sys.modules[name]


def test_a_thing_is_found_by_its_name() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("two")(2)
    registry.register("one")(1)
    assert (registry.get("one"), registry.names(), list(registry)) == (1, ["one", "two"], ["one", "two"])
    assert "one" in registry and "three" not in registry


def test_an_unknown_name_lists_the_known_ones() -> None:
    registry: Registry[int] = Registry("number")
    with pytest.raises(UnknownName, match=r"^no number named 'three'; known: none$"):
        registry.get("three")
    registry.register("two")(2)
    registry.register("one")(1)
    with pytest.raises(UnknownName, match=r"^no number named 'three'; known: one, two$"):
        registry.get("three")


def test_a_name_is_given_once() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="number 'one' is registered twice"):
        registry.register("one")(11)
    assert registry.get("one") == 1


def test_modules_register_themselves_at_the_first_look(package: Path) -> None:
    (package / "harp.py").write_text("from instruments import ALL\nALL.register('harp')('plucked')\n")
    (package / "_private.py").write_text("raise RuntimeError('not to be imported')\n")
    from instruments import ALL

    assert "instruments.harp" not in sys.modules
    assert ALL.names() == ["harp"]
    assert ALL.get("harp") == "plucked"


def test_a_module_may_look_up_its_own_registry(package: Path) -> None:
    (package / "harp.py").write_text("from instruments import ALL\nALL.register('harp')(ALL.names())\n")
    from instruments import ALL

    assert ALL.get("harp") == []


def test_a_broken_module_is_reported_at_every_look(package: Path) -> None:
    (package / "harp.py").write_text("import a_package_nobody_has\n")
    from instruments import ALL

    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="a_package_nobody_has"):
            ALL.get("harp")


def test_a_second_thread_sees_all_names_or_waits(package: Path) -> None:
    (package / "harp.py").write_text(
        "import sys, threading\n"
        "from instruments import ALL\n"
        "sys.harp_begun.set()\n"
        "sys.harp_may_end.wait(5)\n"
        "ALL.register('harp')('plucked')\n"
    )
    from instruments import ALL

    sys.harp_begun, sys.harp_may_end = threading.Event(), threading.Event()
    seen: list[list[str]] = []
    try:
        threads = [threading.Thread(target=lambda: seen.append(ALL.names())) for _ in range(2)]
        threads[0].start()
        assert sys.harp_begun.wait(5)
        threads[1].start()
        threads[1].join(0.1)  # time to see half a list, were it to look
        sys.harp_may_end.set()
        for thread in threads:
            thread.join(5)
    finally:
        del sys.harp_begun, sys.harp_may_end
    assert seen == [["harp"], ["harp"]]
