"""One file of the Hub into the cache: gone on from where it was cut, measured, stopped when asked, its hash checked.

The Hub's client begins a file anew at every call; a model is up to some GB and a connection at home is cut at times,
so the bytes are brought here, through the client's own session, which knows about proxies and offline mode.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from studio.errors import stop_if
from studio.hub.cache import RemoteFile, is_intact
from studio.hub.failures import HubError

RETRIES = 5  # in a row, of which none has brought a byte
PAUSE_S = 1.0
SILENCE_S = 15.0  # how long a connection may bring nothing
BLOCK = 1 << 18  # bytes; at 1 MB/s progress is told and a stop is heard four times a second


@dataclass
class Meter:
    """How many bytes of all files are there, and whether to go on."""

    total: int
    progress: Callable[[int, int], None]
    cancelled: Callable[[], bool]
    finished: int = 0  # of files that are whole

    def show(self, part: int) -> None:
        """`part` bytes of the file under way are there."""
        stop_if(self.cancelled)
        self.progress(self.finished + part, self.total)

    def finish(self, size: int) -> None:
        self.finished += size
        self.show(0)


def fetch_blob(link: str, blob: Path, file: RemoteFile, meter: Meter) -> None:
    """Make `blob` the file's bytes, whose hash is checked also where they are there already.

    Raises HubError, Cancelled, OSError and what the session raises.
    """
    meter.show(0)
    if blob.exists() and not is_intact(blob, file.digest):
        blob.unlink()
    if not blob.exists():
        blob.parent.mkdir(parents=True, exist_ok=True)
        locks = blob.parents[2] / ".locks" / blob.parents[1].name  # where the client keeps its own
        locks.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(locks / f"{blob.name}.fetch.lock", timeout=0):
                _bring_checked(link, blob, file, meter)
        except Timeout:
            raise HubError(f"{file.name} is being fetched by another program; wait for it, then try again") from None
    meter.finish(file.size)


def _bring_checked(link: str, blob: Path, file: RemoteFile, meter: Meter) -> None:
    part = _part(blob)
    _bring(link, part, file, meter)
    if not is_intact(part, file.digest):
        part.unlink()
        kind = "sha256" if len(file.digest) == 64 else "git hash"
        differs = f"{file.name} has come with another {kind} than the Hub names ({file.digest[:12]})"
        raise HubError(f"{differs}; fetch it again, or check the proxy in between")
    os.replace(part, blob)


def _bring(link: str, part: Path, file: RemoteFile, meter: Meter) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    network = HfHubHTTPError.__bases__[0]  # the base of what its HTTP library raises
    tries = 0
    while not part.exists() or part.stat().st_size != file.size:
        have = _size(part)
        if have > file.size:  # of no use: a file of that hash is never longer
            part.unlink()
            have = 0
        fault: Exception = HubError(f"the Hub sends nothing of {file.name}; try again in some minutes")
        try:
            _stream(link, part, have, file, meter)
        except HfHubHTTPError:
            raise  # an answer, if not the one hoped for
        except network as error:
            fault = error
        if _size(part) < file.size:
            tries = 0 if _size(part) > have else tries + 1
            if tries > RETRIES:
                raise fault
            _pause(meter, _size(part))


def _stream(link: str, part: Path, have: int, file: RemoteFile, meter: Meter) -> None:
    """Append what the Hub sends; never beyond the file's size."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    # Compressed on the way, a byte's place in the file would not be its place in the answer.
    headers = {**build_hf_headers(library_name="atelier"), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", link, headers=headers, timeout=SILENCE_S, follow_redirects=True) as answer:
        hf_raise_for_status(answer)
        goes_on = answer.status_code == 206  # else the server knows no ranges, and begins at the beginning
        size = have if goes_on else 0
        with open(part, "ab" if goes_on else "wb") as out:
            for block in answer.iter_bytes(BLOCK):
                out.write(block[: file.size - size])
                size = min(size + len(block), file.size)
                meter.show(size)
                if size == file.size:
                    break  # a longer answer is another file; the hash will tell


def begun(blob: Path) -> int:
    """How many bytes of a blob are there from before."""
    return _size(_part(blob))


def _part(blob: Path) -> Path:
    return blob.with_name(blob.name + ".incomplete")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _pause(meter: Meter, part: int) -> None:
    until = time.monotonic() + PAUSE_S
    while time.monotonic() < until:
        meter.show(part)
        time.sleep(min(PAUSE_S, 0.1))
