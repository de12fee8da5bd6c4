from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import studio.engine
from studio.images import open_picture, save_picture
from studio.provenance import PARTLY_GENERATED, read
from studio.raster.labels import read_labels
from tests.test_translate import Negative
from tests.tiny_restore import TinyEngine
from tests.tiny_style import blobs, picture


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> TinyEngine:
    engine = TinyEngine(negative=Negative())
    monkeypatch.setattr(studio.engine, "Engine", lambda library, device: engine)
    return engine


def test_a_picture(cli: Callable) -> None:
    save_picture(Path("a.png"), picture(blobs(20, 31)))
    answer = cli("translate", "negative", "a.png", "--out", "b.png", "--json")
    assert answer.code == 0, answer.err
    assert answer.values["files"] == ["b.png"] and answer.values["notes"] == ["negative: licence CC0-1.0"]
    assert np.array_equal(open_picture("b.png").pixels, 255 - open_picture("a.png").pixels)
    facts = read(Path("b.png"))
    assert (facts.tool, facts.settings["side"], facts.model_sha256) == ("translate", 1024, "ab" * 32)
    assert PARTLY_GENERATED.encode() in read_labels(Path("b.png")).xmp


def test_a_folder(cli: Callable) -> None:
    Path("in/deep").mkdir(parents=True)
    save_picture(Path("in/a.jpg"), picture(blobs(20, 30)))
    save_picture(Path("in/deep/b.png"), picture(blobs(25, 30)))
    answer = cli("translate", "negative", "in", "--side", 64, "--out", "out", "--json")
    assert sorted(answer.values["files"]) == ["out/a.png", "out/deep/b.png"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("monet", "a.png"), "no model named 'monet'"),
        (("negative", "nothing.png"), "nothing.png"),
        (("negative", "a.png", "--side", 9), "side=9"),
    ],
)
def test_what_cannot_be(cli: Callable, arguments: tuple, sentence: str) -> None:
    save_picture(Path("a.png"), picture(blobs(20, 30)))
    answer = cli("translate", *arguments, "--out", "b.png")
    assert answer.code == 2 and sentence in answer.err and answer.err.count("\n") <= 1 and not Path("b.png").exists()
