"""Closed by default: what strangers try on a served page, each through its real HTTP API."""

import base64
import io
import stat
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from studio.library import Library
from tests.ui.strangers import Stranger, canary
from tests.ui.visitor import photo

ROOT = Path(__file__).resolve().parents[2]
SECRET = b"the neighbour's secret"
PAGE = "live-style"


@pytest.fixture
def stranger(served: str) -> Iterator[Stranger]:
    stranger = Stranger(served)
    yield stranger
    stranger.close()


@pytest.fixture
def other(served: str) -> Iterator[Stranger]:
    other = Stranger(served, "e" * 32)
    yield other
    other.close()


@pytest.fixture(scope="module")
def neighbour(library: Library) -> Path:
    """A file in a folder beside the one that is served from."""
    folder = library.roots[0].parent / "neighbour"
    folder.mkdir(exist_ok=True)
    (folder / "secret.txt").write_bytes(SECRET)
    return folder / "secret.txt"


# Files and addresses, by name.

ROUTES = ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/gradio_api/proxy=")
ROUTES += ("/static/", "/assets/", "/svelte/")
ROUTES += ("/gradio_api/custom_component/html/client/component/", "/gradio_api/stream/")


@pytest.mark.parametrize("route", ROUTES)
def test_no_file_can_be_read_by_its_name(stranger: Stranger, neighbour: Path, route: str) -> None:
    up = "../" * 12
    names = ["requirements.txt", "./requirements.txt", f"{ROOT}/requirements.txt", f"..{ROOT}/requirements.txt"]
    names += ["/etc/passwd", f"{up}etc/passwd", f"//{up}etc/passwd", "file:///etc/passwd"]
    names += [f"{12 * step}etc/passwd" for step in ("..%2f", "%2e%2e/", "..%5c", "..%252f", "....//")]
    names += [str(neighbour), f"{neighbour.parent}/x/../{neighbour.name}"]
    for name in names:
        status, body = stranger.get(route + name)
        assert status in (400, 403, 404), (route, name, status)
        assert SECRET not in body and b"root:" not in body and b"gradio>=" not in body, (route, name)


@pytest.mark.parametrize("route", ["/gradio_api/file=", "/gradio_api/proxy=", "/file=", "/proxy="])
def test_no_address_is_fetched(stranger: Stranger, route: str) -> None:
    with canary() as (url, heard):
        others = [url.replace("127.0.0.1", name) for name in ("localhost", "2130706433", "[::ffff:127.0.0.1]")]
        for address in (url, *others, "https://192.0.2.1/"):
            assert stranger.get(f"{route}{address}")[0] == 404
        assert heard == []


@pytest.mark.parametrize("key", ["path", "url"])
def test_a_value_that_names_a_place_is_not_followed(stranger: Stranger, neighbour: Path, key: str) -> None:
    """Gradio takes such values for uploaded files, in any place of any request."""
    with canary() as (url, heard):
        for place in (f"{url}/x.png", "https://192.0.2.1/x.png", str(neighbour), f"file://{neighbour}"):
            value = {"path": "x.png", key: place, "meta": {"_type": "gradio.FileData"}}
            both = ("style", value, [value], {}), ("restore", value, value, {})
            for words in (("explore", {"model": value}), *both):
                event, data = stranger.queued(*words)
                assert event == "error", words
                assert SECRET.decode() not in str(data)
        assert heard == []
        event, data = stranger.queued("explore", {"model": {"path": url, "meta": {"_type": "gradio.FileData"}}})
        assert "files and addresses are not fetched here" in str(data)


@pytest.mark.parametrize("picture", ["http://{0}/x.png", "file:///etc/passwd", "/etc/passwd", "data:text/html,<p>"])
def test_a_picture_is_never_an_address(stranger: Stranger, picture: str) -> None:
    with canary() as (url, heard):
        text = picture.format(url.removeprefix("http://"))
        for words in (("style", text, [text], {}), ("restore", text, "auto", {})):
            event, data = stranger.queued(*words)
            assert event == "error" and "Base64" in str(data), words
        assert "error" in stranger.call("live-explore", "open", {"file": text}).json()
        assert heard == []


@pytest.mark.parametrize(
    "path",
    [
        "upload", "process_recording", "vibe-edit", "vibe-code", "dev/reload", "run-history/connect", "run/x",
        "stream/x",
    ],
)
def test_routes_without_a_use_are_not_there(stranger: Stranger, path: str) -> None:
    plain = f"/gradio_api/{path}"
    for address in (plain, f"{plain}/", f"/{plain}", f"/x/..{plain}"):
        assert stranger.client.post(address, files={"files": ("x.html", b"x")}).status_code in (404, 405), address
        assert stranger.get(address)[0] in (404, 405), address


# Files that are sent.

SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9">
<image xlink:href="{0}/a.png" width="9" height="9"/><image href="file:///etc/passwd"/>
<style>@import url({0}/b.css);</style></svg>"""
XML = '<!DOCTYPE x [<!ENTITY e SYSTEM "{0}/e">]><svg xmlns="http://www.w3.org/2000/svg"><text>&e;</text></svg>'
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{0}/a.ts\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
FFCONCAT = "ffconcat version 1.0\nfile '{0}/a.mp4'\nfile '/etc/passwd'\n"
DASH = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><BaseURL>{0}/</BaseURL></Period></MPD>'
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
POSTSCRIPT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"
HTML = "<html><script src='{0}/a.js'></script></html>"
PROGRAM = "#!/bin/sh\ncurl {0}/run\n"


@pytest.mark.parametrize("suffix", [".svg", ".mp4"])
@pytest.mark.parametrize("content", [SVG, XML, PLAYLIST, FFCONCAT, DASH, SDP, POSTSCRIPT, HTML, PROGRAM])
def test_a_file_that_names_others_is_refused_and_not_kept(stranger: Stranger, content: str, suffix: str) -> None:
    with canary() as (url, heard):
        answer = stranger.send(content.format(url).encode(), f"file{suffix}")
        assert set(answer) == {"error"} and answer["error"].count("\n") == 0, answer
        assert str(ROOT) not in answer["error"] and "/tmp" not in answer["error"]
        assert heard == []
    file = sha256(content.format(url).encode()).hexdigest()
    assert stranger.ask(PAGE, "look", files=[file]) == {"files": [], "missing": [file]}


def test_names_in_a_zip_are_no_paths(stranger: Stranger, tmp_path: Path) -> None:
    """A link, ways up and whole paths: what comes out are pictures on the desk, or nothing."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
        up = f"{'../' * 12}{tmp_path}/escaped.png"
        for name in (up, f"{tmp_path}/whole.png", "..\\..\\escaped.png", "a/../../b.png", "C:\\x.png"):
            file.writestr(name, photo(8, 8, len(name)))
        file.writestr("page.html", HTML)
    answer = stranger.send(packed.getvalue(), "many.zip")
    assert not list(tmp_path.iterdir())
    names = [entry["name"] for entry in answer["files"]]
    assert answer["skipped"] == 4  # the page, and what would leave its folder
    assert all(not name.startswith("/") and ".." not in name.split("/") and ":" not in name for name in names), names
    linked = next(entry["id"] for entry in answer["files"] if entry["name"] == "link.png")
    assert "error" in stranger.ask(PAGE, "look", files=[linked])
    piece = stranger.ask(PAGE, "take", file=linked, offset=0)["piece"]
    assert base64.b64decode(piece) == b"/etc/passwd"  # the link's own text


@pytest.mark.parametrize("claims, said", [
    ({"size": str(1 << 40)}, "over the limit of"),
    ({"size": "0"}, "is empty"),
    ({"size": "1"}, "did not arrive in order"),
    ({"offset": "7"}, "did not arrive in order"),
    ({"desk": "../" * 10 + "x"}, "did not arrive whole"),
    ({"upload": "/etc/passwd"}, "did not arrive whole"),
])
def test_what_a_sender_claims_is_checked(stranger: Stranger, claims: dict[str, str], said: str) -> None:
    assert said in stranger.send(photo(), "photo.png", **claims)["error"]


# Other visitors.


def test_nobody_reads_another_visitors_files(stranger: Stranger, other: Stranger) -> None:
    mine = stranger.send(photo(), "mine.png")["id"]
    settings = {"work": mine}
    assert "picture" in stranger.ask("live-restore", "draw", settings=settings)["before"]
    assert [file["name"] for file in stranger.ask(PAGE, "look", files=[mine])["files"]] == ["mine.png"]
    assert stranger.ask(PAGE, "take", file=mine, offset=0)["size"] == len(photo())

    assert other.ask(PAGE, "look", files=[mine]) == {"files": [], "missing": [mine]}
    assert other.ask(PAGE, "take", file=mine, offset=0) == {"missing": [mine]}
    for element in (PAGE, "live-restore"):
        assert other.ask(element, "draw", settings=settings) == {"missing": [mine]}, element
    chosen = {**settings, "styles": [mine, "", "", ""]}
    assert other.ask(PAGE, "start", settings=chosen) == {"missing": [mine]}
    assert other.ask(PAGE, "watch") == {}


@pytest.mark.parametrize("desk", ["", "*", "d", "../" + "d" * 29, "D" * 32, "d" * 33, None, ["d" * 32], {"$ne": ""}])
def test_a_desk_has_no_other_names(stranger: Stranger, desk: object) -> None:
    mine = stranger.send(photo(), "mine.png")["id"]
    asked = {"draw": {"settings": {"work": mine}}, "take": {"file": mine, "offset": 0}, "look": {"files": [mine]}}
    for name, more in asked.items():
        assert set(stranger.ask(PAGE, name, **{**more, "desk": desk})) == {"error"}, name


# Pages of other sites.


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null", "http://[", ""])
def test_a_page_of_another_site_may_not_ask_in_a_visitors_name(served: str, origin: str) -> None:
    with Stranger(served, Origin=origin).client as client:
        for path in ("/gradio_api/component_server/", "/gradio_api/queue/join", "/gradio_api/call/explore"):
            for more in ({}, {"X-Forwarded-Host": "evil.example"}):
                headers = {"Content-Type": "text/plain", **more}  # a kind that browsers send without asking first
                assert client.post(path, content=b"{}", headers=headers).status_code == 403
        assert client.get("/config").status_code == 403


def test_the_page_itself_may_ask(served: str) -> None:
    own = Stranger(served, Origin=served.rstrip("/"))
    assert "picture" in own.ask("live-explore", "draw", settings={"model": "tiny"})
    own.close()
