"""Plans made in a process of their own, which has threads and memory as a training would, and gives them back.

Within the studio's process torch's number of threads would change under the sliders, which are drawn with them, and
running out of memory would take the page with it.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from studio.config import Config, to_arguments
from studio.errors import Cancelled, RunError
from studio.processes import ProcessId
from train.planner import Plan

PLAN = (sys.executable, "-m", "train", "plan")
POLL_S = 0.1
_PROJECT = Path(__file__).resolve().parent.parent


def plan_aside(
    recipe: str, settings: Sequence[Config], data: Path | None, device: str, seconds: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> Plan:
    """As `train.planner.plan`. settings: the recipe's and those of how it is watched, with absolute paths.

    Raises RunError with the sentence that the other process said; Cancelled once `cancelled` says so.
    """
    words = [*PLAN, recipe, *(word for one in settings for word in to_arguments(one)), "--json"]
    words += ["--device", device, "--seconds", str(seconds)]
    if data:
        words += ["--data", str(data.absolute())]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            words, cwd=_PROJECT, stdin=subprocess.DEVNULL, stdout=out, stderr=said, start_new_session=True
        )
        try:
            while child.poll() is None:
                if cancelled():
                    raise Cancelled
                try:
                    child.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if child.poll() is None:
                if process := ProcessId.of(child.pid):
                    process.end()
                child.wait()
        texts = [_text(file) for file in (out, said)]
    if child.returncode:
        raise RunError(_sentence(texts[1], child.returncode))
    found = json.loads(texts[0].splitlines()[-1])
    return Plan(found["seconds_per_kimg"], found["kimg"], found["memory_bytes"])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _sentence(said: str, code: int) -> str:
    errors = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
    if errors:
        return errors[-1]
    how = f"with signal {-code}" if code < 0 else f"with code {code}"
    return f"the measurement ended {how} (the machine may be out of memory); choose a smaller batch or size"
