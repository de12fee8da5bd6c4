import base64
import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import studio.explore
from studio.errors import ImageError, SettingError, UnknownName
from studio.explore import Explorer, ExploreSettings
from studio.latent.directions import Dials
from studio.library import Library
from studio.ui.handlers import explore as handlers_module
from studio.ui.handlers.explore import SEEDS, STEPS, ExploreHandlers
from studio.ui.services import Services

PAGE = "a" * 32


@pytest.fixture
def handlers(services: Services) -> ExploreHandlers:
    return ExploreHandlers(services)


def ask(n: int = 1, **settings: Any) -> dict[str, Any]:
    return {"page": PAGE, "n": n, "settings": {"model": "tiny", **settings}}


def opened(url: str, kind: str) -> Image.Image:
    head, body = url.split(",")
    assert head == f"data:image/{kind};base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def pixels(picture: torch.Tensor) -> np.ndarray:
    return ((picture[0].numpy() + 1) * 127.5).round()


def test_the_picture_is_that_of_the_settings(handlers: ExploreHandlers, services: Services) -> None:
    answer = handlers.draw(ask(seed=5, psi=1.0))
    shown = opened(answer["picture"], "jpeg")
    assert shown.size == (256, 256)  # 16 px, smoothed up
    small = np.asarray(shown.resize((16, 16), Image.Resampling.BOX), dtype=float)
    right = pixels(services.explorer.picture(ExploreSettings(model="tiny", seed=5, psi=1.0))[0])
    other = pixels(services.explorer.picture(ExploreSettings(model="tiny", seed=6, psi=1.0))[0])
    assert np.corrcoef(small.ravel(), right.ravel())[0, 1] > 0.98 > np.corrcoef(small.ravel(), other.ravel())[0, 1]


def test_others_are_drawn_while_dials_are_looked_for(
    handlers: ExploreHandlers, services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = []

    def find(G: Any, turn: Any) -> Dials:
        held.append(services.explorer.engine.held())
        return Dials(torch.ones(1, G.w_dim), torch.ones(1))

    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    monkeypatch.setattr(studio.explore, "find_dials", find)
    monkeypatch.setattr(services.explorer, "_dials", {})
    turned = handlers.draw(ask(dials=[1.0] + [0.0] * 7))
    assert held == [False] and turned["picture"] != handlers.draw(ask())["picture"]


def test_the_answer_says_where_the_time_went(handlers: ExploreHandlers) -> None:
    ms = handlers.draw(ask())["ms"]
    assert list(ms) == ["wait", "draw", "encode", "total"]
    assert all(v >= 0 for v in ms.values())
    assert ms["wait"] + ms["draw"] + ms["encode"] == pytest.approx(ms["total"], abs=0.05)


def overtaking(services: Services, handlers: ExploreHandlers, n: int) -> Services:
    """The same services, where request `n` of the page arrives while another waits for the device."""

    class Engine:
        info = services.explorer.engine.info

        @contextlib.contextmanager
        def use(self, name: str) -> Iterator[object]:
            handlers.newest.arrive(handlers_module.Request(PAGE, n, {}))
            with services.explorer.engine.use(name) as model:
                yield model

    return replace(services, explorer=Explorer(Engine()))


def test_an_overtaken_request_is_dropped(services: Services) -> None:
    handlers = ExploreHandlers(services)
    handlers.services = overtaking(services, handlers, n=8)
    assert handlers.draw(ask(n=7)) == {"stale": True}
    assert "picture" in handlers.draw(ask(n=8))


def test_a_sheet_gives_way_to_a_moving_picture(services: Services) -> None:
    handlers = ExploreHandlers(services)
    handlers.services = overtaking(services, handlers, n=8)
    assert handlers.grid(ask(n=7) | {"first": 0}) == {"stale": True}
    assert len(handlers.grid(ask(n=8) | {"first": 0})["cells"]) == SEEDS


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"psi": 9}, "psi=9.0 is outside -1..2"),
        ({"psi": "0.5"}, "psi='0.5' is not a number"),
        ({"psi": float("nan")}, "psi=nan is not a finite number"),
        ({"seed": None}, "seed is missing"),
        ({"seed": 2**32}, "seed=4294967296 is outside"),
        ({"dials": [0.0]}, "dials has 1 values"),
        ({"noise": "loud"}, "noise='loud' is not one of"),
        ({"sed": 1}, "no setting named 'sed'"),
    ],
)
def test_bad_values_are_named(handlers: ExploreHandlers, settings: dict[str, Any], sentence: str) -> None:
    for call in (handlers.draw, handlers.strip, handlers.save):
        with pytest.raises(SettingError, match=sentence):
            call(ask(**settings))


