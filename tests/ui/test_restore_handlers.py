import base64
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.errors import CapabilityError, CheckpointError, DataError, ImageError, SettingError, UnknownName
from studio.explore import Explorer
from studio.images import encode, open_picture
from studio.layers import Layer
from studio.masks import encode_mask
from studio.provenance import read
from studio.session import SUFFIX, load_session
from studio.suggestion import Suggestion
from studio.ui.handlers.restore import RestoreHandlers
from studio.ui.handlers.restore_controls import RestoreControls
from studio.ui.handlers.restore_files import (
    encode_layer, encode_proposal, open_original, pooled, read_layer, read_mask_of, read_proposal,
)
from studio.ui.handlers.restore_work import proposed_mask
from studio.ui.services import Services
from studio.ui.tasks import AT_WORK
from tests.tiny_restore import DarkDetector, MeanInpainter, RepeatUpscaler, TinyEngine
from tests.tiny_style import blobs, picture
from tests.ui.visitor import SECRET, Visitor, opened, png

WAIT_S = 20
HEIGHT, WIDTH = 60, 80
HOLE = np.s_[20:30, 40:55]


class Restoring(Services):
    """Has the tiny networks, or none."""

    networks = True

    def models(self, task: str) -> list[str]:
        return [task] if self.networks and task in ("inpaint", "damage", "upscale") else []


def make_services() -> Restoring:
    engine = TinyEngine(inpaint=MeanInpainter(), damage=DarkDetector(), upscale=RepeatUpscaler(2))
    return Restoring(engine.library, Explorer(engine))


@pytest.fixture
def services() -> Iterator[Restoring]:
    services = make_services()
    yield services
    services.close()


@pytest.fixture
def visitor(services: Restoring) -> Visitor:
    return Visitor(RestoreHandlers(services))


def mask(where: Any = HOLE, size: tuple[int, int] = (HEIGHT, WIDTH)) -> bytes:
    painted = np.zeros(size, bool)
    painted[where] = True
    return encode_mask(painted)


def photo(seed: int = 1, dtype: type = np.uint8, format: str = "PNG", **facts: Any) -> bytes:
    return encode(picture(blobs(HEIGHT, WIDTH, seed, dtype), **facts), format)


def ended(visitor: Visitor) -> dict[str, Any]:
    for _ in range(WAIT_S * 50):
        report = visitor.handlers.watch({"desk": visitor.desk, "shown": 0})
        if report["state"] not in AT_WORK:
            return report
        threading.Event().wait(0.02)
    raise AssertionError("the work did not end")


