from collections.abc import Callable

import pytest
import torch

from studio.errors import SettingError
from studio.latent.mapping import check_label, styles, truncate
from studio.latent.walk import z_from_seed


def test_styles_of_a_class(make_generator: Callable) -> None:
    G = make_generator(1, classes=3)
    z = torch.cat([z_from_seed(seed, 8) for seed in (4, 5)])
    for label in range(3):
        assert styles(G, z, label).equal(G.mapping(z, torch.eye(3)[[label, label]]))
    assert not styles(G, z, 0).equal(styles(G, z, 1))


def test_styles_without_classes(make_generator: Callable) -> None:
    G, z = make_generator(), z_from_seed(4, 8)
    assert styles(G, z).equal(G.mapping(z)) and styles(G, z).shape == (1, G.num_ws, 8)


def test_truncation(make_generator: Callable) -> None:
    G = make_generator()
    ws = styles(G, z_from_seed(4, 8))
    assert torch.allclose(truncate(G, ws, 1), ws) and torch.allclose(truncate(G, ws, 0), G.w_avg.expand_as(ws))
    assert torch.allclose(truncate(G, ws, -0.5) - G.w_avg, -0.5 * (ws - G.w_avg))


@pytest.mark.parametrize(
    "classes, label, sentence",
    [
        (3, 3, "label=3 is outside 0..2, the classes of 'cat'; choose one of these"),
        (3, -1, "label=-1 is outside 0..2, the classes of 'cat'; choose one of these"),
        (0, 1, "label=1 is given, and 'cat' has no classes; leave the label out"),
    ],
)
def test_classes_that_a_model_lacks(make_generator: Callable, classes: int, label: int, sentence: str) -> None:
    G = make_generator(classes=classes)
    for ask in (lambda: check_label(G, label, "cat"), lambda: styles(G, z_from_seed(0, 8), label, "cat")):
        with pytest.raises(SettingError) as error:
            ask()
        assert str(error.value) == sentence
    check_label(G, 0, "cat")
