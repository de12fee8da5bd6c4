"""The folder through which a training run and the studio talk; either can die without harm to the other.

    config.json       recipe and settings; written at the start, and when a resume changes a setting
    machine.json      what it trains on, in words, and how many of the processor's threads it takes
    dataset.json      what was found in the data, and what was skipped and why
    examined.json     what the dataset doctor found before, where the studio began the run
    init.json         what was taken over from another model or run, where it started from one
    progress.jsonl    one JSON line a tick, appended by the trainer; a `resumed` line voids later ticks before it, and a
                      `warning` line is no tick but what the trainer noticed
    samples/*.jpg     a grid of fixed latents, named by kimg
    nearest.jpg       generated pictures, each above the training picture that is most like it
    best/             the checkpoint with the lowest kernel distance to the pictures, where that is measured
    snapshots/0003.200/  checkpoints the trainer was asked to keep on its way
    state/0003.200/   everything a resume needs at 3.2 kimg; the newest two are kept
    STOP, PAUSE       empty files made by the studio, honoured at the next step; STOP saves first
    exit.json         how the run ended
    process.json      the trainer at work and its device; gone when it ends, unless it was killed
    job.json          what the studio was asked to do with the run (studio/jobs.py); a run begun by hand has none
    train.log         what the trainer said, where the studio started it
    .lock             held by the trainer while it lives
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.errors import RunError
from studio.files import disk_errors, write_json

_STATE = re.compile(r"\d{4,}\.\d{3}")


@dataclass(frozen=True)
class RunFolder:
    """Paths and small files of one run. Nothing is created until something is written."""

    path: Path

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def progress_path(self) -> Path:
        return self.path / "progress.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

    @property
    def process_path(self) -> Path:
        return self.path / "process.json"

    @property
    def exit_path(self) -> Path:
        return self.path / "exit.json"

    @property
    def machine_path(self) -> Path:
        return self.path / "machine.json"

    @property
    def dataset_path(self) -> Path:
        return self.path / "dataset.json"

    @property
    def examined_path(self) -> Path:
        return self.path / "examined.json"

    @property
    def stop_requested(self) -> bool:
        return (self.path / "STOP").exists()

    @property
    def pause_requested(self) -> bool:
        return (self.path / "PAUSE").exists()

    def request_stop(self) -> None:
        self._request("STOP")

    def request_pause(self) -> None:
        self._request("PAUSE")

    def _request(self, name: str) -> None:
        with disk_errors(self.path / name):
            (self.path / name).touch()

    def clear_requests(self) -> None:
        """Withdraw STOP and PAUSE."""
        for name in ("STOP", "PAUSE"):
            (self.path / name).unlink(missing_ok=True)

    def config(self) -> dict[str, Any]:
        """The recipe's name and settings. Raises RunError if the folder is no run or config.json is damaged."""
        return read_json(self.config_path, f"{self.path} is not a run folder; start one with: python -m train RECIPE")

    def state_path(self, kimg: float) -> Path:
        return self.path / "state" / f"{kimg:08.3f}"

    def states(self) -> list[Path]:
        """Complete states, oldest first."""
        folder = self.path / "state"
        if not folder.is_dir():
            return []
        return sorted((p for p in folder.iterdir() if _STATE.fullmatch(p.name)), key=lambda p: float(p.name))

    def kimg(self) -> float:
        """How far the newest state is; 0 before the first one."""
        states = self.states()
        return float(states[-1].name) if states else 0.0

    def machine(self) -> str:
        """Where it was trained last, in words for a card."""
        return str(self.machine_record().get("machine", "unknown"))

    def dataset(self) -> dict[str, Any]:
        """What dataset.json holds; nothing before the first start. Raises RunError for a damaged one."""
        return read_json(self.dataset_path, "") if self.dataset_path.exists() else {}

    def machine_record(self) -> dict[str, Any]:
        """What machine.json holds; nothing before the first start."""
        return read_json(self.machine_path, "") if self.machine_path.exists() else {}

    def append_progress(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, allow_nan=False) + "\n"
        with disk_errors(self.progress_path), open(self.progress_path, "a+b") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    text = "\n" + text  # a trainer was killed in the middle of its line: it must not spoil this one
            file.write(text.encode())

    def progress(self) -> list[dict[str, Any]]:
        """The ticks in order of kimg, without those that a resume took back and without a half-written last line."""
        return [line for line in self._standing() if "warning" not in line]

    def warnings(self) -> list[dict[str, Any]]:
        """What the trainer noticed, in order of kimg: `warning` (its kind), `message`, `step`, `kimg`."""
        return [line for line in self._standing() if "warning" in line]

    def lines(self) -> list[dict[str, Any]]:
        """All that was written to progress.jsonl, in the order of writing, without half-written lines."""
        if not self.progress_path.exists():
            return []
        found = []
        for text in self.progress_path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(text))
            except json.JSONDecodeError:
                continue  # a trainer was killed while it wrote this line
        return found

    def _standing(self) -> list[dict[str, Any]]:
        """Ticks and warnings, without those that a resume took back."""
        kept: list[dict[str, Any]] = []
        for line in self.lines():
            if "resumed" in line:
                kept = [one for one in kept if one["step"] <= line["resumed"]]
            else:
                kept.append(line)
        return kept

    def write_exit(self, outcome: str, message: str, kimg: float) -> None:
        """outcome: done, stopped or failed."""
        write_json(self.exit_path, {"outcome": outcome, "message": message, "kimg": kimg})


def read_json(path: Path, missing: str) -> dict[str, Any]:
    """A JSON object from a file. Raises RunError: `missing` if there is none, another sentence if it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(missing) from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); make it readable first") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not valid JSON ({error}); mend it or start another run") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds a {type(value).__name__}, not settings; mend it or start another run")
    return value
