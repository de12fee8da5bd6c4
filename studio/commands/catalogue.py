"""python -m studio catalogue: known models for art, and with --online what the Hub has by that name."""

import argparse
from dataclasses import asdict

from studio.commands import COMMANDS, Command, Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="WORD", help="only those in which all of these occur")
    parser.add_argument("--online", action="store_true", help="also search the Hub")


def run(arguments: argparse.Namespace) -> Report:
    from studio.catalogue import search
    from studio.hub import Hub

    words = " ".join(arguments.words)
    entries = search(words)
    lines = [
        f"{e.name}: " + ", ".join(
            fact for fact in (
                e.title, e.task, e.resolution and f"{e.resolution} px", e.bytes and f"{e.bytes / 1e6:,.0f} MB",
                f"licence {e.licence or 'not stated'}", str(e.address),
            ) if fact
        )
        for e in entries
    ]
    found = Hub().search(words) if arguments.online else []
    lines += [f"{f.repo}: {f.task or 'task not stated'}, licence {f.licence or 'not stated'}" for f in found]
    values = {"models": [asdict(e) for e in entries], "online": [asdict(f) for f in found]}
    return Report("\n".join(lines) or f"nothing is known by {words!r}", values)


COMMANDS.register("catalogue")(Command("list known models, or search for some", add_arguments, run))
