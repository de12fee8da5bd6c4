"""Ctrl-C ends a command with the exit code that was promised.

Python kills itself by SIGINT at its end, whatever the code, if an interrupt has once left a text that was run by
exec(), though it was caught outside; and while modules are imported, dataclasses run such texts.
"""

import atexit
import os
import sys

_codes: list[int] = []


def ends_with(code: int) -> int:
    """The process shall end with this code, after all that is to be done at its end, if it `keeps_codes`."""
    _codes.append(code)
    return code


def keeps_codes() -> None:
    """For a program's first line: what is registered first is done last."""
    atexit.register(_end)


def _end() -> None:
    if _codes:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_codes[-1])
