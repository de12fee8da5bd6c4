from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from studio.biharmonic import biharmonic
from studio.checkpoint import ModelInfo, read_info, save_checkpoint
from studio.models.damage import CLASSES
from studio.models.inpaint import InpaintConfig, InpaintNetwork
from tests.train.conftest import call, png
from train import evaluate_restoration
from train.ageing import age
from train.data import is_held_out
from train.evaluate_restoration import draw_hole, enlarged, filled

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_restoration, "SIDE", 64)
    monkeypatch.setattr(evaluate_restoration, "LARGE_SIDE", 96)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(8):
        (folder / f"{i}.png").write_bytes(png(i, (12 + i, 12), "RGB"))
        with Image.open(folder / f"{i}.png") as image:
            image.resize((image.width * 8, image.height * 8), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


def picture(side: int = 64) -> Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


class Smooth:
    """An inpainter that knows no better."""

    multiple = 8

    def fill(self, pictures: Tensor, masks: Tensor) -> Tensor:
        return biharmonic(pictures, masks.bool()).clamp(-1, 1)


def test_what_fills_as_the_smooth_surface_is_as_good() -> None:
    figures = filled(Smooth(), picture(), 3, CPU)
    assert set(figures) == {f"{by}{kind}-PSNR" for by in ("", "biharmonic-") for kind in ("cracks", "losses", "boxes")}
    assert all(figures[f"{kind}-PSNR"] == figures[f"biharmonic-{kind}-PSNR"] for kind in ("cracks", "losses", "boxes"))
    assert figures["cracks-PSNR"] > figures["boxes-PSNR"], "less is hidden by a crack"


def test_the_same_number_draws_the_same_hole() -> None:
    draw = lambda number: draw_hole("craquelure", np.random.default_rng(number), 64)
    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2)) and 0 < draw(1).mean() < 0.55


class Bicubic:
    scale = 2

    def upscale(self, pictures: Tensor, strength: Tensor) -> Tensor:
        assert strength.tolist() == [0.0]
        return torch.nn.functional.interpolate(pictures, scale_factor=2, mode="bicubic").clamp(-1, 1)


def test_what_enlarges_plainly_is_as_good_as_bicubic() -> None:
    figures = enlarged(Bicubic(), picture(), 0, CPU)
    assert figures == {"x2-PSNR": figures["bicubic-x2-PSNR"], "bicubic-x2-PSNR": pytest.approx(40, abs=12)}


class Oracle(torch.nn.Module):
    """Sees the damage that `age` drew, by drawing it again."""

    classes = CLASSES

    def __init__(self, whole: list[Tensor], sure: float) -> None:
        super().__init__()
        self.whole, self.sure, self.seen = whole, sure, 0

    def detect(self, pictures: Tensor) -> Tensor:
        aged, truth = age(np.random.default_rng([0, self.seen]), (self.whole[self.seen][0].numpy() + 1) / 2)
        assert torch.equal(torch.from_numpy(aged)[None] * 2 - 1, pictures)
        self.seen += 1
        return torch.from_numpy(truth)[None].float() * self.sure


@pytest.mark.parametrize(("sure", "score"), [(0.6, 1.0), (0.4, 0.0)])
def test_what_is_found_counts_from_the_studios_threshold_on(sure: float, score: float) -> None:
    whole = [picture(96), picture(96).flip(3)]
    figures = evaluate_restoration._found(Oracle(whole, sure), whole, 0, CPU)
    there = age(np.random.default_rng([0, 0]), (whole[0][0].numpy() + 1) / 2)[1].any(axis=(1, 2))
    assert {figures[f"{name}-F1"] for name, drawn in zip(CLASSES, there) if drawn} == {score}


def test_by_the_command_onto_the_card(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = InpaintNetwork(InpaintConfig(widths=(4, 4, 8, 8), blocks=1, detail=4, detail_blocks=1))
    training = {
        "settings": {"holdout": 0.5}, "hours": 0.0, "machine": "a machine", "recipe": "inpaint", "images_per_s": 0.0,
    }
    info = ModelInfo("inpaint", network.config.to_dict(), "", title="tiny", training=training)
    model = save_checkpoint(tmp_path / "tiny", info, network, "# tiny\n")
    read: list[str] = []
    squares_of = evaluate_restoration.open_squares
    monkeypatch.setattr(
        evaluate_restoration, "open_squares", lambda *a, **k: read.extend((s := squares_of(*a, **k)).names) or s
    )
    said = call(capsys, "evaluate", model, "--data", pictures, "--samples", 6, "--save", "--device", "cpu")
    assert read and all(is_held_out(name, 0.5) for name in read)
    metrics = read_info(model).metrics
    assert metrics["cracks-PSNR"] == pytest.approx(metrics["biharmonic-cracks-PSNR"], abs=1), "it has learned nothing"
    assert "biharmonic-boxes-PSNR" in said and "--samples 6" in metrics["command"]
    assert "| cracks-PSNR |" in (model / "README.md").read_text()


def test_styles_are_for_style_models(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = InpaintNetwork(InpaintConfig(widths=(4, 4, 8, 8), blocks=1, detail=4, detail_blocks=1))
    model = save_checkpoint(tmp_path / "tiny", ModelInfo("inpaint", network.config.to_dict(), ""), network, "# tiny\n")
    assert "is for style models" in call(capsys, "evaluate", model, "--data", pictures, "--styles", pictures, code=2)