def begin(visitor: Visitor, job: str, more: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return visitor.handlers.start({**visitor.ask(**settings), "files": [], "job": job, **(more or {})})


def done(visitor: Visitor, job: str, more: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    begin(visitor, job, more, **settings)
    report = ended(visitor)
    assert report["state"] == "done", report
    return report


def fetched(visitor: Visitor, job: str, more: dict[str, Any] | None = None, **settings: Any) -> bytes:
    return visitor.take(done(visitor, job, more, **settings)["file"])


def filled(visitor: Visitor, body: bytes = b"", name: str = "wall.png", **settings: Any) -> dict[str, Any]:
    """A picture brought and its hole filled, as settings."""
    work = visitor.send(body or photo(), name)["id"]
    hole = visitor.send(mask(), "mask.png", purpose="mask")["id"]
    report = done(visitor, "fill", work=work, mask=hole, **settings)
    assert report["values"]["job"] == "fill" and report["values"]["work"] == work
    return {"work": work, "layers": [report["file"]["id"]]}


def pixels(file: bytes) -> np.ndarray:
    return open_picture(file).pixels


def outside(array: np.ndarray) -> np.ndarray:
    away = array.copy()
    away[HOLE] = 0
    return away


# ---- what is shown


def test_without_a_picture_there_is_nothing_to_show(visitor: Visitor) -> None:
    assert visitor.draw() == {"empty": True}


def test_the_picture_is_shown_once_and_again_when_a_fill_changes_it(visitor: Visitor) -> None:
    settings = filled(visitor)
    first = visitor.draw(work=settings["work"])
    assert (first["before"]["width"], first["before"]["height"], first["before"]["bits"]) == (WIDTH, HEIGHT, 8)
    assert first["before"]["reread"] is False
    assert first["before"]["name"] == "wall.png" and first["picture"] == first["before"]["picture"]
    asked = {**visitor.ask(work=settings["work"], grow=3), "has": first["before"]["key"], "shows": first["key"]}
    assert visitor.handlers.draw(asked) == {"key": first["key"], "same": True}
    after = visitor.draw(has=first["before"]["key"], **settings)
    assert "before" not in after
    change = np.abs(opened(after["picture"]).astype(int) - opened(first["picture"])).max(axis=2)
    assert change[HOLE].max() > 20 and change[:12].max() < 20  # JPEG carries changes some pixels far
    hidden = visitor.draw(**settings, hidden=settings["layers"])
    assert hidden["picture"] == first["picture"] and hidden["key"] == first["key"]


def test_a_file_that_has_gone_is_asked_for(visitor: Visitor, services: Restoring) -> None:
    settings = filled(visitor)
    visitor.draw(**settings)
    services.desks.discard(SECRET, settings["layers"][0])
    assert visitor.draw(**settings) == {"missing": settings["layers"]}


def test_strokes_show_what_was_filled(visitor: Visitor) -> None:
    settings = filled(visitor, photo(3))
    plain, strokes = (pixels(fetched(visitor, "save", **settings, strokes=how)) for how in ("no", "yes"))
    assert np.array_equal(outside(plain), outside(strokes)) and not np.array_equal(plain[HOLE], strokes[HOLE])


# ---- fidelity


@pytest.mark.parametrize("dtype, formats", [(np.uint8, ["png", "tiff", "webp"]), (np.uint16, ["png", "tiff"])])
def test_outside_of_the_mask_every_byte_is_the_original(visitor: Visitor, dtype: type, formats: list[str]) -> None:
    original = blobs(HEIGHT, WIDTH, 1, dtype)
    settings = filled(visitor, photo(dtype=dtype, dpi=(300.0, 300.0)))
    for format in formats:
        report = done(visitor, "save", **settings, format=format)
        assert report["file"]["name"] == "wall-restored" + {"png": ".png", "tiff": ".tif", "webp": ".webp"}[format]
        assert "note" not in report  # what the work was about is said while it lasts
        result = open_picture(visitor.take(report["file"]))
        assert result.pixels.dtype == dtype
        assert np.array_equal(outside(result.pixels), outside(original)), format
        assert not np.array_equal(result.pixels[HOLE], original[HOLE])
        assert format == "webp" or result.dpi == pytest.approx((300, 300), rel=1e-3)


def test_the_fill_is_the_networks(visitor: Visitor) -> None:
    flat = np.full((HEIGHT, WIDTH, 3), (90, 120, 30), np.uint8)
    damaged = flat.copy()
    damaged[HOLE] = 255
    settings = filled(visitor, png(damaged), feather=0)
    assert np.array_equal(pixels(fetched(visitor, "save", **settings)), flat)
    told = visitor.handlers.layers(visitor.ask(**settings))["layers"]
    layer = {
        "id": settings["layers"][0], "method": "auto", "model": "inpaint", "area_px": 150, "licence": "CC0-1.0",
    }
    assert told == [layer]


def test_webp_does_not_lose_bits_in_silence(visitor: Visitor) -> None:
    settings = filled(visitor, photo(dtype=np.uint16))
    begin(visitor, "save", **settings, format="webp")
    report = ended(visitor)
    assert report["state"] == "failed" and "16 bits" in report["error"] and "TIFF" in report["error"]


def test_what_was_saved_brings_the_settings_back(visitor: Visitor, tmp_path: Path) -> None:
    settings = filled(visitor, method="ns", grow=2)
    file = fetched(visitor, "save", **settings, method="ns", grow=2, note="by A.")
    (tmp_path / "wall.png").write_bytes(file)
    found = read(tmp_path / "wall.png")
    assert found.tool == "restore" and found.settings["layers"][0]["method"] == "ns"
    assert b"by A." not in file
    info = visitor.send(file, "wall-restored.png")
    assert info["settings"]["layers"] == settings["layers"] and info["settings"]["grow"] == 2


# ---- fills done again, hidden, one over another


def test_a_fill_is_done_again_in_its_place(visitor: Visitor) -> None:
    settings = filled(visitor, feather=0)
    before = read_layer(kept(visitor, settings["layers"][0]), picture(blobs(HEIGHT, WIDTH, 1)))
    again = done(visitor, "redo", {"layer": settings["layers"][0]}, **settings, method="telea", feather=0)
    assert again["values"]["layer"] == settings["layers"][0]
    layer = read_layer(kept(visitor, again["file"]["id"]), picture(blobs(HEIGHT, WIDTH, 1)))
    assert layer.made["method"] == "telea" and layer.made["area_px"] == before.made["area_px"] == 150
    wider = done(visitor, "redo", {"layer": settings["layers"][0]}, **settings, method="telea", grow=2)
    assert read_layer(kept(visitor, wider["file"]["id"]), picture(blobs(HEIGHT, WIDTH, 1))).made["area_px"] > 150
    with pytest.raises(SettingError, match="not in the list"):
        begin(visitor, "redo", {"layer": "f" * 64}, **settings)


def test_a_second_fill_lies_on_the_first(visitor: Visitor) -> None:
    settings = filled(visitor, feather=0)
    corner = visitor.send(mask(np.s_[:5, :5]), "mask.png", purpose="mask")["id"]
    second = done(visitor, "fill", **settings, mask=corner)["file"]["id"]
    two = {**settings, "layers": [*settings["layers"], second]}
    both, first = (pixels(fetched(visitor, "save", **layers)) for layers in (two, settings))
    changed = (both != first).any(axis=2)
    assert changed[:5, :5].any() and not changed[5:].any() and not changed[:, 5:].any()
    assert visitor.draw(**two)["picture"] != visitor.draw(**settings)["picture"]


def test_a_fill_is_made_of_what_was_filled_before(visitor: Visitor) -> None:
    flat = np.full((HEIGHT, WIDTH, 3), (90, 120, 30), np.uint8)
    damaged = flat.copy()
    damaged[HOLE] = 255
    settings = filled(visitor, png(damaged), feather=0)
    beside = visitor.send(mask(np.s_[20:30, 55:60]), "mask.png", purpose="mask")["id"]
    second = done(visitor, "fill", **settings, mask=beside, feather=0)["file"]["id"]
    assert (read_layer(kept(visitor, second), picture(damaged)).pixels[..., :3] == (90, 120, 30)).all()
    alone = done(visitor, "fill", work=settings["work"], mask=beside, feather=0)["file"]["id"]
    assert (read_layer(kept(visitor, alone), picture(damaged)).pixels[..., 0] > 90).all()


def kept(visitor: Visitor, file: str) -> Any:
    return visitor.handlers.services.desks.find(visitor.desk, file)


# ---- suggestions


def dark_line() -> bytes:
    wall = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    wall[30:32, 10:70] = 10
    wall[5:15, 5:15] = (200, 20, 20)
    return png(wall)


def test_damage_is_proposed_and_taken_over_where_wanted(visitor: Visitor) -> None:
    work = visitor.send(dark_line(), "wall.png")["id"]
    report = done(visitor, "suggest", work=work)
    settings = {"work": work, "proposal": report["file"]["id"]}
    shown = visitor.handlers.propose(visitor.ask(**settings, threshold=0.6))
    kinds = {kind["name"]: kind for kind in shown["kinds"]}
    assert (kinds["crack"]["regions"], kinds["stain"]["regions"]) == (1, 1)
    assert kinds["crack"]["confidence"] == pytest.approx(245 / 255, abs=0.02)
    overlay = opened(shown["picture"])
    assert overlay[31, 40].tolist() == [217, 79, 61, 255] and overlay[50, 40, 3] == 0
    none = visitor.handlers.propose(visitor.ask(**settings, threshold=0.98))
    assert all(kind["regions"] == 0 for kind in none["kinds"]) and not opened(none["picture"]).any()
    assert visitor.handlers.adopt(visitor.ask(**settings, threshold=0.98)) == {}
    taken = visitor.handlers.adopt(visitor.ask(**settings, threshold=0.6, ignored=["stain"]))
    found = pixels(visitor.take(taken))[..., 0] > 0
    assert found[29:33, 10:70].all() and found.sum() < 300  # the line and a rim
    # what was painted already stays
    hole = visitor.send(mask(), "mask.png", purpose="mask")["id"]
    more = visitor.handlers.adopt(visitor.ask(**settings, threshold=0.6, ignored=["stain"], mask=hole))
    assert pixels(visitor.take(more))[HOLE].all()


def test_a_gap_in_a_crack_is_shown_as_it_is_taken_over(visitor: Visitor) -> None:
    """A line that is sure but for 6 px: one region, shown and taken whole."""
    wall = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    wall[30:32, 10:70] = 10
    wall[30:32, 40:46] = 135
    work = visitor.send(png(wall), "wall.png")["id"]
    settings = {"work": work, "proposal": done(visitor, "suggest", work=work)["file"]["id"], "threshold": 0.6}
    shown = visitor.handlers.propose(visitor.ask(**settings))
    assert [kind["regions"] for kind in shown["kinds"] if kind["name"] == "crack"] == [1]
    assert opened(shown["picture"])[30:32, 10:70, 3].all()
    assert (pixels(visitor.take(visitor.handlers.adopt(visitor.ask(**settings))))[30:32, 10:70] > 0).all()


def test_thin_cracks_stay_where_a_proposal_is_made_smaller() -> None:
    levels = np.zeros((2, 9, 11), np.uint8)
    levels[1, 8, 10] = 200
    small = pooled(levels, 4)
    assert small.shape == (2, 3, 3) and small[1, 2, 2] == 200 and small.sum() == 200
    found = Suggestion(("crack", "loss"), small.repeat(3, axis=1).repeat(3, axis=2))
    where = proposed_mask(found, RestoreControls(), picture(blobs(33, 34)))
    assert where.shape == (33, 34) and where[-2, -2] and not where[:10].any()


# ---- layers, report, session


def test_layers_are_saved_over_the_untouched_original(visitor: Visitor) -> None:
    body = photo()
    settings = filled(visitor, body, feather=0)
    with zipfile.ZipFile(io.BytesIO(fetched(visitor, "layers", **settings))) as pack:
        assert pack.namelist() == ["original.png", "fill-01.png", "mask.png"]
        assert pack.read("original.png") == body
        layer = pixels(pack.read("fill-01.png"))
        assert layer.shape == (HEIGHT, WIDTH, 4) and layer[HOLE][..., 3].all() and not outside(layer).any()
        assert pack.read("mask.png") == mask()
    pages = Image.open(io.BytesIO(fetched(visitor, "layers", **settings, format="tiff")))
    assert pages.n_frames == 2
    assert np.array_equal(np.asarray(pages), blobs(HEIGHT, WIDTH, 1))
    pages.seek(1)
    assert np.array_equal(np.asarray(pages), layer)


def test_the_report_proves_that_nothing_else_was_touched(visitor: Visitor) -> None:
    settings = filled(visitor, feather=0)
    with zipfile.ZipFile(io.BytesIO(fetched(visitor, "report", **settings, note="cleaned by A."))) as pack:
        assert set(pack.namelist()) == {"wall-restored.png", "report.html", "report.json", "mask.png", "changed.png"}
        values = json.loads(pack.read("report.json"))
        assert values["changed"]["outside_px"] == 0 and 0 < values["changed"]["inside_px"] <= 150
        assert values["note"] == "cleaned by A." and values["mask"]["area_px"] == 150
        assert values["original"]["sha256"] == settings["work"]
        assert np.array_equal(outside(pixels(pack.read("wall-restored.png"))), outside(blobs(HEIGHT, WIDTH, 1)))


def test_a_session_comes_back_with_every_step(visitor: Visitor) -> None:
    settings = filled(visitor)
    work, layer = settings["work"], settings["layers"][0]
    hole = visitor.send(mask(), "mask.png", purpose="mask")["id"]
    past = [
        RestoreControls(work="a" * 64, mask=hole).to_dict(),  # another picture's
        RestoreControls(work=work).to_dict(),
        RestoreControls(work=work, mask=hole).to_dict(),
        RestoreControls(work=work, mask=hole, grow=4).to_dict(),  # no step of the treatment
    ]
    future = [RestoreControls(work=work, layers=(layer,), hidden=(layer,)).to_dict()]
    file = fetched(visitor, "session", {"states": {"past": past, "future": future}}, **settings, note="n")
    session = load_session(io.BytesIO(file))
    assert [len(session.history.past), len(session.history.future)] == [2, 1]
    assert session.note == "n" and session.history.present.layers[0].made["method"] == "auto"
    other = Visitor(visitor.handlers, desk="b2" * 16)
    info = other.send(file, "wall" + SUFFIX)
    assert info["kind"] == "session" and info["present"] == 2
    assert [state["layers"] for state in info["states"]] == [[], [], [layer], [layer]]
    assert info["states"][3]["hidden"] == [layer]
    whole = picture(blobs(HEIGHT, WIDTH))
    opened_mask = read_mask_of(visitor.handlers.services.desks, other.desk, info["states"][1]["mask"], whole)
    assert opened_mask.sum() == 150 and opened_mask[HOLE].all()
    mine = {"work": work, "layers": [layer]}
    assert fetched(other, "save", **mine) and np.array_equal(
        pixels(fetched(other, "save", **mine)), pixels(fetched(visitor, "save", **settings))
    )


def test_a_step_whose_files_have_gone_is_left_out_of_a_session(visitor: Visitor) -> None:
    settings = filled(visitor)
    past = [RestoreControls(work=settings["work"], mask="e" * 64).to_dict()]
    file = fetched(visitor, "session", {"states": {"past": past, "future": []}}, **settings)
    assert load_session(io.BytesIO(file)).history.past == ()


# ---- cleaned and enlarged


@pytest.mark.parametrize("scale, side", [("1", 1), ("2", 2), ("4", 4)])
def test_a_picture_is_made_larger_with_its_fills(visitor: Visitor, scale: str, side: int) -> None:
    settings = filled(visitor)
    report = done(visitor, "enlarge", **settings, scale=scale, noise=0.5)
    assert report["file"]["name"] == f"wall-{'clean' if scale == '1' else 'x' + scale}.png"
    large = pixels(visitor.take(report["file"]))
    assert large.shape == (HEIGHT * side, WIDTH * side, 3)
    restored = pixels(fetched(visitor, "save", **settings))
    near = large[::side, ::side].astype(int) - restored
    assert np.abs(near).mean() < np.abs(restored.astype(int) - restored.mean()).mean()
    assert report["picture"].startswith("data:image/jpeg")


# ---- networks from files


def test_a_network_from_a_file_enlarges(visitor: Visitor, tmp_path: Path) -> None:
    """A network of the community's kind Compact, with weights of chance and a licence in its file."""
    from safetensors.torch import save_file

    compact = pytest.importorskip("spandrel.architectures.Compact").Compact
    weights = compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2).state_dict()
    save_file(weights, tmp_path / "big.safetensors", {"license": "CC-BY-4.0"})
    info = visitor.send((tmp_path / "big.safetensors").read_bytes(), "big.safetensors")
    facts = {"kind": "network", "does": "enlarges", "scale": 2, "licence": "CC-BY-4.0"}
    assert facts.items() <= info.items() and "Compact" in info["architecture"]
    assert visitor.handlers.look({"desk": SECRET, "files": [info["id"]]})["files"] == [info]
    settings = filled(visitor)
    large = done(visitor, "enlarge", **settings, scale="2", enlarger=info["id"])
    by_it = pixels(visitor.take(large["file"]))
    by_ours = pixels(fetched(visitor, "enlarge", **settings, scale="2"))
    assert by_it.shape == by_ours.shape == (2 * HEIGHT, 2 * WIDTH, 3) and not np.array_equal(by_it, by_ours)
    begin(visitor, "fill", **settings, network=info["id"], mask=visitor.send(mask(), purpose="mask")["id"])
    report = ended(visitor)
    assert report["state"] == "failed" and "restore needs a model with filling in" in report["error"]


def test_an_installed_network_is_chosen_and_found_again(
    visitor: Visitor, services: Restoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    compact = pytest.importorskip("spandrel.architectures.Compact").Compact
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    assert visitor.handlers.networks({}) == {"networks": []}
    folder = tmp_path / "home" / "networks"
    folder.mkdir(parents=True)
    weights = compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2).state_dict()
    save_file(weights, folder / "big.safetensors", {"license": "CC-BY-4.0"})
    assert visitor.handlers.networks({}) == {"networks": [{"name": "big.safetensors", "does": ""}]}
    info = visitor.handlers.choose({"desk": SECRET, "name": "big.safetensors"})
    assert (info["name"], info["does"], info["scale"]) == ("big.safetensors", "enlarges", 2)
    settings = filled(visitor)
    large = done(visitor, "enlarge", **settings, scale="2", enlarger=info["id"])
    assert pixels(visitor.take(large["file"])).shape == (2 * HEIGHT, 2 * WIDTH, 3)
    # a server that was started anew has an empty desk, and still knows what is installed
    services.desks.discard(SECRET, info["id"])
    assert visitor.handlers.look({"desk": SECRET, "files": [info["id"]]}) == {"files": [info], "missing": []}
    assert (folder / "big.safetensors").is_file()
    for name in ("no.pth", "../models/x.pth", None):
        with pytest.raises(UnknownName, match="installed: big.safetensors"):
            visitor.handlers.choose({"desk": SECRET, "name": name})


def test_files_that_are_no_network_leave_no_trace(visitor: Visitor, services: Restoring) -> None:
    for name, body in (("net.safetensors", b"\0" * 40), ("net.pth", b"\x80\x04."), ("net.pt", photo())):
        with pytest.raises(CheckpointError, match=name):
            visitor.send(body, name)
        assert services.desks.missing({"desk": SECRET, "files": [sha256(body).hexdigest()]})["missing"]


# ---- many


def test_many_pictures_by_their_masks_and_by_suggestion(visitor: Visitor) -> None:
    line = dark_line()
    clean = png(np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    sent = {
        "a": visitor.send(photo(2), "a.png", purpose="picture"),
        "m": visitor.send(mask(), "a-mask.png", purpose="picture"),
        "b": visitor.send(line, "b.png", purpose="picture"), "c": visitor.send(clean, "c.jpg", purpose="picture"),
        "wrong": visitor.send(mask(size=(50, 50)), "d-mask.png", purpose="picture"),
    }
    files = [
        {"id": sent["a"]["id"], "name": "f/a.png", "mask": sent["m"]["id"]}, {"id": sent["b"]["id"], "name": "b.png"},
        {"id": sent["c"]["id"], "name": "c.jpg"},
        {"id": sent["a"]["id"], "name": "d.png", "mask": sent["wrong"]["id"]},
    ]
    with zipfile.ZipFile(io.BytesIO(fetched(visitor, "save", {"files": files}, work=sent["a"]["id"]))) as pack:
        assert pack.namelist() == ["f/a.png", "b.png", "c.jpg", "notes.txt"]
        assert np.array_equal(outside(pixels(pack.read("f/a.png"))), outside(blobs(HEIGHT, WIDTH, 2)))
        assert (pixels(pack.read("b.png"))[31, 20:60] > 100).all()
        assert pack.read("c.jpg") == clean  # the very file
        notes = pack.read("notes.txt").decode().splitlines()
    assert notes[0].startswith("c.jpg: nothing to restore was found")
    assert notes[1].startswith("d.png: the mask has 50 x 50 px")


def test_many_without_a_detector_need_masks(visitor: Visitor, services: Restoring, monkeypatch: Any) -> None:
    monkeypatch.setattr(Restoring, "networks", False)
    sent = visitor.send(photo(), "a.png", purpose="picture")
    files = [{"id": sent["id"], "name": "a.png"}, {"id": sent["id"], "name": "b.png"}]
    begin(visitor, "save", {"files": files}, work=sent["id"], method="telea")
    report = ended(visitor)
    assert report["state"] == "failed" and "it has no mask; put one beside it" in report["error"]


# ---- what is wrong is a sentence


def test_without_networks_the_classical_fills_work_and_the_rest_says_so(visitor: Visitor, monkeypatch: Any) -> None:
    monkeypatch.setattr(Restoring, "networks", False)
    for method in ("telea", "ns", "biharmonic", "patches"):
        settings = filled(visitor, method=method)
        assert np.array_equal(outside(pixels(fetched(visitor, "save", **settings))), outside(blobs(HEIGHT, WIDTH, 1)))
    with pytest.raises(CapabilityError, match="choose patches, biharmonic, Telea or Navier-Stokes"):
        begin(visitor, "fill", work=settings["work"], mask=settings["work"])
    for job, words in (("suggest", "paint the mask by hand"), ("enlarge", "that cleans and enlarges is installed")):
        with pytest.raises(CapabilityError, match=words):
            begin(visitor, job, work=settings["work"], method="telea")


@pytest.mark.parametrize(
    "size, where, words",
    [
        ((HEIGHT, HEIGHT), HOLE, "another shape"),
        ((HEIGHT, WIDTH), np.s_[:], "covers 100% of the picture"),
        ((HEIGHT, WIDTH), np.s_[:0], "the mask is empty"),
    ],
)
def test_masks_that_cannot_be_filled(visitor: Visitor, size: tuple[int, int], where: Any, words: str) -> None:
    work = visitor.send(photo(), "wall.png")["id"]
    bad = visitor.send(mask(where, size), "mask.png", purpose="mask")["id"]
    begin(visitor, "fill", work=work, mask=bad)
    report = ended(visitor)
    assert report["state"] == "failed" and words in report["error"], report


def test_a_mask_of_the_same_shape_is_scaled(visitor: Visitor) -> None:
    whole = picture(blobs(HEIGHT, WIDTH))
    half = np.zeros((HEIGHT // 2, WIDTH // 2), bool)
    half[10:15, 20:28] = True
    file = visitor.send(encode_mask(half), "mask.png", purpose="mask")["id"]
    found = read_mask_of(visitor.handlers.services.desks, visitor.desk, file, whole)
    assert found[21:29, 41:55].all() and abs(int(found.sum()) - 160) < 40


def test_files_of_several_pages_are_refused_and_leave_no_trace(visitor: Visitor) -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(blobs(20, 30, seed)) for seed in (1, 2, 3)]
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"scan\.tif has 3 pages or frames"):
        visitor.send(file.getvalue(), "scan.tif")
    moving = io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"walk\.gif has 3 pages or frames"):
        visitor.send(moving.getvalue(), "walk.gif")


@pytest.mark.parametrize("size", [(1, 1), (1, 90)])
def test_pictures_of_one_pixel_are_shown_and_not_filled(visitor: Visitor, size: tuple[int, int]) -> None:
    work = visitor.send(png(np.full((*size, 3), 80, np.uint8)), "dot.png")["id"]
    assert visitor.draw(work=work)["before"]["height"] == size[0]


def test_a_truncated_file_is_a_sentence(visitor: Visitor) -> None:
    with pytest.raises(ImageError, match=r"scan\.tif"):
        visitor.send(photo(format="TIFF")[:3000], "scan.tif")


def test_a_layer_of_another_picture_is_refused(visitor: Visitor) -> None:
    settings = filled(visitor)
    small = visitor.send(png(blobs(25, 25, 1)), "small.png")["id"]
    with pytest.raises(ImageError, match="does not fit the picture"):
        visitor.draw(work=small, layers=settings["layers"])
    with pytest.raises(ImageError, match="was not made in this tab"):
        visitor.draw(work=small, layers=[small])


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"top": -1, "left": 0, "made": {}}', '{"top": 0, "left": "0", "made": {}}']
)
def test_a_strangers_layer_is_checked(visitor: Visitor, text: str) -> None:
    from studio.raster.labels import Labels

    layer = encode(picture(blobs(4, 4, 1, channels=4)), "PNG", labels=Labels({"atelier-layer": text}))
    sent = visitor.send(layer, "layer.png", purpose="")
    with pytest.raises(ImageError):
        read_layer(kept(visitor, sent["id"]), picture(blobs(HEIGHT, WIDTH)))


