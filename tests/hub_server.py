"""A local server that speaks the Hub's protocol, for the real huggingface_hub client.

It knows model info, the tree of files, `resolve` with its redirect to a second host that holds large files (as the
Hub's CDN does), ETag and X-Linked-Etag, ranges, search, the creation of repositories, the LFS batch and the commit
API. `Fault`s make it answer with a status, cut a body short, or send other bytes than it promised.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LARGE = (".safetensors", ".bin", ".pt", ".pth", ".pkl", ".jpg", ".png")  # what LFS holds


@dataclass
class Fault:
    """What goes wrong at the next `times` requests whose method and path fit."""

    path: str  # a regular expression
    method: str = "GET"
    status: int = 0  # answer with this, where it is not 0
    cut: int = -1  # send so many bytes of the body, then hang up
    wrong: bool = False  # send as many other bytes
    ignore_range: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass
class Request:
    host: str  # hub or cdn
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Repository:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by hash, oldest first
    private: bool = False
    gated: bool = False
    tags: tuple[str, ...] = ()
    task: str | None = None
    card: dict[str, object] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit in which `files` have changed; its hash."""
        head = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[head] = {**(self.commits[self.head] if self.commits else {}), **files}
        return head

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if not self.commits:
            return ("0" * 40, {}) if revision == "main" else None
        revision = self.head if revision == "main" else revision
        return (revision, self.commits[revision]) if revision in self.commits else None


