"""Stands in for `python -m train`: same words, same files, no networks.

It starts in a moment and trains 1 kimg in 20 ms.

    begin --run RUN --device D [--kimg N] [--refuse] [--break] [--child] [--deaf]     resume RUN --device D [--kimg N]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from filelock import FileLock  # noqa: E402

from studio.files import whole_folder, write_json  # noqa: E402
from studio.processes import ProcessId  # noqa: E402
from studio.runfolder import RunFolder  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["begin", "resume"])
    parser.add_argument("given", nargs="?", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--kimg", type=int)
    for flag in ("--refuse", "--break", "--child", "--deaf"):
        parser.add_argument(flag, action="store_true")
    arguments = vars(parser.parse_args())
    run = RunFolder(arguments["run"] or arguments["given"])
    with FileLock(run.lock_path, timeout=0):
        write_json(run.process_path, {**ProcessId.of(os.getpid()).to_dict(), "device": arguments["device"]})
        try:
            return train(run, arguments)
        finally:
            run.process_path.unlink()


def train(run: RunFolder, arguments: dict) -> int:
    if arguments["refuse"]:
        print("error: there is no /pictures; give a folder or a zip of pictures", file=sys.stderr)
        return 2
    if arguments["break"]:
        raise ValueError("a bug")
    if arguments["command"] == "resume":
        run.clear_requests()
        if arguments["kimg"]:
            write_json(run.config_path, {**run.config(), "kimg": arguments["kimg"]})
    else:
        write_json(run.config_path, {"kimg": arguments["kimg"] or 1_000_000, "deaf": arguments["deaf"]})
    if arguments["child"]:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (run.path / "child").write_text(json.dumps(ProcessId.of(child.pid).to_dict()))
    config = run.config()
    kimg = run.kimg()
    save(run, kimg)
    while kimg < config["kimg"]:
        if run.stop_requested and not config["deaf"]:
            save(run, kimg)
            run.write_exit("stopped", f"stopped at {kimg:g} kimg", kimg)
            return 0
        if run.pause_requested:
            save(run, kimg)
            while run.pause_requested and not run.stop_requested:
                time.sleep(0.01)
            continue
        time.sleep(0.02)
        kimg += 1
        save(run, kimg)
    run.write_exit("done", f"done at {kimg:g} kimg", kimg)
    return 0


def save(run: RunFolder, kimg: float) -> None:
    with whole_folder(run.state_path(kimg)) as folder:
        write_json(folder / "state.json", {})


if __name__ == "__main__":
    sys.exit(main())