@pytest.mark.parametrize("dtype, channels", [(np.uint8, 4), (np.uint16, 4), (np.uint8, 2), (np.uint16, 2)])
def test_layers_and_proposals_are_read_as_they_were_written(visitor: Visitor, dtype: type, channels: int) -> None:
    desks = visitor.handlers.services.desks
    layer = Layer(3, 5, blobs(20, 30, 1, dtype, channels), {"method": "ns", "area_px": 7})
    original = picture(blobs(HEIGHT, WIDTH, 0, dtype, channels - 1))
    back = read_layer(desks.write(SECRET, encode_layer(layer), "layer.png"), original)
    assert back.sha256 == layer.sha256 and back.made == layer.made
    found = Suggestion(("crack", "loss"), np.arange(2 * 5 * 7, dtype=np.uint8).reshape(2, 5, 7))
    again = read_proposal(desks.write(SECRET, encode_proposal(found), "damage.png"))
    assert again.classes == found.classes and np.array_equal(again.levels, found.levels)
    with pytest.raises(ImageError, match="was not made in this tab"):
        read_proposal(desks.write(SECRET, photo(), "photo.png"))


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"layers": ["../../etc/passwd"]}, "is no file's name"),
        ({"layers": ["a" * 64] * 101}, "over the limit of 100"),
        ({"note": "x" * 2001}, "over the limit of 2000"), ({"threshold": 2.0}, "outside 0.02..0.98"),
        ({"method": "magic"}, "is not one of"), ({"scale": "3"}, "is not one of"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        RestoreControls.from_dict(settings)


def test_orders_are_checked(visitor: Visitor) -> None:
    work = visitor.send(photo(), "wall.png")["id"]
    refused = {"burn": "no job named 'burn'", "fill": "nothing is marked", "save": "nothing has been filled"}
    for job, words in refused.items():
        with pytest.raises(SettingError, match=words):
            begin(visitor, job, work=work)
    with pytest.raises(SettingError, match="there is no picture"):
        begin(visitor, "suggest")
    with pytest.raises(SettingError, match="no lists of settings"):
        begin(visitor, "session", work=work)


def test_the_sample_is_damaged_and_the_same_every_time(visitor: Visitor) -> None:
    first, second = visitor.handlers.sample({}), visitor.handlers.sample({})
    assert first == second and opened(first["picture"]).shape == (480, 640, 3)


def test_a_zip_of_pictures_is_unpacked(visitor: Visitor) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as pack:
        pack.writestr("a.png", photo())
        pack.writestr("a-mask.png", mask())
    info = visitor.send(file.getvalue(), "scans.zip")
    assert info["kind"] == "zip" and [one["name"] for one in info["files"]] == ["a.png", "a-mask.png"]
    with pytest.raises(DataError):
        visitor.send(b"PK\x05\x06" + b"\0" * 18, "empty.zip")
    with pytest.raises(ImageError, match="session cannot be opened"):
        visitor.send(file.getvalue(), "scans" + SUFFIX)


def test_one_page_is_an_original(visitor: Visitor) -> None:
    work = visitor.send(photo(), "wall.png")["id"]
    assert open_original(kept(visitor, work)).size == (WIDTH, HEIGHT)


# ---- for scripts


def base64_of(file: bytes) -> str:
    return base64.b64encode(file).decode()


def test_scripts_get_a_filled_picture(visitor: Visitor) -> None:
    file = visitor.handlers.png(base64_of(photo()), "data:image/png;base64," + base64_of(mask()), {"method": "ns"})
    before, after = open_picture(photo()).pixels, open_picture(file).pixels
    changed = (before != after).any(axis=2)
    assert changed[HOLE].mean() > 0.9 and changed.sum() == changed[HOLE].sum()
    assert read(file).settings["layers"][0]["method"] == "ns"


def test_scripts_may_leave_the_damage_to_be_found(visitor: Visitor) -> None:
    dark = picture(np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    dark.pixels[HOLE] = 0
    after = open_picture(visitor.handlers.png(base64_of(encode(dark, "PNG")), "auto", {"threshold": 0.5})).pixels
    assert after[HOLE].min() > 100 and (after[:18] == 200).all()


@pytest.mark.parametrize(
    ("image", "where", "settings", "error"),
    [
        (None, "auto", {}, ImageError), ("§", "auto", {}, ImageError), (base64_of(photo()), "no", {}, ImageError),
        (base64_of(photo()), base64_of(mask(size=(9, 9))), {}, ImageError),
        (base64_of(photo()), base64_of(mask(np.s_[:])), {}, SettingError),
        (base64_of(photo()), base64_of(mask()), [], SettingError),
        (base64_of(photo()), base64_of(mask()), {"method": "magic"}, SettingError),
        (base64_of(photo()), base64_of(mask()), {"model": "../x"}, CapabilityError),
    ],
)
def test_scripts_get_sentences(
    visitor: Visitor, image: object, where: object, settings: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        visitor.handlers.png(image, where, settings)


def test_scripts_reach_no_file_of_a_page(visitor: Visitor) -> None:
    visitor.send(photo(), "wall.png")
    stranger = {"method": "ns", "layers": ["0" * 64], "network": "0" * 64, "work": "0" * 64}
    assert visitor.handlers.png(base64_of(photo()), base64_of(mask()), stranger)
