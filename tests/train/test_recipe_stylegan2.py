from collections.abc import Callable

import pytest
import torch
from accelerate import Accelerator

from studio.errors import SettingError
from train.loop import take_step
from train.recipes import Batch
from train.recipes.stylegan2 import StyleGAN2Recipe, StyleGAN2Settings


def step(recipe: StyleGAN2Recipe, accelerator: Accelerator, number: int) -> dict[str, float]:
    torch.manual_seed(number)
    batch = Batch(torch.rand(4, 1, 32, 32) * 2 - 1, torch.arange(4) % 2)
    values = {}
    for phase in recipe.phases:
        values |= take_step(phase, recipe, [batch], accelerator)
    recipe.end_step(number + 1, lambda t: t)
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": "none"},
        {"augment": "diff", "loss": "relativistic", "r2": True},
        {"augment": "ada", "classes": True, "pl_weight": 2.0},
    ],
    ids=["plain", "relativistic", "classes"],
)
def test_two_steps_move_every_parameter(build: Callable, accelerator: Accelerator, changes: dict) -> None:
    recipe, _, _ = build(**changes)
    recipe.strength.p = 0.5
    before = {f"{n}.{k}": p.detach().clone() for n, net in recipe.networks.items() for k, p in net.named_parameters()}
    for number in range(2):
        values = step(recipe, accelerator, number)
        assert all(value == value and abs(value) < 1e4 for value in values.values()), values
    after = {f"{n}.{k}": p for n, net in recipe.networks.items() for k, p in net.named_parameters()}
    still = [name for name, p in after.items() if torch.equal(p, before[name])]
    # relativistic losses see differences of logits only, and the last bias is in both
    assert still == (["D.b4.out.bias"] if recipe.loss.relative else [])
    assert any("noise_strength" in name for name in after)
    assert all(p.isfinite().all() for p in after.values())


def test_what_each_choice_reports(build: Callable, accelerator: Accelerator) -> None:
    plain = {"loss_G", "loss_D", "score_real", "score_fake", "r1"}
    assert set(step(build(augment="none")[0], accelerator, 0)) == plain
    rich, _, _ = build(augment="ada", pl_weight=2.0, r2=True)
    assert set(step(rich, accelerator, 0)) == plain | {"path_length", "r2"}
    assert set(rich.scalars()) == {"pl_mean", "ada_p", "ada_rt", "ada_signs", "ada_seen"}
    assert build(augment="none")[0].scalars() == {}


def test_a_phase_touches_its_own_network_only(build: Callable, accelerator: Accelerator) -> None:
    recipe, _, _ = build(augment="none")
    batch = Batch(torch.zeros(4, 1, 32, 32), torch.zeros(4, dtype=torch.long))
    for phase in recipe.phases:
        other = {"G": "D", "D": "G"}[phase.network]
        before = [p.detach().clone() for p in recipe.networks[other].parameters()]
        take_step(phase, recipe, [batch], accelerator)
        assert all(torch.equal(a, b) for a, b in zip(before, recipe.networks[other].parameters())), phase.name


def test_regularisation_is_lazy_and_adam_is_slowed_to_match(build: Callable) -> None:
    recipe, _, _ = build(pl_weight=2.0, pl_interval=4, r1_interval=16, lr=0.01, d_lr=0.02)
    assert [(p.name, p.interval) for p in recipe.phases] == [("G", 1), ("G path length", 4), ("D", 1), ("D R1", 16)]
    G, D = (recipe.optimizers[name].param_groups[0] for name in "GD")
    assert G["lr"] == pytest.approx(0.01 * 4 / 5) and G["betas"] == (0.0, pytest.approx(0.99 ** (4 / 5)))
    assert D["lr"] == pytest.approx(0.02 * 16 / 17) and D["betas"] == (0.0, pytest.approx(0.99 ** (16 / 17)))
    free, _, _ = build(r1_gamma=0.0, lr=0.01)
    assert [p.name for p in free.phases] == ["G", "D"]
    assert free.optimizers["D"].param_groups[0]["lr"] == 0.01


