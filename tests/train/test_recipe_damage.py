from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from studio.checkpoint import load_network
from studio.runfolder import RunFolder
from tests.train.conftest import png
from train.export import export, restore
from train.loop import take_step
from train.recipes import Batch
from train.recipes.damage import COLOURS, DamageRecipe, DamageSettings, paint_classes
from train.run import build_recipe, resume, start

TINY = {"resolution": 32, "batch": 4, "widths": (4, 8, 8)}


@pytest.fixture(scope="module")
def pictures_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        (folder / f"{i}.png").write_bytes(png(i, (80, 64), "RGB"))
    return folder


@pytest.fixture
def recipe(pictures_folder: Path, accelerator: Accelerator) -> DamageRecipe:
    config = DamageSettings(**TINY, lr=0.01)
    return build_recipe(DamageRecipe, config, DamageRecipe.open_data(config, pictures_folder), accelerator.device)


def test_two_steps_move_every_parameter(recipe: DamageRecipe, accelerator: Accelerator) -> None:
    before = {name: p.detach().clone() for name, p in recipe.networks["detector"].named_parameters()}
    for _ in range(2):
        values = take_step(recipe.phases[0], recipe, [Batch(torch.rand(4, 3, 64, 64), torch.zeros(4))], accelerator)
    assert {"f1_crack", "f1_loss", "f1_stain", "f1_fold"} < set(values) and all(v.isfinite() for v in values.values())
    after = dict(recipe.networks["detector"].named_parameters())
    assert [name for name, old in before.items() if torch.equal(after[name], old)] == []


def test_learning_finds_the_damage_of_a_grey_picture(recipe: DamageRecipe, accelerator: Accelerator) -> None:
    batch, losses, found = Batch(torch.full([4, 3, 64, 64], 0.3), torch.zeros(4)), [], []
    for _ in range(60):
        torch.manual_seed(0)  # the same damage each time
        values = take_step(recipe.phases[0], recipe, [batch], accelerator)
        losses.append(float(values["loss"]))
        found.append(float(values["f1_crack"]))
    assert losses[-1] < 0.5 * losses[0] and found[-1] > found[0] and found[-1] > 0.5


def test_samples_are_damage_labels_and_findings(recipe: DamageRecipe) -> None:
    samples = recipe.sample()
    assert samples.shape == (36, 3, 192, 192) and samples.abs().max() <= 1
    assert torch.equal(samples, recipe.sample())


def test_classes_are_painted_in_their_colours() -> None:
    shares = torch.zeros(1, 4, 2, 3)
    shares[0, 1, 0, 0], shares[0, 3, 1, 2] = 1, 1
    painted = paint_classes(torch.zeros(1, 3, 2, 3), shares)
    assert painted[0, :, 0, 0].tolist() == pytest.approx(COLOURS[1])
    assert painted[0, :, 1, 2].tolist() == pytest.approx(COLOURS[3])
    assert painted[0, :, 0, 1].tolist() == [-0.5] * 3


def test_a_run_goes_on_exactly_and_is_exported(tmp_path: Path, pictures_folder: Path) -> None:
    """Four steps at once, and two, stopped, and two: the same weights and running means; then a card."""
    config = DamageSettings(**TINY, kimg=0.016, tick_kimg=0.008)
    whole, halves = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "halves")
    start("damage", config, pictures_folder, whole, "cpu", lambda line: None)
    start("damage", config.replace(kimg=0.008), pictures_folder, halves, "cpu", lambda line: None)
    assert resume(halves, {"kimg": 0.016}, "cpu", lambda line: None).name == "done"
    mine, other = (restore(run)[0].networks["detector"].state_dict() for run in (whole, halves))
    assert [name for name in mine if not torch.equal(mine[name], other[name])] == []

    folder = export(whole, tmp_path / "out", title="finder")
    network = load_network(folder)
    pictures = torch.rand(1, 3, 40, 40) * 2 - 1
    with torch.no_grad():
        expected = restore(whole)[0].model()[2].eval().detect(pictures)
        assert torch.allclose(network.eval().detect(pictures), expected, atol=5e-3)
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: image-segmentation" in card and "--mask auto --detector finder" in card
