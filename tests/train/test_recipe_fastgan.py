from collections.abc import Callable

import torch
from accelerate import Accelerator

from tests.train.test_adversarial import one_step
from train.recipes import Batch


def test_the_discriminator_learns_to_redraw(make: Callable, accelerator: Accelerator) -> None:
    recipe = make("fastgan", augment="none", d_lr=0.002, lr=1e-6)
    first = one_step(recipe, accelerator)["loss_redraw"]
    losses = [one_step(recipe, accelerator)["loss_redraw"] for _ in range(15)]  # the same pictures again
    assert losses[-1] < 0.8 * first


def test_what_is_redrawn_weighs_as_asked(make: Callable) -> None:
    batch = Batch(torch.rand(4, 1, 32, 32) * 2 - 1, torch.zeros(4, dtype=torch.long))
    found = {}
    for weight in (1.0, 2.0):
        recipe = make("fastgan", augment="none", redraw_weight=weight)
        recipe.fakes = [torch.zeros(4, 1, 32, 32)]
        torch.manual_seed(0)
        loss, values = recipe.d_loss(batch)
        assert torch.isclose(loss, values["loss_D"] + values["loss_redraw"])
        found[weight] = values
    assert torch.isclose(found[2.0]["loss_redraw"], 2 * found[1.0]["loss_redraw"])
    assert torch.isclose(found[2.0]["loss_D"], found[1.0]["loss_D"])


def test_only_real_pictures_are_redrawn(make: Callable) -> None:
    """What G drew gives no gradient to the decoders."""
    recipe = make("fastgan", redraw_weight=0.0)
    recipe.fakes = [torch.zeros(4, 1, 32, 32)]
    loss, _ = recipe.d_loss(Batch(torch.rand(4, 1, 32, 32), torch.zeros(4, dtype=torch.long)))
    loss.backward()
    D = recipe.networks["D"]
    assert all(p.grad is None or not p.grad.any() for p in D.redraw_whole.parameters())
    assert any(p.grad is not None and p.grad.any() for p in D.judge.parameters())


def test_a_share_is_redrawn_and_all_are_judged(make: Callable) -> None:
    batch = Batch(torch.rand(4, 1, 32, 32) * 2 - 1, torch.zeros(4, dtype=torch.long))
    found = {}
    for share in (1.0, 0.5, 0.01):
        recipe = make("fastgan", augment="none", redraw_share=share)
        recipe.fakes = [torch.zeros(4, 1, 32, 32)]
        drawn: list[int] = []
        recipe.networks["D"].redraw_whole.register_forward_hook(lambda *_, drawn=drawn: drawn.append(len(_[2])))
        torch.manual_seed(0)
        loss, values = recipe.d_loss(batch)
        loss.backward()
        found[share] = values["loss_D"]
        assert drawn == [{1.0: 4, 0.5: 2, 0.01: 1}[share]] and values["loss_redraw"] > 0
    assert found[1.0].equal(found[0.5]) and found[1.0].equal(found[0.01])
