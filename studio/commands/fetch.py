"""python -m studio fetch: a model from the Hugging Face Hub into the library."""

import argparse
import sys
import time
from collections.abc import Callable

from studio.commands import COMMANDS, Command, Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "OWNER/NAME[@REVISION][:FILE] on the Hub, or a name of the catalogue (python -m studio catalogue)"
    parser.add_argument("model", metavar="REPO", help=what)
    parser.add_argument("--name", default="", help="what to call it here (default: after its repository or file)")


def run(arguments: argparse.Namespace) -> Report:
    """Ctrl-C keeps what has come: the same command goes on from there."""
    from studio.catalogue import locate
    from studio.hub import Hub, HubError
    from studio.hub.install import install

    address, name = locate(arguments.model)
    start = time.perf_counter()
    try:
        made = install(Hub(), address, arguments.name or name, progress=show_bytes())
    except KeyboardInterrupt:
        raise HubError("interrupted; the same command goes on from there") from None
    seconds = round(time.perf_counter() - start, 3)
    licence = made.source.licence or "not stated; ask its owner before you use it for more than looking"
    lines = [
        f"installed {made.name} from {address.repo} at {made.source.revision[:12]} in {seconds:.1f} s",
        f"in {made.folder}, {made.bytes / 1e6:,.1f} MB fetched, licence {licence}",
    ]
    if made.folder.is_file():
        lines[0] = lines[0].replace("installed", "kept")
        lines.append(f"it is a network that restores pictures: give it as --model {made.folder}")
    if made.note:
        lines.append(f"{made.note}: this is the cache's copy")
    values = {
        "name": made.name, "folder": str(made.folder), "repo": address.repo, "revision": made.source.revision,
        "file": made.source.file, "licence": made.source.licence, "bytes": made.bytes, "seconds": seconds,
        "note": made.note,
    }
    return Report("\n".join(lines), values)


def show_bytes() -> Callable[[int, int], None]:
    """A line of progress on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    start = time.perf_counter()
    first: list[int] = []

    def show(done: int, total: int) -> None:
        first.append(done) if not first else None
        rate = (done - first[0]) / max(time.perf_counter() - start, 1e-3)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        end = "" if done < total else "\r\x1b[K"
        sys.stderr.write(f"\r{done / 1e6:,.1f} of {total / 1e6:,.1f} MB, {rate / 1e6:.1f} MB/s{left}\x1b[K{end}")
        sys.stderr.flush()

    return show


COMMANDS.register("fetch")(Command("fetch a model from the Hugging Face Hub", add_arguments, run))
