from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

import studio.engine
from studio.images import open_picture, save_picture
from studio.provenance import PARTLY_GENERATED, read
from studio.raster.labels import read_labels
from tests.picture_files import swapped_profile
from tests.tiny_restore import RepeatUpscaler, TinyEngine
from tests.tiny_style import blobs, picture


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> TinyEngine:
    engine = TinyEngine(upscale=RepeatUpscaler(2))
    monkeypatch.setattr(studio.engine, "Engine", lambda library, device: engine)
    return engine


@pytest.mark.parametrize(("name", "dtype"), [("a.png", np.uint16), ("a.tif", np.uint16), ("a.webp", np.uint8)])
def test_a_picture_in_its_own_kind(cli: Callable, networks: TinyEngine, name: str, dtype: type) -> None:
    photo = picture(blobs(20, 31, dtype=dtype), icc=swapped_profile(), dpi=(100, 100))
    save_picture(Path(name), photo, lossless=True)
    answer = cli("upscale", name, "--scale", 2, "--out", f"big-{name}")
    assert answer.code == 0, answer.err
    made = open_picture(f"big-{name}")
    assert np.array_equal(made.pixels, photo.pixels.repeat(2, axis=0).repeat(2, axis=1)) and made.icc == photo.icc
    if name != "a.webp":
        assert made.dpi == pytest.approx((200, 200), abs=0.02)
    facts = read(Path(f"big-{name}"))
    assert (facts.tool, facts.settings["scale"], facts.model_sha256) == ("upscale", 2.0, "ab" * 32)
    assert PARTLY_GENERATED.encode() in read_labels(Path(f"big-{name}")).xmp


def test_a_folder(cli: Callable, networks: TinyEngine) -> None:
    Path("in/deep").mkdir(parents=True)
    save_picture(Path("in/a.jpg"), picture(blobs(20, 30)))
    save_picture(Path("in/deep/b.png"), picture(blobs(25, 30)))
    answer = cli("upscale", "in", "--scale", 3, "--out", "out", "--json")
    assert sorted(answer.values["files"]) == ["out/a.png", "out/deep/b.png"]
    assert open_picture("out/deep/b.png").size == (90, 75)


def test_noise_is_taken_away(cli: Callable, networks: TinyEngine) -> None:
    pixels = np.random.default_rng(0).integers(80, 160, (40, 40, 3)).astype(np.uint8)
    save_picture(Path("noisy.png"), picture(pixels))
    assert cli("denoise", "noisy.png", "--strength", 1, "--out", "clean.png").code == 0
    clean = open_picture("clean.png").pixels
    assert clean.shape == pixels.shape and clean.std() < pixels.std() / 2
    assert read(Path("clean.png")).tool == "denoise"
    assert cli("denoise", "noisy.png", "--strength", 0, "--out", "same.png").code == 0
    assert np.array_equal(open_picture("same.png").pixels, pixels)


def test_a_network_of_the_community(cli: Callable) -> None:
    weights = Compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2).state_dict()
    save_file(weights, "realesr.safetensors", metadata={"license": "BSD-3-Clause"})
    save_picture(Path("a.png"), picture(blobs(20, 30)))
    answer = cli("upscale", "a.png", "--model", "realesr.safetensors", "--scale", 2, "--out", "big.png")
    assert answer.code == 0 and open_picture("big.png").size == (60, 40)
    facts = read(Path("big.png"))
    assert facts.model == "realesr" and facts.settings["licence"] == "BSD-3-Clause"
    assert "realesr: licence BSD-3-Clause" in answer.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("upscale", "a.png"), "no model named 'upscale'; installed: "),
        (("denoise", "a.png"), "no model named 'upscale'; installed: "),
        (("upscale", "a.png", "--scale", "9"), "scale=9.0 is outside 1..8 (how many times as wide and high)"),
        (("denoise", "a.png", "--strength", "2"), "strength=2.0 is outside 0..1 (how much noise is taken away)"),
    ],
)
def test_one_sentence(cli: Callable, words: tuple[str, ...], sentence: str) -> None:
    save_picture(Path("a.png"), picture(blobs(20, 30)))
    assert cli(*words, "--out", "out.png").error.startswith(sentence)
