from collections.abc import Callable

import pytest
import torch

from train.recipes import Batch
from train.recipes.r3gan import R3GANSettings


def test_penalties_are_a_part_of_each_step(make: Callable) -> None:
    """D's loss is the game and gamma / 2 (R1 + R2); there is no step of penalties beside it; Adam is not slowed."""
    recipe = make("r3gan", r1_gamma=3.0, augment="none", lr=0.01)
    assert [(p.name, p.interval) for p in recipe.phases] == [("G", 1), ("D", 1)]
    assert recipe.optimizers["D"].param_groups[0]["lr"] == 0.01
    recipe.fakes = [torch.rand(4, 1, 16, 16)]
    loss, values = recipe.d_loss(Batch(torch.rand(4, 1, 16, 16), torch.zeros(4, dtype=torch.long)))
    wanted = values["loss_D"] + 1.5 * (values["r1"] + values["r2"])
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5) and values["r1"] > 0 and values["r2"] > 0


def test_penalties_may_be_lazy(make: Callable) -> None:
    recipe = make("r3gan", r1_interval=4)
    assert [(p.name, p.interval) for p in recipe.phases] == [("G", 1), ("D", 1), ("D R1", 4)]
    recipe.fakes = [torch.rand(4, 1, 16, 16)]
    _, values = recipe.d_loss(Batch(torch.rand(4, 1, 16, 16), torch.zeros(4, dtype=torch.long)))
    assert "r1" not in values


def test_what_the_paper_changes() -> None:
    settings = R3GANSettings()
    assert (settings.loss, settings.r2, settings.style_mixing, settings.pl_weight) == ("relativistic", True, 0.0, 0.0)
    assert (
        settings.schedule == "cosine" and settings.gamma() == 1.0 and settings.replace(resolution=128).gamma() == 4.0
    )
