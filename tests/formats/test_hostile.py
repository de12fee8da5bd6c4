"""Every hostile file is refused in one sentence, in little time and memory, and none runs anything.

One process reads them all, bounded to 1 GB more than it has after its imports: whatever takes more dies there.
Seconds are the processor's: another program's work fails no test.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.formats.hostile import FILES

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10
READER = """
import json, resource, sys, time
from pathlib import Path
from studio.errors import StudioError
from studio.formats import FORMATS, convert
FORMATS.names()
import studio.models.stylegan2
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + (1 << 30),) * 2)
for line in sys.stdin:
    name, path, out = json.loads(line)
    start = time.process_time()
    try:
        convert(Path(path), Path(out))
        said = "nothing"
    except StudioError as error:
        said = str(error)
    except BaseException as error:
        said = f"crash: {error!r}"
    print(json.dumps([name, said, time.process_time() - start]), flush=True)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded as Linux does it")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """name -> (what was said, seconds), and whether anything was run or written."""
    root = tmp_path_factory.mktemp("hostile")
    lines, canary = [], root / "canary"
    for name, (make, _) in FILES.items():
        folder = root / name
        folder.mkdir()
        lines.append(json.dumps([name, str(make(folder, canary)), str(root / "out" / name)]))
    before = sorted(root.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", READER], input="\n".join(lines), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    found = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, (done.stderr, list(found)[-1:])
    return {**found, "": (canary.exists(), [str(p) for p in sorted(root.rglob("*")) if p not in before])}


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 30


def test_nothing_was_run_or_written(answers: dict[str, Any]) -> None:
    assert answers[""] == (False, [])


@pytest.mark.parametrize("name", FILES)
def test_one_sentence_in_little_time(answers: dict[str, Any], name: str) -> None:
    said, seconds = answers[name]
    assert FILES[name][1] in said and not said.startswith("crash")
    assert said.isprintable() and len(said) < 700 and "; " in said
    assert seconds < SECONDS


def test_the_payloads_are_real(tmp_path: Path) -> None:
    """What the reader refuses would have run: Python's own unpickler, in a process of its own, makes the canary."""
    make, _ = FILES["os_system"]
    path = make(tmp_path, tmp_path / "canary")
    subprocess.run([sys.executable, "-c", f"import pickle; pickle.load(open({str(path)!r}, 'rb'))"], check=True)
    assert (tmp_path / "canary").exists()
