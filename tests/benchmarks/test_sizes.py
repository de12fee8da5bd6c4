import pytest
import torch
from torch import nn

from benchmarks.sizes import generator_like, multiply_adds, parameters
from studio.models.stylegan2 import StyleGAN2Generator


def test_multiply_adds_of_known_layers() -> None:
    x = torch.zeros(2, 3, 8, 8)
    assert multiply_adds(lambda: nn.Conv2d(3, 5, 3, padding=1)(x)) == 2 * 64 * 5 * 27
    assert multiply_adds(lambda: nn.Linear(7, 11)(torch.zeros(1, 7))) == 77


def test_at_least_as_many_parameters_as_wanted() -> None:
    config = generator_like(4_000_000, 16)
    with torch.device("meta"):
        assert parameters(StyleGAN2Generator(config)) >= 4_000_000
        less = config.replace(channel_base=config.channel_base - 8 * 16)
        assert parameters(StyleGAN2Generator(less)) < 4_000_000  # no larger than it has to be


def test_a_size_out_of_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the largest"):
        generator_like(10**10, 16)
