"""The served page, called as a browser calls it."""

import base64
import io
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from studio.ui.i18n import messages


@pytest.fixture
def client(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, trust_env=False) as client:
        yield client


def config(client: httpx.Client) -> dict[str, Any]:
    return client.get("/config").json()


def call(client: httpx.Client, element: str, name: str, data: Any) -> httpx.Response:
    """A component's server function, as live.js calls it."""
    component = next(c for c in config(client)["components"] if c["props"].get("elem_id") == element)
    body = {"component_id": component["id"], "fn_name": name, "session_hash": "test", "data": data}
    return client.post("/gradio_api/component_server/", json=body)


def ask(n: int, **settings: Any) -> dict[str, Any]:
    return {"page": "b" * 32, "n": n, "settings": {"model": "tiny", **settings}}


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def queued(client: httpx.Client, settings: dict[str, Any]) -> tuple[str, Any]:
    """The queued endpoint, as scripts call it: the last event and its data."""
    event = client.post("/gradio_api/call/explore", json={"data": [settings]}).json()["event_id"]
    lines = client.get(f"/gradio_api/call/explore/{event}", timeout=30).text.split("\n")
    events = [(a[7:], json.loads(b[6:])) for a, b in zip(lines, lines[1:]) if a.startswith("event: ")]
    return events[-1]


@pytest.mark.parametrize("accepted, language", [("zh-CN,en;q=0.5", "zh-CN"), ("en", "en"), ("de", "en")])
def test_the_page_is_in_the_readers_language(client: httpx.Client, accepted: str, language: str) -> None:
    page = client.get("/", headers={"Accept-Language": accepted})
    assert page.status_code == 200
    assert messages(language)["page.motto"] in page.text
    config = client.get("/config", headers={"Accept-Language": accepted}).json()
    assert config["i18n_translations"]["en"] == messages(language)


def test_the_readers_choice_goes_before_the_browsers(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept-Language": "en", "Cookie": "atelier_lang=zh-CN"})
    assert messages("zh-CN")["live.save"] in page.text


def test_a_picture_and_a_sentence(client: httpx.Client) -> None:
    answer = call(client, "live-explore", "draw", ask(1, seed=5)).json()
    picture = opened(answer["picture"])
    assert (picture.format, picture.mode) == ("JPEG", "L")
    assert call(client, "live-explore", "draw", ask(2, psi=9)).json() == {
        "error": "psi=9.0 is outside -1..2 (truncation: 0 the mean picture, 1 the full variety)"
    }


def test_an_older_request_gets_no_picture(client: httpx.Client) -> None:
    assert "picture" in call(client, "live-explore", "draw", ask(1001)).json()
    assert call(client, "live-explore", "draw", ask(1000)).json() == {"stale": True}


def test_sheets(client: httpx.Client) -> None:
    strip = call(client, "sheet-strip", "cells", ask(2000)).json()["cells"]
    grid = call(client, "sheet-grid", "cells", ask(2000) | {"first": 12}).json()["cells"]
    assert (len(strip), len(grid), grid[0]["caption"]) == (7, 12, "12")


def test_only_named_functions_can_be_called(client: httpx.Client) -> None:
    for name in ("postprocess", "__init__", "open_url", "controls"):
        assert call(client, "live-explore", name, None).status_code == 404


def test_scripts_get_pictures_through_the_queue(client: httpx.Client) -> None:
    event, (url,) = queued(client, {"model": "tiny", "seed": 8})
    assert event == "complete"
    picture = opened(url)
    assert (picture.format, picture.size) == ("PNG", (16, 16))
    saved = call(client, "live-explore", "save", ask(3000, seed=8)).json()
    assert opened(saved["picture"]).tobytes() == picture.tobytes()


def test_scripts_get_sentences_through_the_queue(client: httpx.Client) -> None:
    event, data = queued(client, {"model": "stylgan2"})
    assert event == "error"
    assert "no model named 'stylgan2'; installed: tiny, tiny-classes" in json.dumps(data)


def test_the_api_is_what_it_means_to_be(client: httpx.Client) -> None:
    assert set(client.get("/gradio_api/info").json()["named_endpoints"]) == {"/explore", "/restore", "/style"}
    named = {d["api_name"] for d in config(client)["dependencies"] if d["api_visibility"] == "public"}
    assert named == {"explore", "restore", "style"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example"])
def test_a_foreign_name_for_this_machine_is_refused(client: httpx.Client, host: str) -> None:
    """DNS rebinding: a page of another site that has its own name point here."""
    assert client.get("/config", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("path", ["/etc/passwd", "app.py", "../app.py", "studio/errors.py"])
def test_no_file_of_this_machine_is_served(client: httpx.Client, path: str) -> None:
    for route in ("/gradio_api/file=", "/file=", "/static/", "/assets/"):
        answer = client.get(route + path)
        assert answer.status_code in (403, 404), (route, path, answer.status_code)


def test_a_body_without_measure_is_refused(served: str) -> None:
    url = httpx.URL(served)
    head = f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {1 << 40}\r\n\r\n"
    with socket.create_connection((url.host, url.port), timeout=10) as line:
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/monitoring", "/gradio_api/runs"])
def test_pages_of_the_framework_that_ask_the_network_are_off(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (403, 404)
