"""What all recipes of G against D share: the games, penalties, rates, and a state that resumes exactly."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from studio.capabilities import StyleGenerator
from studio.checkpoint import load_network
from studio.errors import SettingError
from studio.runfolder import RunFolder
from tests.train.conftest import SMALL, call
from tests.train.test_resume import same
from train import loop
from train.adversarial import AdversarialRecipe, AdversarialSettings, layers_of
from train.loop import take_step
from train.recipes import RECIPES, Batch

GAMES = [
    (name, game)
    for name in SMALL
    if issubclass(RECIPES.get(name).settings, AdversarialSettings)
    for game in RECIPES.get(name).settings.__dataclass_fields__["loss"].metadata["choices"]
]


def one_step(recipe: AdversarialRecipe, accelerator: Accelerator, number: int = 0) -> dict[str, float]:
    torch.manual_seed(number)
    side = recipe.config.resolution
    batch = Batch(torch.rand(4, 1, side, side) * 2 - 1, torch.arange(4) % 2)
    recipe.start_step(number * recipe.config.batch)
    values = {}
    for phase in recipe.phases:
        if number % phase.interval == 0:
            values |= take_step(phase, recipe, [batch], accelerator)
    recipe.end_step(number + 1, lambda t: t)
    return {name: float(value) for name, value in values.items()}


def weights(recipe: AdversarialRecipe, name: str) -> list[torch.Tensor]:
    return [p.detach().clone() for p in recipe.networks[name].parameters()]


@pytest.mark.parametrize(("name", "game"), GAMES)
def test_every_recipe_plays_every_game_that_fits(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], name: str, game: str
) -> None:
    """Two steps with classes from the command line; G and D have moved, and the export draws."""
    words = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL[name].items()]
    call(
        capsys, name, "--data", data, "--run", tmp_path / "r", "--device", "cpu", "--classes", "--loss", game, *words
    )
    lines = RunFolder(tmp_path / "r").progress()
    assert [line["step"] for line in lines] == [1, 2] and all(abs(line["loss_G"]) < 100 for line in lines)
    assert lines[0]["loss_G"] != lines[1]["loss_G"] and lines[0]["loss_D"] != lines[1]["loss_D"]
    assert ("gp" in lines[0]) == (game == "wasserstein-gp")
    call(capsys, "export", tmp_path / "r", "--out", tmp_path / "m", "--no-grid")
    G = load_network(tmp_path / "m")
    assert isinstance(G, StyleGenerator) and G.classes == 2
    z, one, other = torch.randn(2, 8), torch.tensor([[1.0, 0]] * 2), torch.tensor([[0, 1.0]] * 2)
    pictures = G.generate(z, one)
    assert pictures.shape == (2, 1, G.resolution, G.resolution) and pictures.isfinite().all()
    assert not torch.equal(pictures, G.generate(z, other)) and not torch.equal(pictures[0], pictures[1])


def test_the_games_are_six_or_seven_a_recipe() -> None:
    counts = {name: sum(1 for recipe, _ in GAMES if recipe == name) for name, _ in GAMES}
    assert counts == {"dcgan": 7, "fastgan": 6, "r3gan": 6, "stylegan2": 6, "vaegan": 6}


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize(
    "changes",
    [{}, {"classes": True, "schedule": "cosine", "clip_grad": 0.5}, {"optimizer": "sgd", "beta1": 0.5}],
    ids=["plain", "cosine", "sgd"],
)
def test_all_steps_are_some_and_the_rest(
    tmp_path: Path, run_to: Callable, monkeypatch: pytest.MonkeyPatch, name: str, changes: dict
) -> None:
    if "optimizer" in changes and name == "vae":
        pytest.skip("it has no choice of optimisers")
    whole = run_to(name, tmp_path / "whole", kimg=0.012, **changes)
    save = loop.save_state

    def save_and_stop(run: RunFolder, *words: object) -> Path:
        run.request_stop()
        return save(run, *words)

    parts = RunFolder(tmp_path / "parts")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_stop)
        run_to(name, parts.path, kimg=0.012, **changes)
    assert parts.kimg() == 0.004
    parts.clear_requests()
    torch.manual_seed(12345)  # whatever happened in between
    rest = run_to(name, parts.path, kimg=0.012, **changes)
    same(tmp_path / "whole/state/0000.012", parts.path / "state/0000.012")
    assert torch.equal(whole.sample(), rest.sample())


def test_each_network_has_its_rate_and_g_waits(make: Callable, accelerator: Accelerator) -> None:
    recipe = make("dcgan", lr=0.01, d_lr=0.02, schedule="cosine", kimg=0.016, g_wait_kimg=0.005)
    rates = lambda: [recipe.optimizers[name].param_groups[0]["lr"] for name in "GD"]
    before = weights(recipe, "G")
    one_step(recipe, accelerator)
    assert rates() == [0.0, 0.02]
    assert all(torch.equal(a, b) for a, b in zip(before, weights(recipe, "G")))
    one_step(recipe, accelerator, 2)
    assert rates() == pytest.approx([0.005, 0.01])
    assert not any(torch.equal(a, b) for a, b in zip(before, weights(recipe, "G")))


def test_a_constant_rate_is_left_alone(make: Callable) -> None:
    recipe = make("dcgan")
    recipe.optimizers["G"].param_groups[0]["lr"] = 0.5
    recipe.start_step(4)
    assert recipe.optimizers["G"].param_groups[0]["lr"] == 0.5


def test_gradients_are_shortened(make: Callable, accelerator: Accelerator) -> None:
    """By SGD without momentum at a rate of 0.1 a network moves by a tenth of the longest gradient."""
    recipe = make("stylegan2", optimizer="sgd", beta1=0.0, lr=0.1, r1_gamma=0.0, clip_grad=1e-3)
    before = weights(recipe, "D")
    one_step(recipe, accelerator)
    moved = torch.stack([(a - b).square().sum() for a, b in zip(before, weights(recipe, "D"))]).sum().sqrt()
    assert moved.item() == pytest.approx(1e-4, rel=0.02)


def test_clipped_weights_stay_in_their_box(make: Callable, accelerator: Accelerator) -> None:
    recipe = make("dcgan", loss="wasserstein-clip", lr=0.05)
    one_step(recipe, accelerator)
    assert max(p.abs().max() for p in recipe.networks["D"].parameters()).item() == pytest.approx(0.01)
    assert max(p.abs().max() for p in recipe.networks["G"].parameters()) > 0.05


def test_which_penalty_goes_with_which_game(make: Callable) -> None:
    settings = RECIPES.get("stylegan2").settings
    assert settings(loss="wasserstein-gp").gamma() == 0 and settings(loss="wasserstein-gp").slope_weight() == 10
    assert settings(loss="wasserstein-gp", gp_weight=2.0, r1_gamma=3.0).slope_weight() == 2
    assert settings(loss="wasserstein-gp", r1_gamma=3.0).gamma() == 3 and settings().slope_weight() == 0
    assert [p.name for p in make("dcgan").phases] == ["G", "D"]
    assert [p.name for p in make("dcgan", loss="wasserstein-gp").phases] == ["G", "D", "D R1"]


def test_penalties_have_their_weights(make: Callable) -> None:
    recipe = make("stylegan2", r1_gamma=3.0, r2=True, gp_weight=5.0, augment="none")
    recipe.fakes = [torch.rand(4, 1, 16, 16)]
    total, values = recipe.penalties(Batch(torch.rand(4, 1, 16, 16), torch.zeros(4, dtype=torch.long)), 7)
    wanted = 7 * (1.5 * (values["r1"] + values["r2"]) + 5 * values["gp"])
    assert total.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_frozen_layers_stay(make: Callable, accelerator: Accelerator, tmp_path: Path) -> None:
    recipe = make("stylegan2", freeze_d=2, init=str(tmp_path))
    layers = list(layers_of(recipe.networks["D"]))
    before = [[p.detach().clone() for p in layer.parameters()] for layer in layers]
    for number in range(2):
        one_step(recipe, accelerator, number)
    still = [all(torch.equal(a, b) for a, b in zip(old, layer.parameters())) for old, layer in zip(before, layers)]
    assert still == [True, True, False]


def test_freezing_all_or_what_was_never_trained(make: Callable, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="freeze_d=3 leaves none of D's 3 layers to learn; give 2 or fewer"):
        make("stylegan2", freeze_d=3, init=str(tmp_path))
    with pytest.raises(
        SettingError, match="freeze_d=1 keeps layers of a D that was trained; give its run with --init"
    ):
        make("stylegan2", freeze_d=1)


def test_a_list_of_layers_counts_as_many() -> None:
    network = nn.Sequential(nn.ModuleList([nn.Linear(1, 1), nn.ReLU()]), nn.Linear(1, 2))
    assert [type(layer).__name__ for layer in layers_of(network)] == ["Linear", "ReLU", "Linear"]
