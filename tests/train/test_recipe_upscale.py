from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from studio.checkpoint import load_network
from studio.errors import SettingError
from studio.runfolder import RunFolder
from tests.train.conftest import png
from train.export import export, restore
from train.loop import take_step
from train.recipes import Batch
from train.recipes.upscale import UpscaleRecipe, UpscaleSettings, pixel_loss
from train.run import build_recipe, resume, start

TINY = {
    "resolution": 48, "batch": 6, "width": 8, "blocks": 1, "d_widths": (4, 4, 8), "r1_gamma": 1.0, "r1_interval": 2,
}


@pytest.fixture(scope="module")
def pictures_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        (folder / f"{i}.png").write_bytes(png(i, (80, 64), "RGB"))
    return folder


@pytest.fixture
def build(pictures_folder: Path, accelerator: Accelerator) -> Callable[..., tuple[UpscaleRecipe, Batch]]:
    """build(**settings): a recipe at its beginning, and a batch of smooth pictures for it."""

    def make(**changes: object) -> tuple[UpscaleRecipe, Batch]:
        config = UpscaleSettings(**{**TINY, **changes})
        pictures = UpscaleRecipe.open_data(config, pictures_folder)
        recipe = build_recipe(UpscaleRecipe, config, pictures, accelerator.device)
        small = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
        return recipe, Batch(torch.nn.functional.interpolate(small, size=(64, 64), mode="bilinear"), torch.zeros(6))

    return make


def step(recipe: UpscaleRecipe, batch: Batch, number: int, accelerator: Accelerator) -> dict[str, float]:
    values = {}
    for phase in recipe.phases:
        if number % phase.interval == 0:
            values |= take_step(phase, recipe, [batch], accelerator)
    recipe.end_step(number, lambda t: t)
    return {name: float(value) for name, value in values.items()}


def test_two_steps_move_every_parameter(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build()
    learned = lambda: [(key, name, p) for key, net in recipe.networks.items() for name, p in net.named_parameters()]
    before = [p.detach().clone() for _, _, p in learned()]
    for number in range(2):
        values = step(recipe, batch, number, accelerator)
        assert {"loss_x1", "loss_x2", "loss_x4"} < set(values) and all(abs(value) < 1e6 for value in values.values())
    assert [(key, name) for (key, name, p), old in zip(learned(), before) if torch.equal(p, old)] == []
    assert recipe.shown == [] and recipe.kept == []


def test_half_precision_learns_too(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(precision="bf16")
    assert recipe.dtype == torch.bfloat16
    assert all(abs(value) < 1e6 for value in step(recipe, batch, 0, accelerator).values())


def test_a_network_that_only_cleans_makes_nothing_up(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(scales=(1,))
    assert set(step(recipe, batch, 0, accelerator)) == {"loss_G", "loss_pixel", "loss_x1"}


def test_what_has_no_weight_takes_no_time(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(adversarial_weight=0.0, perceptual_weight=0.0)
    assert set(step(recipe, batch, 0, accelerator)) == {"loss_G", "loss_pixel", "loss_x1", "loss_x2", "loss_x4"}


def test_learning_cleans(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(lr=0.005, scales=(1,), width=16, blocks=2)
    losses = []
    for _ in range(70):
        torch.manual_seed(0)  # the same crops and noise each time
        losses.append(float(take_step(recipe.phases[0], recipe, [batch], accelerator)["loss_x1"]))
    assert losses[-1] < 0.8 * losses[0]


def test_the_network_is_told_how_much_noise_there_is(build: Callable) -> None:
    recipe, _ = build()
    torch.manual_seed(0)
    worn, strength = recipe.wear(torch.zeros(64, 3, 24, 24), 1)
    sigma = worn.flatten(1).std(dim=1)
    assert 0 < (strength == 0).float().mean() < 0.4 and strength.max() <= 1
    assert torch.corrcoef(torch.stack([sigma, strength]))[0, 1] > 0.85
    assert sigma[strength == 0].max() < 0.02
    torch.manual_seed(0)
    assert torch.equal(recipe.wear(torch.zeros(64, 3, 24, 24), 2)[1], strength.square())


def test_samples_are_worn_made_and_whole(build: Callable) -> None:
    samples = build()[0].sample()
    assert samples.shape == (36, 3, 192, 192) and samples.abs().max() <= 1
    assert torch.equal(samples[3, :, ::2, ::2], samples[3, :, 1::2, 1::2])  # the second is worn at half the size


def test_the_pixel_loss_is_the_absolute_difference() -> None:
    made = torch.zeros(2, 3, 4, 4)
    made[1] = 0.5
    assert pixel_loss(made, torch.zeros(2, 3, 4, 4)).tolist() == pytest.approx([0.001, 0.500001])


def test_a_run_goes_on_exactly_and_is_exported(tmp_path: Path, pictures_folder: Path) -> None:
    """Four steps at once, and two, stopped, and two: the same weights; then a card."""
    config = UpscaleSettings(**TINY, kimg=0.024, tick_kimg=0.012)
    whole, halves = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "halves")
    start("upscale", config, pictures_folder, whole, "cpu", lambda line: None)
    start("upscale", config.replace(kimg=0.012), pictures_folder, halves, "cpu", lambda line: None)
    assert resume(halves, {"kimg": 0.024}, "cpu", lambda line: None).name == "done"
    mine, other = (restore(run)[0] for run in (whole, halves))
    for key, network in mine.networks.items():
        for name, value in network.state_dict().items():
            assert torch.equal(value, other.networks[key].state_dict()[name]), name

    folder = export(whole, tmp_path / "out", title="larger")
    assert load_network(folder).config.scales == (1, 2, 4)
    card = (folder / "README.md").read_text()
    assert "enlarges by x2, x4 and removes noise" in card and "upscale PICTURE --scale 4 --model larger" in card


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(SettingError, match="resolution=50 is no multiple of 4, as x4 needs; give 48"):
        UpscaleSettings(resolution=50)
    with pytest.raises(SettingError, match="batch=4 in 2 rounds is too few for 3 scales; give 6 or more"):
        UpscaleSettings(batch=4, accumulate=2)
