"""Processes by who they are, not by their number alone: after a reboot, or a busy day, a number is someone else's."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessId:
    """A process and when it was born, in words that no second process of that number shares."""

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """Who has that number at this moment; None if nobody has, or only the remains of a dead one."""
        birth = _birth(pid)
        return None if birth is None else cls(pid, birth)

    @classmethod
    def from_dict(cls, values: object) -> "ProcessId | None":
        """What `to_dict` gave; None for anything else, as a file edited by hand may hold."""
        if not isinstance(values, Mapping) or type(values.get("pid")) is not int or values["pid"] <= 0:
            return None
        return cls(values["pid"], values["birth"]) if isinstance(values.get("birth"), str) else None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def alive(self) -> bool:
        return _birth(self.pid) == self.birth

    def end(self, grace_s: float = 5.0) -> None:
        """Ask the process and all that it started to end, and after `grace_s` seconds make them.

        Nobody else is touched.
        """
        if not self.alive():
            return
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.pid)
            family = [parent, *parent.children(recursive=True)]  # before the parent goes: orphans lose their parent
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        deadline = time.monotonic() + grace_s
        while any(_lives(p) for p in family) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in filter(_lives, family):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _birth(pid: int) -> str | None:
    """None for a number that nobody has, and for a process that has died and was not yet buried by its parent."""
    if _BOOT.exists():
        # In ticks since the boot, and which boot: the time of day that psutil reports moves when the clock is set.
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else f"{_BOOT.read_text().strip()}/{fields[19]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
