"""What a request may ask for and send: Gradio serves more than this page uses, and limits uploaded files alone."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 << 20
_API = "/gradio_api/"
# Of Gradio's routes, those that the page and scripts use. Others fetch addresses and files that a visitor names
# (file=, proxy=, stream), keep on the disk whatever is sent (upload, process_recording), or are for developers.
_PATHS = frozenset(
    ["/", "/config", "/favicon.ico", "/login", "/logout", "/manifest.json", "/robots.txt", "/theme.css"]
    + [_API + name for name in ("app_id", "cancel", "component_server", "info", "login_check", "queue/data")]
    + [_API + name for name in ("queue/join", "queue/status", "reset", "startup-events", "theme.css", "user")]
)
_BELOW = ("/assets/", "/static/", "/svelte/", _API + "call/", _API + "heartbeat/")


class OnlyUsedRoutes:
    """ASGI middleware: what the page has no use for is not there (404)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_used(scope["path"]):
            await _refuse(send, 404)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)


class OwnPages:
    """ASGI middleware: what a page of another site sends in a visitor's name is refused (403).

    Browsers say which page a request is from (Origin), and Gradio heeds it for answers alone: a foreign page could
    not read them, but could begin or delete a training. Programs say nothing, and pass. `welcome`: endings of hosts
    whose pages may ask all the same; "" is the end of any.
    """

    def __init__(self, app: ASGIApp, welcome: Sequence[str] = ()) -> None:
        self.app, self.welcome = app, tuple(welcome)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if _is_foreign(headers, self.welcome):
                await _refuse(send, 403)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """ASGI middleware: refuses bodies over `limit_bytes`, announced (413) or not (the connection ends).

    Forms are passed on when they are whole: Gradio writes their files to the disk as they come, and leaves there what
    it has of a form whose connection is cut.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int = MAX_BODY_BYTES) -> None:
        self.app, self.limit_bytes = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or int(announced) > self.limit_bytes:
            await _refuse(send, 413)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return {"type": "http.disconnect"} if received > self.limit_bytes else message

        if not any(k.lower() == b"content-type" and v.startswith(b"multipart/") for k, v in scope["headers"]):
            await self.app(scope, counted, send)
            return
        pieces, more = [], True
        while more:
            message = await counted()
            if message["type"] == "http.disconnect":
                return
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        whole: list[Message] = [{"type": "http.request", "body": b"".join(pieces), "more_body": False}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replayed, send)


def _is_used(path: str) -> bool:
    return (path.rstrip("/") or "/") in _PATHS or path.startswith(_BELOW)


def _is_foreign(headers: Mapping[bytes, str], welcome: tuple[str, ...]) -> bool:
    if b"origin" not in headers:
        return False
    origin = _host(headers[b"origin"])
    # Hosts alone: behind a proxy the port, like the scheme, may be another than the browser's. X-Forwarded-Host says
    # nothing, since Gradio lets foreign pages send any header to a server with a name of its own.
    ours = origin != "" and origin == _host(f"//{headers.get(b'host', '')}")
    return not ours and not origin.endswith(welcome)


def _host(address: str) -> str:
    """In small letters; empty for what is no address, such as the "null" of a page without a place."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
