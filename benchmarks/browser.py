"""What a person waits for, measured in Chromium: the first picture, and the next one when a slider moves."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio.errors import StudioError

ROOT = Path(__file__).resolve().parent.parent
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WAIT_MS = 120_000
REST_MS = 40  # between two positions of the slider, as between two events of a hand
WALK = "#explore-walk input[type=range]"
PART_NAMES = ("wait", "draw", "encode")

# One position after another: set the slider, wait until its picture is decoded and on the page. `total` runs on the
# page's clock from the event; `server` is what the server says of its own part.
_FOLLOW = """async ([selector, rounds, rest]) => {
    const slider = document.querySelector(selector);
    const results = [];
    let done = null;
    const heard = (event) => done?.(event.detail);
    document.addEventListener("atelier:picture", heard);
    for (let i = 0; i < rounds; i++) {
        const picture = new Promise((resolve) => { done = resolve; });
        slider.value = 0.02 + 0.96 * ((i * 37) % 101) / 100;
        const start = performance.now();
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        const detail = await picture;
        results.push({ total: performance.now() - start, server: detail.server_ms });
        await new Promise((resolve) => setTimeout(resolve, rest));
    }
    document.removeEventListener("atelier:picture", heard);
    return results;
}"""

# The same for a seed never seen before, so that the mapping runs as well.
_RESEED = """async ([rounds, rest]) => {
    const results = [];
    let done = null;
    const heard = (event) => done?.(event.detail);
    document.addEventListener("atelier:picture", heard);
    for (let i = 0; i < rounds; i++) {
        const picture = new Promise((resolve) => { done = resolve; });
        const start = performance.now();
        atelier.live.explore.set({ seed: 100000 + i, walk: 0 });
        const detail = await picture;
        results.push({ total: performance.now() - start, server: detail.server_ms });
        await new Promise((resolve) => setTimeout(resolve, rest));
    }
    document.removeEventListener("atelier:picture", heard);
    return results;
}"""


class NoBrowser(StudioError):
    """The package playwright or a Chromium is missing."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium, with nothing open. Raises NoBrowser."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        raise NoBrowser("no chromium or google-chrome is on the PATH; install one or add --only generators")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowser(f"playwright cannot be imported ({error}); pip install playwright") from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=QUIET)
        yield browser
        browser.close()


class Visit:
    """`python app.py` on a free port, in a browser. `timings_s`, from the process's start: served, first picture."""

    def __init__(self, browser: Any, home: Path, device: str) -> None:
        port = _free_port()
        start = time.perf_counter()
        self.server = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--device", device],
            cwd=ROOT, env={**os.environ, "ATELIER_HOME": str(home)}, stdout=subprocess.PIPE, text=True,
        )
        self.context = None
        try:
            line = self.server.stdout.readline()
            if "http://" not in line:
                raise RuntimeError(f"app.py did not open; its error is above (it said {line!r})")
            served = time.perf_counter() - start
            self.context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
            self.context.set_default_timeout(WAIT_MS)
            self.page = self.context.new_page()
            self.page.goto(f"http://127.0.0.1:{port}/")
            self.page.wait_for_selector(".live.has-picture")  # set after img.decode()
            self.timings_s = {"served": served, "first picture": time.perf_counter() - start}
        except BaseException:
            self.close()
            raise

    def ready(self) -> None:
        """Wait for all that follows the first picture, so that nothing else works while the slider is measured."""
        self.page.wait_for_selector("#explore-dials-0 input[type=range]")
        self.page.wait_for_selector("#sheet-strip button img")
        self.page.wait_for_timeout(2000)

    def follow(self, rounds: int) -> list[dict[str, Any]]:
        """Milliseconds from a slider's event to the decoded picture, with the server's parts."""
        return self.page.evaluate(_FOLLOW, [WALK, rounds, REST_MS])

    def reseed(self, rounds: int) -> list[dict[str, Any]]:
        return self.page.evaluate(_RESEED, [rounds, REST_MS])

    def drag(self, seconds: float) -> float:
        """Pictures shown a second while a mouse drags the slider to and fro."""
        page = self.page
        page.locator(WALK).scroll_into_view_if_needed()
        box = page.locator(WALK).bounding_box()
        y, width = box["y"] + box["height"] / 2, box["width"] - 20
        page.mouse.move(box["x"] + 10, y)
        page.mouse.down()
        shown, start, i = self._shown(), time.perf_counter(), 0
        while (now := time.perf_counter() - start) < seconds:
            i += 1
            page.mouse.move(box["x"] + 10 + width * abs((i * 0.011) % 2 - 1), y)
            page.wait_for_timeout(8)
        rate = (self._shown() - shown) / now
        page.mouse.up()
        return rate

    def close(self) -> None:
        if self.context is not None:
            self.context.close()
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(timeout=30)
        self.server.stdout.close()

    def _shown(self) -> int:
        return int(self.page.get_attribute(".live", "data-pictures"))


def budget(samples: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Milliseconds of each part in each sample: the server's; what is left is transport, decoding and the page."""
    parts = {name: [s["server"][name] for s in samples] for name in PART_NAMES}
    parts["transport and decode"] = [s["total"] - s["server"]["total"] for s in samples]
    parts["total"] = [s["total"] for s in samples]
    return parts


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
