"""A large folder of pictures on its way into the train tab: does the page stay alive, and how much memory is used?

python -m benchmarks.bringing --count 50000 --json bringing.json

The folder is picked in the page's own dialogue, chosen in that of browsers without one, dropped, and named by its
path; each time the doctor looks at all of it.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.browser import NoBrowser, Visit, chromium
from studio.dataset import examine

WAYS = ("picked", "chosen", "dropped", "path")
FOLDERS, SIDE, QUALITY = 10, 32, 80
LONG_MS = 1_800_000
MB = 1e6

# A heart that beats with every frame: the longest time between two is how long the page stands still.
_HEART = """() => {
    const heart = window.__heart = { worst: 0, over100: 0, heap: 0, tasks: 0, beating: true };
    let last = performance.now();
    const beat = () => {
        const now = performance.now(), gap = now - last;
        last = now;
        heart.worst = Math.max(heart.worst, gap);
        if (gap > 100) heart.over100 += 1;
        heart.heap = Math.max(heart.heap, performance.memory?.usedJSHeapSize ?? 0);
        if (heart.beating) requestAnimationFrame(beat);
    };
    requestAnimationFrame(beat);
    heart.watch = new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) heart.tasks = Math.max(heart.tasks, duration);
    });
    heart.watch.observe({ entryTypes: ["longtask"] });
}"""
_PICKER = """() => window.addEventListener("drop", async (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    window.__folder = await event.dataTransfer.items[0].getAsFileSystemHandle();
    window.showDirectoryPicker = async () => window.__folder;
    document.querySelector(".pictures").classList.remove("drop");
}, { capture: true, once: true })"""
_STILL = "() => { __heart.beating = false; __heart.watch.disconnect(); return __heart; }"


@dataclass
class Brought:
    """What one way of bringing took. Memory is the rise over what was held before, at its peak."""

    way: str
    pictures: int
    first_sign_s: float  # until progress is seen
    arrived_s: float
    looked_s: float  # until the doctor has spoken, from the beginning
    freeze_ms: float  # longest time between two frames
    longest_task_ms: float
    frames_over_100_ms: int
    page_mb: float  # of the page's heap at its peak
    server_mb: float
    cancel_ms: float | None = None  # from the click until the page is free again


def make(folder: Path, count: int) -> Path:
    """`count` JPEGs of clouds of colour, in ten subfolders."""
    chance = np.random.default_rng(0)
    for i in range(FOLDERS):
        (folder / f"kind {i}").mkdir(parents=True, exist_ok=True)
    for i in range(count):
        path = folder / f"kind {i % FOLDERS}" / f"{i:05}.jpg"
        if not path.exists():
            clouds = Image.fromarray(chance.integers(0, 256, (4, 4, 3), np.uint8))
            clouds.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=QUALITY)
    return folder


def bring(page: Any, way: str, folder: Path) -> None:
    """Do as a person would."""
    if way == "picked":
        page.click("[data-do=folder]")
    elif way == "chosen":
        page.set_input_files(".pictures-folder", folder)
    elif way == "path":
        page.fill(".pictures-path input", str(folder))
        page.press(".pictures-path input", "Enter")
    else:
        drop(page, folder)


def drop(page: Any, folder: Path) -> None:
    box = page.locator(".pictures").bounding_box()
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 60}
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def answer_the_picker(page: Any, folder: Path) -> None:
    """No script can press the dialogue's buttons: from here on it gives a folder that was dropped once."""
    page.evaluate(_PICKER)
    drop(page, folder)
    page.wait_for_function("window.__folder")


def measure(visit: Visit, way: str, folder: Path, count: int) -> Brought:
    page = visit.page
    page.evaluate(_HEART)
    with _peak(visit.server.pid) as memory:
        start = time.perf_counter()
        since = lambda: round(time.perf_counter() - start, 2)
        bring(page, way, folder)
        page.wait_for_selector(".pictures-work:not([hidden])", timeout=LONG_MS)
        first = since()
        page.wait_for_selector(".pictures-invite[hidden]", state="attached", timeout=LONG_MS)  # a source is known
        arrived = since()
        page.wait_for_selector(".pictures-found:not([hidden])", timeout=LONG_MS)
        looked = since()
    heart = page.evaluate(_STILL)
    found = page.inner_text(".pictures-facts")
    if f"{count:,}" not in found:
        raise RuntimeError(f"{count} pictures were brought, and the page says: {found}")
    brought = Brought(
        way, count, first, arrived, looked, round(heart["worst"]), round(heart["tasks"]), heart["over100"],
        round(heart["heap"] / MB), round(memory["rise"] / MB),
    )
    page.click(".pictures-line [data-do=others]")
    page.wait_for_selector(".pictures-invite:not([hidden])")
    return brought


def cancel(visit: Visit, way: str, folder: Path) -> float:
    """Milliseconds from a click on Stop, in the middle of it, until there is nothing at work."""
    page = visit.page
    bring(page, way, folder)
    page.wait_for_function(
        "/[1-9]/.test(document.querySelector('.pictures-work .stage-work-percent').textContent)", timeout=LONG_MS
    )
    start = time.perf_counter()
    page.click(".pictures-work [data-do=halt]")
    page.wait_for_selector(".pictures-work", state="hidden", timeout=LONG_MS)
    taken = 1000 * (time.perf_counter() - start)
    if page.is_visible(".pictures-line [data-do=others]"):
        page.click(".pictures-line [data-do=others]")
    return round(taken)


@contextmanager
def _peak(pid: int) -> Iterator[dict[str, float]]:
    """`rise`: how far a process's memory rose meanwhile, in bytes."""
    process, over, found = psutil.Process(pid), threading.Event(), {"rise": 0.0}
    before = process.memory_info().rss

    def watch() -> None:
        while not over.wait(0.05):
            found["rise"] = max(found["rise"], process.memory_info().rss - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bringing", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50_000, help="pictures (default 50000)")
    parser.add_argument("--folder", type=Path, help="where they are made and kept; none: a folder that is thrown away")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        folder = make(arguments.folder or Path(scratch) / "many", arguments.count)
        start = time.perf_counter()
        examine(folder, SIDE)
        print(f"the doctor alone: {time.perf_counter() - start:.1f} s", flush=True)
        visit = Visit(browser, Path(scratch) / "home", "cpu")
        try:
            visit.page.locator("#tabs [role=tab]").nth(3).click()
            visit.page.wait_for_selector(".presets .preset", state="attached")
            answer_the_picker(visit.page, folder)
            for way in arguments.ways.split(","):
                result = measure(visit, way, folder, arguments.count)
                result.cancel_ms = cancel(visit, way, folder)
                results.append(asdict(result))
                print(json.dumps(results[-1]), flush=True)
        finally:
            visit.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoBrowser as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
