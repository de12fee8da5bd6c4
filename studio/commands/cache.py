"""python -m studio cache: what of the Hub is kept on this machine, and how to be rid of it."""

import argparse
from dataclasses import asdict

from studio.commands import COMMANDS, Command, Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--delete", action="append", default=[], metavar="REPO", help="delete a model from the cache")


def run(arguments: argparse.Namespace) -> Report:
    """Installed models are copies, and stay."""
    from studio.hub import Hub, cached, delete

    folder = Hub().folder
    freed = {repo: delete(folder, repo) for repo in arguments.delete}
    models = cached(folder)
    lines = [f"deleted {repo}, {size / 1e6:,.1f} MB" for repo, size in freed.items()]
    for model in models:
        unfinished = f", {model.unfinished_bytes / 1e6:,.1f} MB of it unfinished" if model.unfinished_bytes else ""
        lines.append(f"{model.repo}: {(model.bytes + model.unfinished_bytes) / 1e6:,.1f} MB{unfinished}")
    total = sum(model.bytes + model.unfinished_bytes for model in models)
    lines.append(f"{len(models)} models, {total / 1e6:,.1f} MB in {folder}")
    values = {"folder": str(folder), "bytes": total, "models": [asdict(m) for m in models], "deleted": freed}
    return Report("\n".join(lines), values)


COMMANDS.register("cache")(Command("list or empty the Hub's cache", add_arguments, run))
