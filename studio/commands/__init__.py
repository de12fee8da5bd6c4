"""The command line: one command a file, which registers itself in COMMANDS under the word that calls it.

Exit codes: 0 done; 2 something the person can mend, said in one sentence; a bug keeps its traceback and gives 1.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from studio.errors import DiskError, SettingError, StudioError
from studio.files import disk_errors
from studio.interrupts import ends_with
from studio.registry import Registry

if TYPE_CHECKING:
    from studio.library import Library

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """What a command has done: for people, and for programs (--json).

    error: a sentence on what could not be done beside it, which makes the exit code 2.
    """

    text: str
    values: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True)
class Command:
    """`run` gets what `add_arguments` asked for, and `device` and `json`. Raises StudioError.

    All the files are imported for the list of commands: what takes long to import belongs into the functions.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Report]


COMMANDS: Registry[Command] = Registry("command", package=__name__)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        report = _run(words)
    except StudioError as error:
        return _fail(str(error), words)
    except KeyboardInterrupt:
        return ends_with(_fail("interrupted; finished files stay, nothing unfinished is left", words))
    if report.error:
        return _fail(report.error, words, report)
    _say(report.values, report.text, words)
    return 0


def progress(things: Iterable[T], total: int, noun: str) -> Iterator[T]:
    """Pass `things` on, and show on a terminal how many of `total` have passed; elsewhere show nothing."""
    if not sys.stderr.isatty():
        yield from things
        return
    start = time.perf_counter()
    try:
        for done, thing in enumerate(things, 1):
            yield thing
            left = (time.perf_counter() - start) / done * (total - done)
            sys.stderr.write(f"\r{done} of {total} {noun}, {left:.0f} s left\x1b[K")
            sys.stderr.flush()
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def make_folder(path: Path) -> None:
    """The folder for a command's output, with its parents. Raises DiskError."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise DiskError(f"{place} is a file, not a folder; choose another name")
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def public_name(library: "Library", model: str) -> str:
    """What files call a model given as a name or a path: its folder's name, for paths tell of their owner."""
    return os.path.basename(os.path.abspath(library.find(model)))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message}; see {self.prog} --help")


def _run(words: list[str]) -> Report:
    about = "Pictures and films from the installed models."
    parser = _Parser(prog="python -m studio", description=about, allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        command = COMMANDS.get(name)
        sub = commands.add_parser(name, help=command.help, description=command.help, allow_abbrev=False)
        if name in words[:1]:  # a command's settings may live beside what needs seconds to import
            command.add_arguments(sub)
            sub.set_defaults(run=command.run)
            sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default auto)")
            sub.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(words)
    return arguments.run(arguments)


def _fail(sentence: str, words: list[str], report: Report = Report("", {})) -> int:
    over = "\r\x1b[K" if sys.stderr.isatty() else ""  # over a line of progress that still stands
    print(f"{over}error: {sentence}", file=sys.stderr)
    _say({**report.values, "error": sentence}, report.text, words)
    return 2


def _say(values: Mapping[str, Any], text: str, words: list[str]) -> None:
    if "--json" in words:
        print(json.dumps(values))
    elif text:
        print(text)
