import asyncio
from typing import Any

import pytest

from studio.ui.guard import BodyLimit


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
