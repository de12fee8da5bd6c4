"""python -m studio push: show what publishing a checkpoint would send, and with --yes send it."""

import argparse
import sys

from studio.commands import COMMANDS, Command, Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an installed model, or a checkpoint's folder")
    parser.add_argument("repo", metavar="OWNER/NAME", help="where to, under your account or an organisation of yours")
    parser.add_argument("--licence", required=True, help="of the weights: mit, apache-2.0, cc-by-4.0 ...")
    visible = "let everyone see it (default: only you)"
    parser.add_argument("--public", action=argparse.BooleanOptionalAction, default=False, help=visible)
    parser.add_argument("--yes", action="store_true", help="send it; without this it is only shown")


def run(arguments: argparse.Namespace) -> Report:
    from huggingface_hub.utils import disable_progress_bars

    from studio.hub import Hub
    from studio.library import Library
    from studio.publish import prepare, publish

    folder = Library.default(any_folder=True).find(arguments.model)
    publication = prepare(folder, arguments.repo, arguments.licence, private=not arguments.public)
    hub = Hub()
    sizes = publication.sizes()
    visible = "private" if publication.private else "public"
    total = f"{sum(sizes.values()) / 1e6:,.1f} MB"
    values = {
        "repo": publication.repo, "private": publication.private, "licence": publication.licence, "files": sizes,
        "notes": list(publication.notes), "sent": arguments.yes, "url": f"{hub.url}/{publication.repo}",
    }
    if arguments.yes:
        if not sys.stderr.isatty():
            disable_progress_bars()
        url = publish(publication, hub)
        return Report(f"published {publication.title} as {url} ({visible}, {total})", {**values, "url": url})
    lines = [f"would send {publication.title} to {values['url']} ({visible}, licence {publication.licence}):", ""]
    lines += [f"  {name}: {size / 1e6:,.3f} MB" for name, size in sizes.items()]
    lines += ["", *(f"  | {line}" for line in publication.card.splitlines()), ""]
    lines += [f"note: {note}" for note in publication.notes]
    lines.append(f"nothing was sent; add --yes to send these {total}")
    return Report("\n".join(lines), {**values, "card": publication.card})


COMMANDS.register("push")(Command("publish a checkpoint on the Hugging Face Hub", add_arguments, run))
