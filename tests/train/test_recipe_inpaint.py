import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from studio.checkpoint import load_network
from studio.errors import SettingError
from studio.models.inpaint import wide
from studio.nn.prefill import surface
from studio.runfolder import RunFolder
from tests.train.conftest import png
from train.export import export, restore
from train.loop import take_step
from train.recipes import Batch
from train.recipes.inpaint import InpaintRecipe, InpaintSettings
from train.restoration_metrics import psnr
from train.run import build_recipe, resume, start
from train.squares import random_crops

TINY = {
    "resolution": 32, "batch": 4, "widths": (4, 4, 8, 8), "blocks": 1, "d_widths": (4, 4, 8), "r1_gamma": 1.0,
    "r1_interval": 2,
}


@pytest.fixture(scope="module")
def pictures_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        (folder / f"{i}.png").write_bytes(png(i, (80, 64), "RGB"))
    return folder


@pytest.fixture
def build(pictures_folder: Path, accelerator: Accelerator) -> Callable[..., tuple[InpaintRecipe, Batch]]:
    """build(**settings): a recipe at its beginning, and a batch for it."""

    def make(**changes: object) -> tuple[InpaintRecipe, Batch]:
        config = InpaintSettings(**{**TINY, **changes})
        pictures = InpaintRecipe.open_data(config, pictures_folder)
        reals = pictures.load([0, 1, 2, 3]).float() / 127.5 - 1
        return build_recipe(InpaintRecipe, config, pictures, accelerator.device), Batch(reals, torch.zeros(4))

    return make


def step(recipe: InpaintRecipe, batch: Batch, number: int, accelerator: Accelerator) -> dict[str, float]:
    values = {}
    for phase in recipe.phases:
        if number % phase.interval == 0:
            values |= take_step(phase, recipe, [batch], accelerator)
    recipe.end_step(number, lambda t: t)
    return {name: float(value) for name, value in values.items()}