def test_r1_has_its_weight(build: Callable) -> None:
    """gamma / 2 |grad|^2, times the interval at which it is taken."""
    recipe, _, _ = build(augment="none", r1_gamma=3.0, r1_interval=8)
    loss, values = recipe.r1_loss(Batch(torch.rand(4, 1, 32, 32), torch.zeros(4, dtype=torch.long)))
    assert loss.item() == pytest.approx(values["r1"].item() * 3 / 2 * 8)


def test_gamma_is_chosen_by_size_and_batch() -> None:
    assert StyleGAN2Settings(resolution=256, batch=32).gamma() == pytest.approx(0.0002 * 256**2 / 32)
    assert StyleGAN2Settings(r1_gamma=7.0).gamma() == 7.0


def test_discriminator_learns_from_the_very_fakes_of_its_step(build: Callable) -> None:
    recipe, _, _ = build(augment="none")
    batch = Batch(torch.zeros(2, 1, 32, 32), torch.zeros(2, dtype=torch.long))
    for _ in range(2):
        recipe.g_loss(batch)
    first, second = list(recipe.fakes)
    seen = []
    recipe.discriminate = lambda pictures, c: seen.append(pictures) or pictures.mean(dim=(1, 2, 3))
    recipe.d_loss(batch)
    recipe.d_loss(batch)
    assert seen[0] is first and seen[2] is second and not first.requires_grad


def test_styles_are_mixed_in_their_share(build: Callable) -> None:
    recipe, _, _ = build(style_mixing=0.25)
    torch.manual_seed(0)
    ws = recipe.draw_ws(2000, None)
    mixed = (ws != ws[:, :1]).any(dim=2).any(dim=1)
    assert abs(mixed.float().mean().item() - 0.25) < 5 * (0.25 * 0.75 / 2000) ** 0.5
    assert (ws[mixed][:, 0] != ws[mixed][:, -1]).any(dim=1).all()  # an early style, then a late one
    pure = build(style_mixing=0.0)[0].draw_ws(10, None)
    assert torch.equal(pure, pure[:, :1].expand_as(pure))


def test_mean_style_moves_by_its_share(build: Callable) -> None:
    recipe, _, _ = build(style_mixing=0.0)
    ws = recipe.draw_ws(16, None)
    assert torch.allclose(recipe.networks["G"].w_avg, 0.002 * ws[:, 0].mean(dim=0), atol=1e-7)


def test_strength_follows_the_discriminator(build: Callable) -> None:
    recipe, _, _ = build(augment="ada", ada_kimg=1.0)
    for number in range(1, 5):
        recipe.strength.observe(torch.ones(4))
        recipe.end_step(number, lambda t: t)
    assert recipe.scalars()["ada_p"] == pytest.approx(16 / 1000)


def test_path_length_means_are_shared_between_processes(build: Callable) -> None:
    recipe, _, _ = build(pl_weight=2.0, augment="none")
    recipe.pl_mean = torch.tensor(4.0)
    recipe.end_step(1, lambda t: t / 2)
    assert recipe.scalars() == {"pl_mean": 2.0}


def test_samples_are_fixed(build: Callable) -> None:
    recipe, _, _ = build(classes=True)
    one = recipe.sample()
    torch.manual_seed(99)
    assert one.shape == (64, 1, 32, 32)
    assert torch.equal(one, recipe.sample()) and torch.equal(one, build(classes=True)[0].sample())
    assert not torch.equal(one, build(classes=True, seed=1)[0].sample())


def test_sameness_is_seen_in_numbers_that_divide_the_channels(build: Callable) -> None:
    with pytest.raises(SettingError, match="mbstd_features=3 does not divide the 8 channels at 4x4; give 1, 8"):
        build(mbstd_features=3)
    recipe, _, _ = build(mbstd_features=8)
    assert recipe.networks["D"].b4.conv.weight.shape[1] == 16
