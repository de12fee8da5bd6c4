"""Atelier in a browser: `python app.py`, then open the address it prints. A Hugging Face Space starts here too."""

import argparse
import gc
import importlib.util
import os
import signal
import sys
import threading
import webbrowser
from concurrent.futures import Future
from types import FrameType
from typing import TYPE_CHECKING

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from studio.space import keep_in_storage, lends_gpus, on_space

keep_in_storage(os.environ)

from studio.errors import StudioError
from studio.ui.address import Address, choose_address, parse_auth

if TYPE_CHECKING:
    from studio.ui.services import Services


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="app.py", description="Atelier: a studio for art made with GANs, in a browser.")
    p.add_argument("--host", help="address to serve at (default 127.0.0.1, this machine alone)")
    p.add_argument("--port", type=int, help="port to serve at (default: the first free one from 7860)")
    p.add_argument("--share", action="store_true", help="also make a public link, through Gradio's servers")
    p.add_argument(
        "--auth", metavar="USER:PASS", default=os.environ.get("ATELIER_AUTH") or None,
        help="ask visitors for this name and password (default: $ATELIER_AUTH, which no list of processes shows)",
    )
    p.add_argument("--lang", choices=["en", "zh-CN"], help="the page's language (default: the browser's)")
    p.add_argument("--window", action="store_true", help="open in a window of its own, through pywebview")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default auto)")
    return p


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        auth = parse_auth(arguments.auth) if arguments.auth else None
        address = choose_address(arguments.host, arguments.port, share=arguments.share, auth=auth, environ=os.environ)
        serve(arguments, address, auth)
    except StudioError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def serve(arguments: argparse.Namespace, address: Address, auth: tuple[str, str] | None) -> None:
    """Serve until Ctrl-C, SIGTERM or, with --window, until the window is closed. Raises StudioError."""
    signal.signal(signal.SIGTERM, interrupt)
    services = open_studio(arguments.device, address)
    from studio.ui.launch import launch  # gradio takes seconds to import: the model loads meanwhile
    from studio.ui.shell import build

    page = build(services.result(), arguments.lang)
    if services.result().trainer is not None:
        services.result().jobs.open()
    url = launch(page, address, language=arguments.lang, share=arguments.share, auth=auth)
    gc.freeze()  # what is loaded stays: searching it for garbage would stop the slider for tens of milliseconds
    print(f"Atelier is open at {url} (Ctrl-C closes it)", flush=True)
    try:
        if arguments.window:
            show_window(url)
        else:
            wait()
    finally:
        services.result().jobs.close()
        page.close()


def open_studio(device: str, address: Address) -> "Future[Services]":
    """The services, made in a thread that then gets the first model ready.

    Visitors of a Space cannot train, and only who started the studio may name folders of its machine.
    """
    made: Future[Services] = Future()

    def work() -> None:
        try:
            from studio.library import Library
            from studio.ui.services import Services
            from studio.ui.warm import warm
            from train.offer import Offer

            trainer = None if on_space(os.environ) else Offer()
            if lends_gpus(os.environ):
                from studio.ui.zerogpu import LentServices as Services
            services = Services.on(Library.default(), device, trainer=trainer, paths=address.own)
        except BaseException as error:
            made.set_exception(error)
            return
        made.set_result(services)
        warm(services)

    threading.Thread(target=work, name="warm", daemon=True).start()
    return made


def show_window(url: str) -> None:
    if importlib.util.find_spec("webview") is None:
        print("--window needs pywebview: `pip install pywebview`; opening your browser instead", flush=True)
        webbrowser.open(url)
        wait()
        return
    import webview

    webview.settings["ALLOW_DOWNLOADS"] = True  # saving a picture is a download
    webview.create_window("Atelier", url, width=1280, height=900)
    webview.start()


def wait() -> None:
    forever = threading.Event()
    while not forever.wait(1):  # in steps: Windows delivers Ctrl-C only between waits
        pass


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads may still be drawing: Python's own exit would pull the interpreter from under them and abort.
    os._exit(code)