def test_two_steps_move_every_parameter_and_leave_the_vgg(
    build: Callable, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = torch.zeros(4, 1, 32, 32)
    boxes[:, :, 6:20, 10:28] = 1
    monkeypatch.setattr("train.recipes.inpaint.draw_masks", lambda *how: boxes)  # wide ones, for the body
    recipe, batch = build()
    learned = lambda: [(key, name, p) for key, net in recipe.networks.items() for name, p in net.named_parameters()]
    before, vgg = [p.detach().clone() for _, _, p in learned()], [b.clone() for b in recipe.vgg.buffers()]
    for number in range(2):
        values = step(recipe, batch, number, accelerator)
        assert all(abs(value) < 1e6 for value in values.values())
    assert [(key, name) for (key, name, p), old in zip(learned(), before) if torch.equal(p, old)] == []
    assert all(torch.equal(mine, old) for mine, old in zip(recipe.vgg.buffers(), vgg))
    assert recipe.shown == [] and recipe.kept == []


def test_half_precision_learns_too(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(precision="bf16", perceptual_full=True)
    assert recipe.dtype == torch.bfloat16
    assert all(abs(value) < 1e6 for value in step(recipe, batch, 0, accelerator).values())


@pytest.mark.parametrize("changes, missing", [
    ({"adversarial_weight": 0.0}, {"loss_D", "loss_adversarial", "loss_matching", "r1", "score_real", "score_fake"}),
    ({"perceptual_weight": 0.0}, {"loss_perceptual"}),
    ({"r1_gamma": 0.0}, {"r1"}),
])
def test_what_has_no_weight_takes_no_time(
    build: Callable, accelerator: Accelerator, changes: dict, missing: set
) -> None:
    recipe, batch = build()
    everything = step(recipe, batch, 0, accelerator)
    recipe, batch = build(**changes)
    assert set(everything) - set(step(recipe, batch, 0, accelerator)) == missing


def test_the_hole_term_is_the_distance_from_the_surface(build: Callable) -> None:
    """Before anything is learned; and the known pixels of a fill are those of the picture."""
    recipe, batch = build(hole_weight=1.0)
    G = recipe.networks["G"]
    for layer in (G.draw, G.details[-2]):
        layer.weight.data.zero_()
    torch.manual_seed(1)
    found = recipe.g_loss(batch)[1]["loss_hole"]
    reals, fills, masks = recipe.shown[0]
    assert torch.equal(torch.where(masks > 0, 0.0, fills), torch.where(masks > 0, 0.0, reals))
    apart = ((surface(reals, masks) - reals).abs() * masks).mean(dim=1).sum(dim=(1, 2)) / masks.sum(dim=(1, 2, 3))
    assert found.item() == pytest.approx(apart.mean().item(), rel=1e-4)


def test_psnr_counts_where_it_is_asked_for(build: Callable) -> None:
    recipe, batch = build(hole_weight=10.0, hole_squares=True)
    torch.manual_seed(1)
    found = recipe.g_loss(batch)[1]["loss_hole"].item()
    reals, fills, masks = recipe.shown[0]
    each = [psnr(fill[None], real[None], mask[None]) for fill, real, mask in zip(fills, reals, masks)]
    assert found == pytest.approx(-sum(each) / len(each), abs=0.1)


def test_cracks_teach_the_details_alone(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(holes="cracks", crops=2, adversarial_weight=0.0, perceptual_weight=0.0)
    G = recipe.networks["G"]
    before = {name: p.detach().clone() for name, p in G.named_parameters()}
    masks = recipe.draw_masks(8, 32)
    assert not wide(masks).any() and masks.any()
    step(recipe, batch, 0, accelerator)
    moved = {name.split(".")[0] for name, p in G.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"details"}


@pytest.mark.parametrize(("holes", "how"), [("cracks", {"reduction": 2, "kernel": "bicubic"}), ("all", {})])
def test_cracks_are_learned_where_pictures_are_sharp(
    build: Callable, monkeypatch: pytest.MonkeyPatch, holes: str, how: dict
) -> None:
    asked = []

    def crops(*given: object, **named: object) -> torch.Tensor:
        asked.append(named)
        return random_crops(*given, **named)

    monkeypatch.setattr("train.recipes.inpaint.random_crops", crops)
    recipe, batch = build(holes=holes, adversarial_weight=0.0, perceptual_weight=0.0)
    recipe.g_loss(batch)
    assert asked == [how]


def test_muon_teaches_cracks(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(
        holes="cracks", crops=2, adversarial_weight=0.0, perceptual_weight=0.0, optimizer="muon", detail=20
    )
    filters = recipe.networks["G"].details[2].first.weight
    before = filters.detach().clone()
    step(recipe, batch, 0, accelerator)
    # an orthogonal matrix of 20 x 180 has a root mean square of 1 over the root of 180
    moved = (filters.detach() - before).square().mean().sqrt().item()
    assert moved == pytest.approx(0.2 * recipe.config.lr, rel=0.3)


def test_wide_holes_teach_all_but_the_details(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(holes="wide", resolution=64, batch=8, crops=2)
    G = recipe.networks["G"]
    before = {name: p.detach().clone() for name, p in G.named_parameters()}
    assert wide(recipe.draw_masks(8, 64)).any()
    for number in range(2):
        step(recipe, batch, number, accelerator)
    moved = {name.split(".")[0] for name, p in G.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"body", "draw"}


def test_learning_lowers_the_loss(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(lr=0.005, adversarial_weight=0.0, perceptual_weight=0.0)
    losses = []
    for _ in range(40):
        torch.manual_seed(0)  # the same crops and masks each time
        losses.append(float(take_step(recipe.phases[0], recipe, [batch], accelerator)["loss_hole"]))
    assert losses[-1] < 0.9 * losses[0]


def test_d_learns_to_find_what_was_painted(build: Callable, accelerator: Accelerator) -> None:
    recipe, batch = build(d_lr=0.005, r1_gamma=0.0)
    scores = []
    for _ in range(30):
        torch.manual_seed(0)
        recipe.g_loss(batch)
        values = take_step(recipe.phases[1], recipe, [batch], accelerator)
        scores.append(float(values["score_real"] - values["score_fake"]))
    assert abs(scores[0]) < 0.2 and scores[-1] > 0.5


def test_d_is_asked_about_the_hole_alone(build: Callable) -> None:
    """Of the picture and of the fill, at the same places: what lies beside it is no matter."""
    recipe, _ = build()
    recipe.networks["D"].forward = lambda x: (x.amax(dim=1)[:, ::8, ::8], [])
    masks = torch.zeros(1, 1, 32, 32)
    masks[:, :, :8, :8] = 1
    reals, fills = torch.full([1, 3, 32, 32], 5.0), torch.full([1, 3, 32, 32], 5.0)
    reals[:, :, :8, :8], fills[:, :, :8, :8] = 2, -3
    recipe.shown.append((reals, fills, masks))
    loss, values = recipe.d_loss(None)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-2)) + math.log1p(math.exp(-3)), rel=1e-4)
    assert values["score_real"] == 2 and values["score_fake"] == -3


def test_r1_is_the_slope_of_the_mean_logit(build: Callable) -> None:
    """A D of one layer that is linear: its slope is its weights, spread over the patches."""
    recipe, batch = build(r1_gamma=2.0, r1_interval=3)
    slope = torch.randn(4, 3, 32, 32)
    recipe.networks["D"].forward = lambda x: ((x * slope).sum(dim=(1, 2, 3))[:, None, None].expand(-1, 4, 4), [])
    recipe.kept.append(batch.reals[:, :, :32, :32])
    loss, values = recipe.r1_loss(batch)
    expected = slope.square().sum(dim=(1, 2, 3)).mean().item()
    assert values["r1"].item() == pytest.approx(expected, rel=1e-4)
    assert loss.item() == pytest.approx(3 * expected, rel=1e-4)


def test_samples_are_damaged_filled_and_whole(build: Callable) -> None:
    samples = build()[0].sample().unflatten(0, (12, 3))
    damaged, filled, whole = samples.unbind(1)
    changed = (damaged != whole).any(dim=1)
    assert samples.shape == (12, 3, 3, 192, 192) and changed.flatten(1).any(dim=1).all()
    assert ((filled != whole).any(dim=1) <= changed).all() and not torch.equal(filled, damaged)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_run_goes_on_exactly_and_is_exported(tmp_path: Path, pictures_folder: Path, optimizer: str) -> None:
    """Four steps at once, and two, stopped, and two: the same weights; then a card."""
    config = InpaintSettings(
        **{**TINY, "d_lr": 0.001}, optimizer=optimizer, detail=20, kimg=0.016, tick_kimg=0.008
    )
    whole, halves = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "halves")
    start("inpaint", config, pictures_folder, whole, "cpu", lambda line: None)
    start("inpaint", config.replace(kimg=0.008), pictures_folder, halves, "cpu", lambda line: None)
    assert resume(halves, {"kimg": 0.016}, "cpu", lambda line: None).name == "done"
    mine, other = (restore(run)[0] for run in (whole, halves))
    for key, network in mine.networks.items():
        for name, value in network.state_dict().items():
            assert torch.equal(value, other.networks[key].state_dict()[name]), name

    folder = export(whole, tmp_path / "out", title="mender")
    network = load_network(folder)
    for name, value in mine.ema["G"].state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=2**-11, atol=1e-6)
    card = (folder / "README.md").read_text()
    assert "inpainting" in card and "restore PICTURE --mask MASK --model mender" in card


def test_a_run_begun_on_pixels_alone_gets_its_discriminator_later(tmp_path: Path, pictures_folder: Path) -> None:
    config = InpaintSettings(**TINY, kimg=0.008, tick_kimg=0.008, adversarial_weight=0.0, perceptual_weight=0.0)
    run = RunFolder(tmp_path / "run")
    start("inpaint", config, pictures_folder, run, "cpu", lambda line: None)
    before = restore(run)[0].networks["D"].state_dict()
    lines: list[dict] = []
    resume(run, {"kimg": 0.016, "adversarial_weight": 0.5, "perceptual_weight": 1.0}, "cpu", lines.append)
    assert {"loss_D", "loss_perceptual"} < set(lines[-1])
    after = restore(run)[0].networks["D"].state_dict()
    assert not any(torch.equal(value, after[name]) for name, value in before.items())


def test_sides_that_cannot_be_halved_three_times_are_refused() -> None:
    with pytest.raises(SettingError, match="resolution=100 is no multiple of 8; give 96"):
        InpaintSettings(resolution=100)
