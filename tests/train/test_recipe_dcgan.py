from collections.abc import Callable

import pytest
from torch import nn

from train.recipes.dcgan import DCGANSettings


def test_it_is_trained_as_in_the_paper(make: Callable) -> None:
    """Section 4: Adam at 0.0002 with a first beta of 0.5; batches of 64 at 64 px."""
    settings = DCGANSettings()
    assert (settings.resolution, settings.batch, settings.lr, settings.augment) == (64, 64, 0.0002, "none")
    group = make("dcgan").optimizers["D"].param_groups[0]
    assert (group["lr"], group["betas"]) == (0.0002, (0.5, 0.999))


@pytest.mark.parametrize(
    ("changes", "batch", "spectral"),
    [
        ({}, 1, 0), ({"d_norm": "spectral"}, 0, 3), ({"d_norm": "none"}, 0, 0), ({"loss": "wasserstein-gp"}, 0, 0),
        ({"loss": "wasserstein-gp", "d_norm": "batch"}, 1, 0), ({"r1_gamma": 1.0}, 1, 0),
    ],
    ids=str,
)
def test_how_the_discriminator_is_normed(make: Callable, changes: dict, batch: int, spectral: int) -> None:
    D = make("dcgan", **changes).networks["D"]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in D.modules()) == batch
    assert sum(name.endswith("weight.original") for name, _ in D.named_parameters()) == spectral
