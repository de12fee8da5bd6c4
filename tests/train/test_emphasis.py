import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.checkpoint import load_network
from studio.images import to_tensor
from studio.library import BUNDLED
from studio.presets import PHOTOS, STYLES, photo_path, style_path
from train.bundled import emphasis
from train.data import is_held_out
from train.style_metrics import VGGEye, Wanted


def test_it_finds_what_brings_the_style_nearest() -> None:
    wanted = (1, 0.8, 1.5625, 1, 1.25)
    away = lambda told: sum(math.log(a / b) ** 2 for a, b in zip(told, wanted))
    assert emphasis.search(lambda told: (away(told), 1.0)) == pytest.approx(wanted, abs=0.001)


def test_it_leaves_the_photo_recognisable() -> None:
    # the louder, the nearer to the style, and the farther from the photo
    found = emphasis.search(lambda told: (1 / math.prod(told), 1 + 0.015 * (math.prod(told) - 1)))
    assert 1 < math.prod(found) <= 1 + 0.02 / 0.015


def test_it_judges_by_what_is_painted(capsys: pytest.CaptureFixture[str]) -> None:
    paths = photo_path(PHOTOS[0]), style_path(STYLES[0])
    photo, style = (Image.open(path).convert("RGB").resize((96, 64)) for path in paths)
    eye = VGGEye(load_network(BUNDLED / "vgg"))
    pair = emphasis.Pair(
        emphasis.picture(photo), emphasis.picture(style), Wanted.of(eye, to_tensor(photo), to_tensor(style))
    )
    as_told, untold = (emphasis.judge(BUNDLED / "style", eye, [pair], (factor,) * 5) for factor in (1.0, 0.0))
    assert as_told[0] < untold[0], "told nothing of the style, it is farther from it"
    assert capsys.readouterr().out.count("mean-std") == 2


def test_no_held_out_picture_has_a_say(tmp_path: Path) -> None:
    for i in range(20):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    everything, most = (emphasis.trained_on(tmp_path, share) for share in (0.0, 0.5))
    assert len(everything) == 20 and 2 < len(most) < 18
    assert {np.asarray(one()).max() for one in most} < {np.asarray(one()).max() for one in everything}


@pytest.mark.parametrize(
    ("model", "photos", "sentence"),
    [
        ("calligraphy", "some", "is a model of the kind 'stylegan2', not 'style'"),
        ("style", "held-out", "holds no picture that was trained on"),
    ],
)
def test_what_it_cannot_use_gets_one_sentence(
    model: str, photos: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    held_out = next(f"{i}.png" for i in range(1000) if is_held_out(f"{i}.png", 0.1))
    for folder, name in (("some", "a.png"), ("held-out", held_out)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (64, 64)).save(tmp_path / folder / name)
    arguments = [str(BUNDLED / model), "--data", str(tmp_path / photos), "--styles", str(tmp_path / "some")]
    monkeypatch.setattr("sys.argv", ["emphasis", *arguments])
    with pytest.raises(SystemExit, match="2"):
        emphasis.main()
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
