from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from studio.checkpoint import ModelInfo, load_network, read_info, save_checkpoint
from studio.library import BUNDLED
from studio.models.damage import CLASSES, DamageConfig, DamageNetwork
from train.bundled import judgement, thresholds

TINY = DamageConfig(widths=(4, 4, 8))
TRAINING = {"settings": {"holdout": 0.01}, "hours": 1, "machine": "none"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((512, 512), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{i}.png")
    return tmp_path / "pictures"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    info = ModelInfo("damage", TINY.to_dict(), "", title="tiny", training=TRAINING)
    return save_checkpoint(tmp_path / "tiny", info, DamageNetwork(TINY), "# tiny\n")


def test_at_its_threshold_a_class_is_even() -> None:
    torch.manual_seed(0)
    network, x = DamageNetwork(TINY).eval(), torch.rand(1, 3, 32, 32) * 2 - 1
    answers = network.detect(x)
    for i, at in enumerate(values := (0.1, 0.5, 0.7, 0.9)):
        moved = DamageNetwork(TINY.replace(thresholds=values)).eval()
        moved.load_state_dict(network.state_dict())
        found = moved.detect(x)[:, i]
        assert torch.equal(found >= 0.5, answers[:, i] >= at) or (found - 0.5).abs().min() < 1e-5
        assert torch.allclose(found.logit(), answers[:, i].logit() - torch.tensor(at).logit(), atol=1e-4)


def test_it_finds_where_most_is_told_right(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An oracle that says 0.3 of all, 0.6 of what is near damage as well, and 0.8 of damage."""
    ages = thresholds.age

    def remembering(random: np.random.Generator, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        aged, monkeypatch.truth = ages(random, picture)
        return aged, monkeypatch.truth

    def detect(self: DamageNetwork, x: Tensor) -> Tensor:
        truth = torch.from_numpy(monkeypatch.truth)[None].float()
        near = torch.nn.functional.max_pool2d(truth, 31, 1, 15)
        return 0.3 + 0.3 * near + 0.2 * truth

    monkeypatch.setattr(thresholds, "age", remembering)
    monkeypatch.setattr(DamageNetwork, "detect", detect)
    monkeypatch.setattr("sys.argv", ["judgement", str(model), "--data", str(folder), "--pictures", "8", "--fitted", "0"])
    judgement.main()
    found = read_info(model).config["thresholds"]
    assert all(0.6 < at <= 0.8 for at in found) and len(found) == len(CLASSES)
    assert load_network(model).config.thresholds == tuple(found)
    assert capsys.readouterr().out.split()[::2] == list(CLASSES)


def test_what_it_cannot_use_gets_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["judgement", str(BUNDLED / "calligraphy"), "--data", str(folder)])
    with pytest.raises(SystemExit, match="2"):
        judgement.main()
    said = capsys.readouterr().err
    assert "is no damage detector" in said and said.count("\n") == 1
