from collections.abc import Callable

import torch

from tests.train.test_recipe_vae import batch


def test_the_encoder_does_not_learn_from_the_game(make: Callable) -> None:
    """As in the paper: with the copies' terms weighing nothing, the decoder alone has gradients."""
    recipe = make("vaegan", adversarial_weight=1.0)
    _, values = recipe.g_loss(batch())
    values["loss_game"].backward()
    G = recipe.networks["G"]
    assert all(p.grad is None for p in G.encoder.parameters())
    assert all(p.grad is not None for p in G.up.parameters())


def test_half_of_what_the_discriminator_sees_is_of_random_noise(make: Callable) -> None:
    """Copies come first, as the encoder knows them when nothing is left to chance."""
    recipe = make("vaegan")
    G = recipe.networks["G"]
    with torch.no_grad():
        G.encoder.out.bias[8:].fill_(-1e3)  # hardly any variance: the code is its mean
    recipe.g_loss(batch())
    mean, _ = G.encode(batch().reals)
    copies = G.synthesis(G.mapping(mean))
    near = (recipe.fakes[0] - copies).abs().mean(dim=(1, 2, 3)) < 0.02
    assert near.tolist() == [True, True, False, False]


def test_the_game_weighs_as_asked(make: Callable) -> None:
    found = []
    for weight in (1.0, 0.5):
        recipe = make("vaegan", adversarial_weight=weight, augment="none")
        torch.manual_seed(1)
        loss, values = recipe.g_loss(batch())
        assert torch.isclose(loss, sum(values[name] for name in ("loss_pixel", "loss_kl", "loss_look", "loss_game")))
        found.append(values["loss_game"])
    assert torch.isclose(found[0], 2 * found[1])
