"""A run is watched: eight Gaussians that collapse and that do not, copies, the best snapshot, an early end."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from studio.errors import ImageError
from studio.runfolder import RunFolder
from tests.train.conftest import exit_of
from tests.train.toy import Points, ToyRecipe, ToySettings, ring, ring_pictures
from train import watch as module
from train.data import Pictures
from train.health import HealthConfig
from train.loop import print_line, train
from train.watch import Watch

GOOD = {"lr": 0.01, "d_lr": 0.01}
BAD = {"lr": 0.05, "d_lr": 0.001}  # G runs away from a D that does not keep up


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def watching(run: RunFolder, pictures: Pictures, **health: int) -> Watch:
    config = HealthConfig(**{"measure_ticks": 1, **health})
    watch = Watch(config, pictures, run, torch.device("cpu"), "non-saturating", Points())
    watch.keep_best = lambda: run.append_progress({"warning": "best", "message": "", "step": 0, "kimg": 0.0})
    return watch


def train_ring(run: RunFolder, accelerator: Accelerator, kimg: float = 20, **settings: float) -> list[dict]:
    values = {
        "batch": 64,
        "tick_kimg": 4,
        "ema_kimg": 0.5,
        "sample_ticks": 1000,
        "loss": "non-saturating",
        "r1_gamma": 0,
    }
    config, pictures = ToySettings(kimg=kimg, **values, **settings), ring_pictures()
    said: list[dict] = []
    train(ToyRecipe(config), config, pictures, run, accelerator, said.append, watch=watching(run, pictures))
    return said


def test_a_collapse_is_told(folder: RunFolder, accelerator: Accelerator) -> None:
    said = train_ring(folder, accelerator, **BAD)
    warned = [line for line in said if "warning" in line]
    assert [line["warning"] for line in warned] == ["collapse"]  # once, though it lasts
    assert warned[0]["step"] > 64 and "diversity" in warned[0]["message"]
    assert [line for line in folder.warnings() if line["warning"] == "collapse"] == warned
    assert folder.progress()[-1]["diversity"] < 0.25


def test_a_good_training_is_not_disturbed(folder: RunFolder, accelerator: Accelerator) -> None:
    said = train_ring(folder, accelerator, **GOOD)
    assert [line for line in said if "warning" in line] == []
    last = folder.progress()[-1]
    assert last["diversity"] > 0.9 and last["copies"] < 0.2 and last["Points-recall"] > 0.8
    assert last["Points-KID"] < folder.progress()[0]["Points-KID"]


class Copycat(torch.nn.Module):
    """Draws training points, exactly."""

    z_dim, classes, resolution, channels = 4, 0, 2, 1

    def __init__(self, pictures: Pictures) -> None:
        super().__init__()
        self.pictures = pictures

    def generate(self, z: torch.Tensor, c: object = None, psi: float = 1.0) -> torch.Tensor:
        return (
            self.pictures.load((z[:, 0].abs() * 997).long().remainder(len(self.pictures)).tolist()).float() / 127.5
            - 1
        )


class Model:
    """A recipe as far as it is watched."""

    def __init__(self, model: object) -> None:
        self.model = lambda: ("", None, model)


def test_a_model_that_knows_its_pictures_by_heart_is_told_and_shown(folder: RunFolder) -> None:
    pictures = ring_pictures(512)
    watch = watching(folder, pictures, measure_samples=128)
    lines, warned = [], []
    for tick in (1, 2):
        lines.append(
            {
                "tick": tick,
                "step": tick,
                "kimg": 2.0 * tick,
                **watch.measure(Model(Copycat(pictures)), tick, 2.0 * tick),
            }
        )
        warned += watch.warnings(lines[-1])
    assert [line["copies"] for line in lines] == [1.0, 1.0]
    assert [w.kind for w in warned] == ["memorisation"] and "100% of the samples" in warned[0].message
    with Image.open(folder.path / "nearest.jpg") as shown:
        assert shown.size == (16, 2)  # eight pairs of 2 x 1 px
        pixels = torch.tensor(list(shown.convert("L").tobytes())).view(2, 16)
    assert (pixels[0] - pixels[1]).abs().max() <= 40 < (pixels[0] - pixels[1].roll(2)).abs().max()  # JPEG smears


def test_real_points_of_another_draw_are_no_copies(folder: RunFolder) -> None:
    """A perfect model: by chance, a fifth of its points are as near as that to a training point in the plane."""
    pictures = ring_pictures(512)
    others = ring(512, seed=7).view(-1, 1, 1, 2)

    class Perfect(Copycat):
        def generate(self, z: torch.Tensor, c: object = None, psi: float = 1.0) -> torch.Tensor:
            return others[(z[:, 0].abs() * 997).long().remainder(512)]

    values = watching(folder, pictures).measure(Model(Perfect(pictures)), 1, 2.0)
    assert 0.05 < values["copies"] < 0.35 and values["diversity"] == pytest.approx(1.0, abs=0.05)


def test_when_it_is_due(folder: RunFolder) -> None:
    pictures = ring_pictures(64)
    recipe, measure = Model(Copycat(pictures)), lambda ticks, tick, kimg: bool(
        watching(folder, pictures, measure_ticks=ticks, measure_samples=16).measure(recipe, tick, kimg)
    )
    assert measure(5, 10, 2.0) and not measure(5, 11, 2.0) and not measure(0, 10, 2.0) and not measure(5, 10, 0.9)
    assert watching(folder, pictures).measure(Model(object()), 1, 2.0) == {}  # a model that does not draw from noise


def distances(run: RunFolder, *values: float, patience: int = 0) -> Watch:
    watch = watching(run, ring_pictures(64), patience=patience)
    for tick, value in enumerate(values, 1):
        watch.warnings({"tick": tick, "step": tick, "kimg": float(tick), "diversity": 1.0, "Lite0-KID": value})
    return watch


def test_the_best_is_the_lowest(folder: RunFolder) -> None:
    assert distances(folder, 0.3).is_best(1) and distances(folder, 0.3, 0.2).is_best(2)
    assert not distances(folder, 0.3, 0.2).is_best(3)  # a tick without a measurement
    assert not distances(folder, 0.2, 0.3).is_best(2) and not distances(folder, 0.2, 0.2).is_best(2)
    assert not distances(folder).is_best(1)


def test_enough_is_when_nothing_gets_better(folder: RunFolder) -> None:
    assert distances(folder, 0.3, 0.2, 0.25, 0.21, patience=2).enough()
    assert not distances(folder, 0.3, 0.2, 0.25, patience=2).enough()
    assert not distances(folder, 0.3, 0.2, 0.25, 0.1, patience=2).enough()
    assert not distances(folder, 0.3, 0.4, 0.5, 0.6).enough() and not distances(folder, patience=2).enough()


def test_a_resumed_run_remembers_its_measurements(folder: RunFolder) -> None:
    for tick, value in enumerate((0.3, 0.1, 0.2), 1):
        line = {"tick": tick, "step": tick, "kimg": float(tick), "diversity": 1.0, "copies": 0.0, "Lite0-KID": value}
        folder.append_progress(line)
    watch = watching(folder, ring_pictures(64), patience=2)
    assert not watch.enough() and not watch.is_best(3)
    watch.warnings({"tick": 4, "step": 4, "kimg": 4.0, "diversity": 1.0, "Lite0-KID": 0.15})
    assert watch.enough() and not watch.is_best(4)


def test_a_run_that_had_enough_and_goes_on_has_as_long_again(folder: RunFolder) -> None:
    for tick, value in enumerate((0.3, 0.1, 0.2, 0.2), 1):
        line = {"tick": tick, "step": tick, "kimg": float(tick), "diversity": 1.0, "copies": 0.0, "Lite0-KID": value}
        folder.append_progress(line)
    watch = watching(folder, ring_pictures(64), patience=2)
    for tick, value, enough in ((5, 0.2, False), (6, 0.2, True), (7, 0.05, False), (8, 0.2, False), (9, 0.2, True)):
        watch.warnings({"tick": tick, "step": tick, "kimg": float(tick), "diversity": 1.0, "Lite0-KID": value})
        assert watch.enough() == enough


def test_early_end(folder: RunFolder, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Watch, "enough", lambda self: len(self._measured) == 2)
    said = train_ring(folder, accelerator, **GOOD)
    assert len([line for line in said if "tick" in line]) == 2
    assert exit_of(folder.path) == {
        "outcome": "done",
        "kimg": 7.936,
        "message": "done at 7.936 kimg: it has stopped getting better, and best/ has the best",
    }
    assert folder.kimg() == 7.936


def test_a_measurement_that_fails_is_told_once_and_ends_nothing(
    folder: RunFolder, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: object) -> None:
        raise ImageError("0.png cannot be read (gone)")

    monkeypatch.setattr(module, "real_features", gone)
    said = train_ring(folder, accelerator, kimg=12, **GOOD)
    assert [line["message"] for line in said if "warning" in line] == [
        "the samples could not be measured: 0.png cannot be read (gone)"
    ]
    assert len(folder.progress()) == 4 and exit_of(folder.path)["outcome"] == "done"


def test_a_warning_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_line({"warning": "collapse", "message": "all alike", "step": 1, "kimg": 0.1}, 10, as_json=False)
    assert capsys.readouterr().out == "warning: all alike\n"