def test_a_page_cannot_name_a_folder(
    handlers: ExploreHandlers, save_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    elsewhere = save_tiny(tmp_path / "elsewhere")
    for name in (str(elsewhere), "../elsewhere", "", "."):
        for call in (handlers.draw, handlers.strip, handlers.save):
            with pytest.raises(UnknownName, match="installed: tiny, tiny-classes"):
                call(ask(model=name))


def test_the_strip_goes_from_one_end_to_the_other(handlers: ExploreHandlers) -> None:
    cells = handlers.strip(ask(seed=3, to_seed=9, walk=0.4))["cells"]
    assert [cell["patch"] for cell in cells] == [{"walk": round(i / (STEPS - 1), 2)} for i in range(STEPS)]
    assert cells[0]["picture"] == handlers.strip(ask(seed=3, to_seed=1))["cells"][0]["picture"]
    assert cells[-1]["picture"] == handlers.strip(ask(seed=9, to_seed=1))["cells"][0]["picture"]


def test_the_grid_shows_a_page_of_seeds_at_the_same_controls(handlers: ExploreHandlers) -> None:
    cells = handlers.grid(ask(seed=3, psi=1.0, walk=0.5) | {"first": 24})["cells"]
    assert [cell["caption"] for cell in cells] == [str(seed) for seed in range(24, 24 + SEEDS)]
    assert cells[2]["patch"] == {"seed": 26, "walk": 0.0}
    assert cells[2]["picture"] == handlers.strip(ask(seed=26, psi=1.0))["cells"][0]["picture"]


def test_the_last_page_of_seeds_is_shorter(handlers: ExploreHandlers) -> None:
    cells = handlers.grid(ask() | {"first": 2**32 - 4})["cells"]
    assert [cell["patch"]["seed"] for cell in cells] == [2**32 - 4 + i for i in range(4)]


@pytest.mark.parametrize("first", [-1, 2**32, 1.5, None, "0", True])
def test_a_page_of_seeds_that_does_not_exist(handlers: ExploreHandlers, first: object) -> None:
    with pytest.raises(SettingError, match="first="):
        handlers.grid(ask() | {"first": first})


def test_bookmarks_are_drawn_by_the_model_of_the_page(handlers: ExploreHandlers) -> None:
    wishes = ((5, "const"), (8, "none"), (2, "const"))
    bookmarks = [{"seed": seed, "psi": 1.0, "noise": noise} for seed, noise in wishes]
    cells = handlers.kept(ask(seed=9) | {"bookmarks": bookmarks})["cells"]
    assert [cell["caption"] for cell in cells] == ["5", "8", "2"]
    assert cells[2]["picture"] == handlers.strip(ask(seed=2, psi=1.0))["cells"][0]["picture"]
    assert handlers.kept(ask() | {"bookmarks": []}) == {"cells": []}
    assert len(handlers.kept(ask() | {"bookmarks": [{"model": "../x"}]})["cells"]) == 1  # the page's, whatever it says


@pytest.mark.parametrize(
    "bookmarks, sentence",
    [
        (None, "are a NoneType, not a list"), (["x"], "not a list of settings"),
        ([{}] * 25, "25 bookmarks are more than 24"),
    ],
)
def test_bookmarks_that_are_none(handlers: ExploreHandlers, bookmarks: object, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        handlers.kept(ask() | {"bookmarks": bookmarks})


def test_a_bookmark_that_cannot_be_drawn_leaves_the_others_theirs(
    handlers: ExploreHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = handlers.services.explorer.pictures

    def classes(many: list[ExploreSettings]) -> torch.Tensor:
        if many[0].label:
            raise SettingError(f"label={many[0].label} is outside 0..0")
        return pictures(many)

    monkeypatch.setattr(handlers.services.explorer, "pictures", classes)
    bookmarks = [{"psi": 9}, {"seed": 3}, {"seed": 4, "label": 2}, {"sead": 1}, {"seed": 5}]
    cells = handlers.kept(ask() | {"bookmarks": bookmarks})["cells"]
    assert [cell["caption"] for cell in cells] == ["–", "3", "–", "–", "5"]
    assert [bool(cell["picture"]) for cell in cells] == [False, True, False, False, True]
    says = [cell.get("says", "") for cell in cells]
    assert says[0].startswith("psi=9.0 is outside") and says[2] == "label=2 is outside 0..0" and "sead" in says[3]


def test_large_pictures_are_shrunk_for_a_sheet() -> None:
    checker = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(128, 128)[None, None]
    small = handlers_module.small(checker)
    assert small.shape == (1, 1, 128, 128)
    assert small.abs().max() == 0  # each pixel is the mean of four
    assert handlers_module.small(small) is small


def file_of(url: str) -> dict[str, str]:
    return {"file": url.split(",")[1]}


def test_a_saved_picture_brings_every_setting_back(handlers: ExploreHandlers, services: Services) -> None:
    settings = dict(model="tiny", seed=7, psi=0.9, noise="none", label=0, to_seed=4, walk=0.25, path="z", mix_seed=11)
    settings |= {"mix_coarse": 0.1, "mix_middle": 0.2, "mix_fine": 0.5, "dials": [0.1, -0.2, 0, 0, 0, 0, 0, 0.3]}
    saved = handlers.save(ask(**settings))
    assert saved["name"] == "tiny-seed7.png"
    picture = services.explorer.picture(ExploreSettings.from_dict(settings))
    assert np.array_equal(np.asarray(opened(saved["picture"], "png")), pixels(picture[0]))
    assert handlers.open(file_of(saved["picture"])) == {"settings": ExploreSettings.from_dict(settings).to_dict()}


def test_a_picture_from_elsewhere_has_no_settings(handlers: ExploreHandlers) -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")
    body = base64.b64encode(file.getvalue()).decode()
    assert handlers.open({"file": body}) == {"notice": "explore.no_settings"}


def test_a_picture_of_a_missing_model_changes_nothing(
    handlers: ExploreHandlers, save_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    save_tiny(tmp_path / "rare")
    rare = ExploreHandlers(Services.on(Library((tmp_path,)), "cpu")).save(ask(model="rare"))
    assert handlers.open(file_of(rare["picture"])) == {"notice": "explore.model_missing", "values": {"model": "rare"}}


def test_a_picture_of_another_version_is_restored_with_a_warning(
    handlers: ExploreHandlers, save_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    save_tiny(tmp_path / "tiny", seed=99)
    other = ExploreHandlers(Services.on(Library((tmp_path,)), "cpu")).save(ask(seed=3))
    answer = handlers.open(file_of(other["picture"]))
    assert answer["settings"]["seed"] == 3
    assert (answer["notice"], answer["values"]) == ("explore.model_differs", {"model": "tiny"})


@pytest.mark.parametrize("data", [None, {}, {"file": 3}, {"file": "§"}, {"file": ""}, {"file": "bm8gcGljdHVyZQ=="}])
def test_what_is_no_picture_is_said(handlers: ExploreHandlers, data: object) -> None:
    with pytest.raises(ImageError):
        handlers.open(data)


def test_a_file_that_is_too_large_is_not_decoded(handlers: ExploreHandlers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers_module, "MAX_FILE_BYTES", 3 << 20)
    with pytest.raises(ImageError, match="larger than 3 MiB"):
        handlers.open({"file": "A" * (5 << 20)})


def test_a_model_is_described(handlers: ExploreHandlers) -> None:
    found, classes = handlers.describe("tiny"), handlers.describe("tiny-classes")
    assert (found.classes, classes.classes, found.movable) == (0, 3, False)
    assert found.facts[:3] == ("tiny", "StyleGAN2", "16 px")
