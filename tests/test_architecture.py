"""The directions of docs/architecture.md: who may import whom, and what works where gradio is not installed."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("studio", "train", "tests", "benchmarks", "app")

# Inside studio, lowest first: a module imports from its own layer and from those below. One that is not named here is
# a tool (picture in, picture out), so that adding one takes no change here.
LAYERS = [
    {"errors"},
    {"config", "registry", "files", "turns"},
    {"capabilities", "device", "images", "provenance", "raster", "runfolder", "nn"},
    {"models"},
    {"checkpoint", "formats"},
    {"library", "hub"},
    {"engine", "latent"},
    {"(tools)"},
    {"jobs"},
    {"ui", "commands", "__main__"},
]
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    files = [ROOT / "app.py", *(f for top in OURS for f in (ROOT / top).rglob("*.py"))]
    found = {}
    for file in files:
        if file.exists():
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def imports(name: str, nodes: tuple[ast.AST, ...] | None = None) -> set[str]:
    """Dotted names of what a module imports, anywhere in its code or among `nodes`."""
    package = name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree(name)) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*base, *([source] if source else [])])
            submodules = {f"{source}.{alias.name}" for alias in node.names} & set(modules())
            found |= submodules or {source}
    return found


def top(name: str) -> str:
    return name.split(".")[0]


def rank(name: str) -> int:
    return RANKS.get(name.split(".")[1], RANKS["(tools)"])


def test_the_walk_finds_the_project() -> None:
    assert {"studio.errors", "studio.models.stylegan2", "train", "tests.test_architecture"} <= set(modules())
    assert "studio.errors" in imports("studio.config")
    assert {"studio.models", "studio.nn.layers"} <= imports("studio.models.stylegan2")


def test_packages_look_only_downwards() -> None:
    allowed = {
        "studio": {"studio"},
        "train": {"studio", "train"},
        "app": {"studio", "train", "app"},
        "tests": set(OURS),
        "benchmarks": {"studio", "train", "app", "benchmarks"},
    }
    wrong = [
        f"{name} imports {other}"
        for name in modules()
        for other in imports(name)
        if top(other) in OURS and top(other) not in allowed[top(name)]
    ]
    assert wrong == []


def test_only_the_page_imports_gradio() -> None:
    users = {name for name in modules() if any(top(other) == "gradio" for other in imports(name))}
    page = {
        name for name in users if top(name) in ("app", "tests", "benchmarks") or f"{name}.".startswith("studio.ui.")
    }
    assert users - page == set()


def test_layers_of_studio_look_only_downwards() -> None:
    wrong = [
        f"{name} imports {other}"
        for name in modules()
        for other in imports(name)
        if name.startswith("studio.") and other.startswith("studio.") and rank(other) > rank(name)
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imports(name, tuple(tree(name).body)) & set(modules()) - {name} for name in modules()}
    while leaves := [name for name, others in graph.items() if not others & set(graph)]:
        for name in leaves:
            del graph[name]
    # what is left is in a circle or leads to one
    assert graph == {}


@pytest.mark.parametrize("package", ["studio", "train"])
def test_works_without_gradio(package: str) -> None:
    ours = [name for name in modules() if top(name) == package and not name.startswith("studio.ui")]
    names = sorted(name for name in ours if not name.endswith("__main__"))
    code = f"import importlib, sys\nsys.modules['gradio'] = None\nfor n in {names}: importlib.import_module(n)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_bare_except() -> None:
    bare = [
        f"{name}:{node.lineno}"
        for name in modules()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


def test_every_module_says_what_it_is() -> None:
    """A module without a line of code, as many an __init__.py, has nothing to say; a test says it by its name."""
    silent = [name for name in modules() if tree(name).body and not ast.get_docstring(tree(name))]
    assert [name for name in silent if top(name) != "tests"] == []


def test_no_drawer_for_odds_and_ends() -> None:
    drawers = {"util", "utils", "helper", "helpers", "misc", "common"}
    assert [name for name in modules() if name.split(".")[-1] in drawers] == []


def test_nothing_is_unpickled_or_evaluated() -> None:
    """A checkpoint is read as numbers: no pickle.load(s), eval or exec, and torch.load only with weights_only."""
    wrong = []
    for name in modules():
        if top(name) not in ("studio", "train", "app"):
            continue
        for node in ast.walk(tree(name)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            safe = any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in node.keywords)
            if called in ("eval", "exec", "pickle.load", "pickle.loads") or (called == "torch.load" and not safe):
                wrong.append(f"{name}:{node.lineno} calls {called}")
    assert wrong == []
