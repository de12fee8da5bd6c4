"""A disk that cannot be written, save one folder, for a process that is started in it: `environ(FOLDER)`.

Rights would not keep a superuser from writing, and containers run as one; so Python itself is asked to refuse.
"""

import os
from pathlib import Path

_SITE = '''
import errno, os, sys

_WRITABLE = os.path.realpath(os.environ["TMPDIR"]) + os.sep
_PLACES = {"os.mkdir": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.rmdir": (0,), "os.link": (1,)}
_PLACES |= {"os.symlink": (1,), "os.truncate": (0,), "sqlite3.connect": (0,)}

def _refuse(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))
        places = [path] if writes and isinstance(path, (str, bytes, os.PathLike)) else []
    else:
        places = [arguments[i] for i in _PLACES.get(event, ())]
    for place in places:
        if not isinstance(place, (str, bytes, os.PathLike)):
            continue
        whole = os.path.realpath(os.fsdecode(place))
        if not (whole + os.sep).startswith((_WRITABLE, "/dev/", "/proc/")):
            raise OSError(errno.EROFS, "Read-only file system", whole)

sys.addaudithook(_refuse)
'''


def environ(folder: Path) -> dict[str, str]:
    """Variables for a process that can write below folder/tmp alone, which is made here; its home is not there."""
    site, tmp = folder / "site", folder / "tmp"
    site.mkdir()
    tmp.mkdir()
    (site / "sitecustomize.py").write_text(_SITE)
    home = {"HOME": str(folder / "home"), "USERPROFILE": str(folder / "home")}
    python = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**home, **python, "TMPDIR": str(tmp), "PATH": os.environ["PATH"]}
