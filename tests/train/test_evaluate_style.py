import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from studio.checkpoint import ModelInfo, load_network, read_info, save_checkpoint
from studio.library import BUNDLED
from studio.models.style import StyleConfig, StyleNetwork
from studio.nn.features import Lite0
from tests.train.conftest import call, png
from train import evaluate_style
from train.data import is_held_out
from train.evaluate_style import draw_pairs, measure
from train.squares import open_squares
from train.style_metrics import Lite0Eye, VGGEye

SETTINGS = {"holdout": 0.5, "style_holdout": 0.5}
CPU = torch.device("cpu")
SIDE, STYLE_SIDE = 64, 128


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_style, "SIDE", SIDE)
    monkeypatch.setattr(evaluate_style, "STYLE_SIDE", STYLE_SIDE)


def fill(folder: Path, count: int, first: int) -> Path:
    """Pictures of blots, of `count` different kinds."""
    folder.mkdir()
    for i in range(count):
        (folder / f"{i}.png").write_bytes(png(first + i, (12 + 4 * i, 12), "RGB"))
        with Image.open(folder / f"{i}.png") as image:
            image.resize((image.width * 12, image.height * 12), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("a") / "photos", 6, 0)


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("b") / "paintings", 6, 10)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = StyleNetwork(StyleConfig(widths=(4, 4, 8, 8), blocks=1, experts=2))
    network.vgg = load_network(BUNDLED / "vgg")
    training = {"settings": SETTINGS, "hours": 0.0, "machine": "a machine", "recipe": "style", "images_per_s": 0.0}
    info = ModelInfo("style", network.config.to_dict(), "", title="tiny", training=training)
    return save_checkpoint(tmp_path_factory.mktemp("c") / "tiny", info, network, "# tiny\n")


def evaluate(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    return call(capsys, "evaluate", *words, "--device", "cpu", code=code)


def test_measures_a_style_model_beside_the_photo(capsys, model, photos, paintings):
    words = [model, "--data", photos, "--styles", paintings, "--samples", 8]
    result = json.loads(evaluate(capsys, *words, "--save", "--json"))
    names = [f"{eye}-{kind}" for eye in ("VGG", "Lite0") for kind in ("content", "gram", "mean-std")]
    names += ["Lite0-FID", "ArtFID-like"]
    assert list(result) == ["pairs", *names, *(f"photo-{name}" for name in names)]
    assert result["pairs"] == 8
    assert result["photo-VGG-content"] == result["photo-Lite0-content"] == 0
    assert result["photo-ArtFID-like"] == pytest.approx(1 + result["photo-Lite0-FID"])
    assert result["VGG-content"] > 0 and result["photo-VGG-gram"] > 0
    stored = read_info(model).metrics
    assert stored["VGG-gram"] == round(result["VGG-gram"], 5)
    words = "--data photos --styles paintings --samples 8 --seed 0"
    assert stored["command"] == f"python -m train evaluate {model} {words}"


def test_what_equals_the_paintings_has_their_style(photos, paintings):
    lite0 = Lite0(CPU)
    eyes = [VGGEye(load_network(BUNDLED / "vgg")), Lite0Eye(lite0)]
    data, looks = open_squares(photos, SIDE), open_squares(paintings, STYLE_SIDE)
    found = measure(lambda contents, styles: styles, draw_pairs(data, looks, 6, 0, CPU), eyes, lite0)
    zero = [name for name in found if name.endswith(("gram", "mean-std", "FID"))]
    assert len(zero) == 5 and all(found[name] == pytest.approx(0, abs=1e-3) for name in zero)
    assert found["VGG-content"] > 0.01
    assert found["ArtFID-like"] == pytest.approx(1 + found["VGG-content"], abs=1e-3)


def test_pairs_are_the_same_for_a_seed_and_go_round(photos, paintings):
    data, looks = open_squares(photos, SIDE), open_squares(paintings, STYLE_SIDE)
    draw = lambda seed: [torch.cat(part) for part in zip(*draw_pairs(data, looks, 7, seed, CPU))]
    one, same, other = draw(1), draw(1), draw(2)
    assert all(map(torch.equal, one, same))
    assert not torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])
    assert one[0].shape == one[1].shape == (7, 3, SIDE, SIDE)
    assert len({tuple(photo.flatten()[:50].tolist()) for photo in one[0]}) == min(len(data), 7)


def test_only_what_was_kept_from_training_is_measured(capsys, model, photos, paintings, tmp_path):
    kept = [name for name in (f"{i}.png" for i in range(6)) if is_held_out(name, 0.5)]
    assert 0 < len(kept) < 6
    alone = tmp_path / "kept"
    alone.mkdir()
    for name in kept:
        (alone / name).write_bytes((photos / name).read_bytes())
    results = [
        evaluate(capsys, model, "--data", folder, "--styles", paintings, "--samples", 6) for folder in (photos, alone)
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "styles is missing; give a folder or a zip of paintings with --styles"),
        (["--styles", "nowhere"], "there is no nowhere; give a folder or a zip of pictures"),
        (["--styles", "nowhere", "--samples", 5], "samples=5 is below 6, the fewest that can be compared"),
    ],
)
def test_what_is_missing_is_said(capsys, model, photos, words, says):
    assert evaluate(capsys, model, "--data", photos, *words, code=2) == says


def test_a_generator_has_no_use_for_styles(capsys, save_tiny, tmp_path, photos, paintings):
    folder = save_tiny(tmp_path / "tiny")
    said = evaluate(capsys, folder, "--data", photos, "--styles", paintings, code=2)
    assert said == f"styles={paintings} is for style models, and {folder} is none; leave --styles out"
