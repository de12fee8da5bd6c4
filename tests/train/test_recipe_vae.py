from collections.abc import Callable

import torch
from accelerate import Accelerator

from train.loop import take_step
from train.losses.variational import divergence
from train.recipes import Batch


def batch(count: int = 4) -> Batch:
    torch.manual_seed(0)
    return Batch(torch.rand(count, 1, 16, 16) * 2 - 1, torch.arange(count) % 2)


def test_copies_come_closer(make: Callable, accelerator: Accelerator) -> None:
    recipe = make("vae", lr=0.01)
    losses = [take_step(recipe.phases[0], recipe, [batch()], accelerator)["loss_pixel"].item() for _ in range(40)]
    assert losses[-1] < losses[0] - 0.1


def test_the_terms_are_weighted_and_summed(make: Callable) -> None:
    found = {}
    for weight in (1.0, 3.0):
        recipe = make("vae", kl_weight=weight, perceptual_weight=weight)
        torch.manual_seed(1)
        loss, values = recipe.loss(batch())
        parts = [values[name] for name in ("loss_pixel", "loss_kl", "loss_look")]
        assert torch.isclose(loss, sum(parts)) and torch.isclose(loss, values["loss_G"])
        found[weight] = values
    for name, times in (("loss_pixel", 1), ("loss_kl", 3), ("loss_look", 3)):
        assert torch.isclose(found[3.0][name], times * found[1.0][name]), name
    recipe = make("vae", perceptual_weight=0.0)
    assert "loss_look" not in recipe.loss(batch())[1]


def test_what_a_code_says_counts_a_number_of_the_picture(make: Callable) -> None:
    recipe = make("vae")
    with torch.no_grad():
        recipe.networks["G"].encoder.out.bias.add_(1.0)
    _, values = recipe.loss(batch())
    wanted = divergence(*recipe.networks["G"].encode(batch().reals)).mean() / 256
    assert torch.isclose(values["loss_kl"], wanted)
