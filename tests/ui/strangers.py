"""What a stranger's program can send to a served page, and a server nearby that would notice being asked."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


class Stranger:
    """A visitor without a browser, with a desk of their own. `headers`: sent with every request."""

    def __init__(self, url: str, desk: str = "d" * 32, **headers: str) -> None:
        self.client = httpx.Client(base_url=url, trust_env=False, timeout=30, headers=headers)
        self.desk, self.n = desk, 0
        self._components: dict[str, dict[str, Any]] | None = None

    def close(self) -> None:
        self.client.close()

    def config(self) -> dict[str, Any]:
        return self.client.get("/config").json()

    def component(self, element: str) -> dict[str, Any]:
        if self._components is None:
            self._components = {c["props"].get("elem_id"): c for c in self.config()["components"]}
        return self._components[element]

    def call(self, element: str, name: str, data: Any) -> httpx.Response:
        """A component's server function, as the page's scripts call it."""
        body = {"component_id": self.component(element)["id"], "fn_name": name, "data": data}
        return self.client.post("/gradio_api/component_server/", json={**body, "session_hash": "stranger"})

    def ask(self, element: str, name: str, **more: Any) -> dict[str, Any]:
        self.n += 1
        settings = more.pop("settings", {})
        request = {"page": self.desk, "n": self.n, "desk": self.desk, "settings": settings, **more}
        return self.call(element, name, request).json()

    def send(self, content: bytes, name: str, element: str = "live-style", **fields: str) -> dict[str, Any]:
        """A file in one piece onto the desk; what the server says of it."""
        self.n += 1
        texts = {"desk": self.desk, "upload": f"{self.n:032x}", "name": name, "purpose": "work"}
        texts |= {"size": str(len(content)), "offset": "0", "fn_name": "receive", "session_hash": "stranger"}
        texts |= {"component_id": str(self.component(element)["id"]), **fields}
        files = {"piece": ("piece", content, "application/octet-stream")}
        return self.client.post("/gradio_api/component_server/", data=texts, files=files).json()

    def queued(self, endpoint: str, *data: Any) -> tuple[str, Any]:
        """An endpoint for scripts: the last event and its data."""
        event = self.client.post(f"/gradio_api/call/{endpoint}", json={"data": data}).json()["event_id"]
        lines = self.client.get(f"/gradio_api/call/{endpoint}/{event}").text.split("\n")
        events = [(a[7:], json.loads(b[6:])) for a, b in zip(lines, lines[1:]) if a.startswith("event: ")]
        return events[-1]

    def get(self, path: str) -> tuple[int, bytes]:
        """The path byte for byte as it stands: clients tidy away the dots that matter here."""
        url = self.client.base_url
        line = http.client.HTTPConnection(url.host, url.port, timeout=10)
        with contextlib.closing(line):
            line.request("GET", path)
            answer = line.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def canary() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the paths that it was asked for."""
    heard: list[str] = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"canary")

        do_HEAD = do_POST = do_OPTIONS = do_GET

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Canary)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
