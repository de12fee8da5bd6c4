"""What the page's tests share: the tiny models as services, one page served over them, a real browser."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.library import Library
from studio.ui.services import Services

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def services(library: Library) -> Services:
    return Services.on(library, "cpu")


@contextlib.contextmanager
def serving(models: Path, *words: str) -> Iterator[str]:
    """The address of a page over a folder of models; words: of tests.ui.serve."""
    command = [sys.executable, "-m", "tests.ui.serve", str(models), *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        url = server.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), f"the page was not served: {url!r}"
        yield url
        server.stdin.close()
        server.wait(timeout=20)


@pytest.fixture(scope="session")
def served(library: Library) -> Iterator[str]:
    """The address of a page over the tiny models."""
    with serving(library.roots[0]) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser; tests that need one are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("needs a chromium binary on the PATH")
    # of a module: playwright's loop would be in the way of other modules' own
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()
