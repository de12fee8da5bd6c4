"""Where the page is served, and to whom: this machine alone, unless visitors must sign in."""

import errno
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from studio.errors import ServerError
from studio.space import on_space

LOCAL = "127.0.0.1"
PORTS = range(7860, 7880)  # tried in order when none is asked for


@dataclass(frozen=True)
class Address:
    """`visible_hosts` are the names a browser may call the server by; a page elsewhere cannot pose as this one.

    `welcome` are endings of hosts whose pages may call this one. `own` says that who opens the page is who started
    it: then it may name folders of this machine.
    """

    host: str
    port: int
    visible_hosts: tuple[str, ...]
    welcome: tuple[str, ...] = ()
    own: bool = False


def choose_address(
    host: str | None, port: int | None, *, share: bool, auth: tuple[str, str] | None, environ: Mapping[str, str]
) -> Address:
    """The address to serve at, free at this moment. Raises ServerError.

    On a Hugging Face Space (SPACE_ID) the platform guards the door; anywhere else other machines need a password.
    """
    space = on_space(environ)
    host = host or environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if space else LOCAL)
    public = share or not is_loopback(host)
    if public and auth is None and not space:
        what = "share=True lets anyone with the link in" if share else f"host={host} is open to other machines"
        raise ServerError(f"{what}; add --auth USER:PASS, or leave it at {LOCAL}")
    if port is None and "GRADIO_SERVER_PORT" in environ:
        port = _port_number(environ["GRADIO_SERVER_PORT"])
    # A password keeps out pages that have their own name point here, and a proxy in front has a name of its own.
    open_to_others = public or space or auth is not None
    visible_hosts = ("*",) if open_to_others else (LOCAL, "localhost", "[::1]")
    # A Space has no password that a page elsewhere could use; share links come through Gradio's servers.
    welcome = ("",) if space else (".gradio.live",) if share else ()
    return Address(host, _free_port(host, port), visible_hosts, welcome, own=not open_to_others)


def parse_auth(text: str) -> tuple[str, str]:
    """USER:PASS as a pair. Raises ServerError, without repeating what may be a password."""
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise ServerError("--auth takes a name and a password with a colon between them; give --auth USER:PASS")
    return user, password


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _port_number(text: str) -> int:
    if text.isdigit():
        return int(text)
    raise ServerError(f"GRADIO_SERVER_PORT={text!r} is not a port; give a number in 1..65535")


def _free_port(host: str, port: int | None) -> int:
    if port is not None and not 1 <= port <= 65535:
        raise ServerError(f"port={port} is outside 1..65535; leave --port out to have one chosen")
    for candidate in PORTS if port is None else [port]:
        if _is_free(host, candidate):
            return candidate
    if port is not None:
        raise ServerError(f"port {port} is in use; stop the program there, choose another --port, or leave it out")
    raise ServerError(f"ports {PORTS[0]}..{PORTS[-1]} are all in use; choose another with --port")


def _is_free(host: str, port: int) -> bool:
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last user just left is free
        try:
            probe.bind((host, port))
            return True
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                raise ServerError(f"port {port} needs administrator's rights; choose a --port above 1023") from error
            raise ServerError(f"host={host} is no address of this machine; use --host {LOCAL}") from error