def git_hash(data: bytes) -> str:
    """What git calls a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class HubServer:
    """`url` is what HF_ENDPOINT says. `tokens` are who may log in; a gated repository admits `admitted` of them."""

    def __init__(self) -> None:
        self.repos: dict[str, Repository] = {}
        self.tokens = {"hf_owner": "ann", "hf_other": "bob"}
        self.admitted = {"ann"}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.stored: dict[str, bytes] = {}  # LFS, by sha256
        self.connections: list[socket.socket] = []
        self._hub, self._cdn = (ThreadingHTTPServer(("127.0.0.1", 0), self._handler(n)) for n in ("hub", "cdn"))
        self.url, self.cdn = (f"http://127.0.0.1:{s.server_address[1]}" for s in (self._hub, self._cdn))

    def add(self, repo: str, files: dict[str, bytes], **facts: object) -> str:
        """A repository with one commit; its hash."""
        self.repos[repo] = Repository(**facts)
        return self.repos[repo].commit(files)

    def seen(self, path: str, method: str = "GET") -> list[Request]:
        return [r for r in self.requests if r.method == method and re.search(path, r.path)]

    @contextmanager
    def running(self) -> Iterator["HubServer"]:
        threads = [threading.Thread(target=s.serve_forever, args=(0.01,)) for s in (self._hub, self._cdn)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for server, thread in zip((self._hub, self._cdn), threads):
                server.shutdown()
                thread.join()
                server.server_close()
            for connection in self.connections:  # those that a client keeps for its next question
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _handler(self, host: str) -> type[BaseHTTPRequestHandler]:
        state = self

        class Handler(HubHandler):
            server_state, host_name = state, host

        return Handler


class HubHandler(BaseHTTPRequestHandler):
    server_state: HubServer
    host_name: str
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server_state.connections.append(self.connection)

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *arguments: object) -> None:
        """Quiet: `requests` keeps what was asked."""

    def _serve(self) -> None:
        hub = self.server_state
        address = urlsplit(self.path)
        self.route, self.query = unquote(address.path), parse_qs(address.query)
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.body = b"".join(self._chunks())
        else:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.title(): value for name, value in self.headers.items()}
        hub.requests.append(Request(self.host_name, self.command, self.path, headers))
        self.fault = next(
            (f for f in hub.faults if f.times and f.method == self.command and re.search(f.path, self.route)), None
        )
        if self.fault:
            self.fault.times -= 1
            if self.fault.status:
                return self._refuse(self.fault.status, **self.fault.headers)
        user = hub.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if self.host_name == "cdn":
            return self._serve_cdn()
        if "Authorization" in self.headers and user is None:
            return self._refuse(401, message="Invalid credentials in Authorization header")
        for pattern, serve in _ROUTES:
            if found := re.fullmatch(pattern, self.route):
                return serve(self, user, *found.groups())
        self._refuse(404)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    # what the Hub answers

    def _whoami(self, user: str | None) -> None:
        self._json({"type": "user", "name": user}) if user else self._refuse(401)

    def _validate(self, user: str | None) -> None:
        self._json({"errors": [], "warnings": []})

    def _search(self, user: str | None) -> None:
        words = self.query.get("search", [""])[0].lower()
        names = [n for n, r in self.server_state.repos.items() if words in n.lower() and not r.private]
        self._json([self._about(name, {}) for name in names][: int(self.query.get("limit", ["1000"])[0])])

    def _model(self, user: str | None, name: str, revision: str | None = None) -> None:
        repo = self._repository(user, name)
        if repo is None:
            return
        found = repo.at(revision or "main")
        if found is None:
            return self._refuse(404, code="RevisionNotFound")
        self._json(self._about(name, found[1], found[0]))

    def _about(self, name: str, files: dict[str, bytes], commit: str | None = None) -> dict[str, object]:
        repo = self.server_state.repos[name]
        return {
            "_id": "0", "id": name, "modelId": name, "author": name.partition("/")[0], "private": repo.private,
            "sha": commit or repo.head, "gated": "manual" if repo.gated else False, "disabled": False,
            "tags": list(repo.tags), "cardData": repo.card, "downloads": 7, "likes": 1,
            "pipeline_tag": repo.task,
            "siblings": [self._sibling(n, data) for n, data in files.items()],
        }

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        facts = {"rfilename": name, "size": len(data), "blobId": git_hash(data)}
        if name.endswith(LARGE):
            facts["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return facts

    def _tree(self, user: str | None, name: str, revision: str) -> None:
        if (repo := self._repository(user, name)) is not None:
            if (found := repo.at(revision)) is None:
                return self._refuse(404, code="RevisionNotFound")
            facts = [self._sibling(n, data) for n, data in found[1].items()]
            self._json([{"type": "file", "path": f.pop("rfilename"), "oid": f.pop("blobId"), **f} for f in facts])

    def _resolve(self, user: str | None, name: str, revision: str, path: str) -> None:
        hub = self.server_state
        repo = self._repository(user, name)
        if repo is None:
            return
        if repo.gated and user not in hub.admitted:
            return self._refuse(403 if user else 401, code="GatedRepo")
        found = repo.at(revision)
        if found is None:
            return self._refuse(404, code="RevisionNotFound")
        commit, files = found
        if path not in files:
            return self._refuse(404, code="EntryNotFound", **{"X-Repo-Commit": commit})
        data = files[path]
        if not path.endswith(LARGE):
            return self._send(data, {"X-Repo-Commit": commit, "ETag": f'"{git_hash(data)}"'})
        oid = hashlib.sha256(data).hexdigest()
        hub.stored[oid] = data
        linked = {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
        self._head(302, {**linked, "Location": f"{hub.cdn}/{oid}?signed=secret", "Content-Length": "0"})

    def _create(self, user: str | None) -> None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or user}/{asked['name']}"
        if user is None or name.partition("/")[0] != user:
            return self._refuse(403 if user else 401, message="You don't have the rights to create a model here")
        if name in self.server_state.repos:
            return self._refuse(409, message="You already created this model repo")
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.server_state.repos[name] = Repository(private=private)
        self._json({"url": f"{self.server_state.url}/{name}", "name": name, "id": "0"})

    def _preupload(self, user: str | None, name: str, revision: str) -> None:
        if self._writable(user, name):
            paths = [file["path"] for file in json.loads(self.body)["files"]]
            mode = {True: "lfs", False: "regular"}
            self._json({"files": [
                {"path": p, "uploadMode": mode[p.endswith(LARGE)], "shouldIgnore": False} for p in paths
            ]})

    def _batch(self, user: str | None, name: str) -> None:
        if self._writable(user, name):
            hub = self.server_state
            wanted = json.loads(self.body)["objects"]
            self._json({"transfer": "basic", "objects": [
                o if o["oid"] in hub.stored else {**o, "actions": {
                    "upload": {"href": f"{hub.cdn}/{o['oid']}"}, "verify": {"href": f"{hub.url}/verify/{name}"},
                }}
                for o in wanted
            ]})

    def _verify(self, user: str | None, name: str) -> None:
        if self._writable(user, name):
            asked = json.loads(self.body)
            kept = self.server_state.stored.get(asked["oid"])
            self._json({}) if kept is not None and len(kept) == asked["size"] else self._refuse(422)

    def _commit(self, user: str | None, name: str, revision: str) -> None:
        if not self._writable(user, name):
            return
        files = {}
        for line in filter(None, self.body.splitlines()):
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server_state.stored[value["oid"]]
        repo = self.server_state.repos[name]
        head = repo.commit(files)
        if "README.md" in files and files["README.md"].startswith(b"---\n"):
            repo.card = yaml.safe_load(files["README.md"].split(b"---\n")[1])
        url = f"{self.server_state.url}/{name}/commit/{head}"
        self._json({"success": True, "commitOid": head, "commitUrl": url})

    def _serve_cdn(self) -> None:
        oid = self.route.strip("/")
        if self.command == "PUT":
            fits = hashlib.sha256(self.body).hexdigest() == oid
            if fits:
                self.server_state.stored[oid] = self.body
            return self._json({}) if fits else self._refuse(400)
        if oid not in self.server_state.stored:
            return self._refuse(404)
        self._send(self.server_state.stored[oid], {"ETag": '"of the cdn"'})

    # the parts of an answer

    def _repository(self, user: str | None, name: str) -> Repository | None:
        """Unknown and hidden are one answer, as the Hub gives it; None where it has been given."""
        repo = self.server_state.repos.get(name)
        if repo is None or (repo.private and user != name.partition("/")[0]):
            self._refuse(404 if user else 401, code="RepoNotFound")
            return None
        return repo

    def _writable(self, user: str | None, name: str) -> bool:
        if self._repository(user, name) is None:
            return False
        if user != name.partition("/")[0]:
            self._refuse(403, message="You don't have write access to this repo")
            return False
        return True

    def _send(self, data: bytes, headers: dict[str, str]) -> None:
        fault = self.fault or Fault("")
        if fault.wrong:
            data = bytes(255 - b for b in data)
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        status, total = 200, len(data)
        if start and not fault.ignore_range:
            first = int(start[1])
            if first >= total:
                return self._refuse(416)
            status, data = 206, data[first:]
            headers = {**headers, "Content-Range": f"bytes {first}-{total - 1}/{total}"}
        self._head(status, {**headers, "Content-Length": str(len(data)), "Accept-Ranges": "bytes"})
        if self.command == "HEAD":
            return
        if fault.cut >= 0:
            self.wfile.write(data[: fault.cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(data)

    def _json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        # a server that is set up badly says what it was sent: nothing of it may reach the person's screen
        body = json.dumps({"error": f"{message} {self.headers.get('Authorization', '')}"}).encode()
        facts = {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
        facts |= {"X-Error-Code": code} if code else {}
        facts |= {"X-Error-Message": message} if message else {}
        self._head(status, facts)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


_NAME = r"([^/]+/[^/]+)"
_ROUTES = [
    (r"/api/whoami-v2", HubHandler._whoami),
    (r"/api/validate-yaml", HubHandler._validate),
    (r"/api/repos/create", HubHandler._create),
    (r"/api/models", HubHandler._search),
    (rf"/api/models/{_NAME}/revision/(.+)", HubHandler._model),
    (rf"/api/models/{_NAME}/tree/([^/]+)", HubHandler._tree),
    (rf"/api/models/{_NAME}/preupload/([^/]+)", HubHandler._preupload),
    (rf"/api/models/{_NAME}/commit/([^/]+)", HubHandler._commit),
    (rf"/api/models/{_NAME}", HubHandler._model),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", HubHandler._batch),
    (rf"/verify/{_NAME}", HubHandler._verify),
    (rf"/{_NAME}/resolve/([^/]+)/(.+)", HubHandler._resolve),
]
