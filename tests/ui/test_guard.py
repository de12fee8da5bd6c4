import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from studio.ui.guard import BodyLimit, OnlyUsedRoutes, OwnPages


def ask(headers: list[tuple[bytes, bytes]], chunks: list[bytes]) -> tuple[int, list[str]]:
    """The status the guard lets through, and the kinds of message that the application behind it receives."""
    seen: list[str] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            seen.append(message["type"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    messages = [{"type": "http.request", "body": c, "more_body": i + 1 < len(chunks)} for i, c in enumerate(chunks)]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(BodyLimit(app, limit_bytes=10)({"type": "http", "headers": headers}, receive, send))
    return sent[0]["status"], seen


def test_what_fits_passes() -> None:
    assert ask([(b"content-length", b"10")], [b"12345", b"67890"]) == (200, ["http.request", "http.request"])


@pytest.mark.parametrize("length", [b"11", b"99999999999999999999", b"-1", b"x"])
def test_an_announced_excess_is_refused_unread(length: bytes) -> None:
    assert ask([(b"content-length", length)], [b"x"]) == (413, [])


def test_an_unannounced_excess_ends_the_connection() -> None:
    assert ask([], [b"12345", b"67890", b"!"]) == (200, ["http.request", "http.request", "http.disconnect"])


def test_a_form_arrives_whole_or_not_at_all() -> None:
    """What has come of a form that is cut would stay on the disk."""
    form = (b"content-type", b"multipart/form-data; boundary=x")
    assert ask([form], [b"123", b"456", b"7"]) == (200, ["http.request"])

    async def cut() -> None:
        messages = [{"type": "http.request", "body": b"123", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def unreached(*words: Any) -> None:
            raise AssertionError("the application was given a part of a form")

        await BodyLimit(unreached)({"type": "http", "headers": [form]}, receive, unreached)

    asyncio.run(cut())


def status(guard: Callable[..., Any], path: str = "/", **headers: str) -> int:
    """What a request gets: 200 where the guard lets it through to the application."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(guard(app)({"type": "http", "path": path, "headers": pairs}, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    "path", ["/", "/config", "/config/", "/gradio_api/queue/join", "/gradio_api/call/x/1", "/assets/x"]
)
def test_routes_of_the_page_are_there(path: str) -> None:
    assert status(OnlyUsedRoutes, path) == 200


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/file=x", "/gradio_api/callx", "/configx", "/x"])
def test_other_routes_are_not(path: str) -> None:
    assert status(OnlyUsedRoutes, path) == 404


@pytest.mark.parametrize(
    "host, origin, code",
    [
        ("127.0.0.1:7860", "http://127.0.0.1:7860", 200),
        ("studio.example", "https://Studio.example", 200),
        ("[::1]:7860", "http://[::1]:7860", 200),
        ("127.0.0.1:7860", "http://localhost:7860", 403),
        ("127.0.0.1:7860", "https://evil.example", 403),
        ("studio.example", "https://evil.example/studio.example", 403),
        ("", "null", 403),
    ],
)
def test_whose_page_asks(host: str, origin: str, code: int) -> None:
    assert status(OwnPages, host=host, origin=origin) == code
    assert status(OwnPages, host=host) == 200


def test_pages_that_are_welcome() -> None:
    shared = lambda app: OwnPages(app, [".gradio.live"])
    anyone = lambda app: OwnPages(app, [""])
    assert status(shared, host="127.0.0.1", origin="https://abc.gradio.live") == 200
    assert status(shared, host="127.0.0.1", origin="https://gradio.live.evil.example") == 403
    assert status(anyone, host="127.0.0.1", origin="https://huggingface.co") == 200
