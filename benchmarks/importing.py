"""One import in a process of its own, for models.py: FILE FORMAT OUT as arguments; answers with a line of JSON.

`s` is the time from the file to a checkpoint folder on the disk, or, of a network that stays a file, to one that is
ready; `cpu_s` the processors' time for it, which other programs change little; `start_bytes` what the process had
held before, with torch and the formats loaded.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.memory import peak_bytes
from studio.formats import FORMATS, convert
from studio.formats.spandrel import read_foreign


def main() -> None:
    path, name, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    for known in FORMATS:
        FORMATS.get(known)  # their modules are loaded, as in a studio that has run for a while
    before = peak_bytes()
    start, cpu_start = time.perf_counter(), time.process_time()
    if name == "spandrel":
        read_foreign(path)
    else:
        convert(path, out)
    s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    print(json.dumps({"s": s, "cpu_s": cpu_s, "start_bytes": before, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
