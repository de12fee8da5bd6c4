import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import atexit
from studio.interrupts import ends_with, keeps_codes
{first}
atexit.register(lambda: print("cleaned"))
try:
    exec("raise KeyboardInterrupt")  # as an interrupt in the middle of an import
except KeyboardInterrupt:
    ends_with(2)
"""


def ran(first: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", PROGRAM.format(first=first)], cwd=ROOT, capture_output=True, text=True)


def test_an_interrupt_ends_with_the_promised_code() -> None:
    done = ran("keeps_codes()")
    assert (done.returncode, done.stdout) == (2, "cleaned\n"), done.stderr


def test_a_process_of_somebody_else_s_is_left_alone() -> None:
    assert ran("").returncode != 2
