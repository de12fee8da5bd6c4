import pytest
import torch
from torch import Tensor, nn

from studio.capabilities import StyleGenerator
from studio.nn.mapped_styles import MappedStyles


class Doubling(nn.Module):
    """w is twice z, or twice z and the class where there are some; its mean is 3."""

    z_dim, w_dim, classes = 2, 2, 0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.full([2], 3.0))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return 2 * z if c is None else 2 * (z + c)


class Flat(MappedStyles):
    """Draws the sum of all styles."""

    def synthesis(self, ws: Tensor, noise: str = "const") -> Tensor:
        return ws.sum(dim=(1, 2))[:, None, None, None].expand(-1, self.channels, self.resolution, self.resolution)


@pytest.fixture
def G() -> Flat:
    return Flat(Doubling(), num_ws=4, resolution=8, channels=1)


def test_it_says_what_it_is(G: Flat) -> None:
    assert isinstance(G, StyleGenerator)
    assert (G.z_dim, G.w_dim, G.classes, G.num_ws, G.resolution, G.channels) == (2, 2, 0, 4, 8, 1)
    assert list(G.state_dict()) == ["mapping_network.w_avg"]
    assert G.w_avg is G.mapping_network.w_avg


def test_every_layer_has_the_same_style(G: Flat) -> None:
    z, c = torch.tensor([[1.0, -2.0], [0.5, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert G.mapping(z).equal(torch.tensor([[2.0, -4.0], [1.0, 0.0]])[:, None].expand(2, 4, 2))
    assert G.mapping(z, c)[:, 3].equal(torch.tensor([[4.0, -4.0], [1.0, 2.0]]))


@pytest.mark.parametrize("psi, total", [(0.0, 24.0), (0.5, 8.0), (1.0, -8.0), (-1.0, 56.0)])
def test_psi_goes_from_the_mean_through_the_style(G: Flat, psi: float, total: float) -> None:
    z = torch.tensor([[1.0, -2.0]])
    for picture in (G.generate(z, psi=psi), G(z, None, psi)):
        assert picture.equal(torch.full((1, 1, 8, 8), total))


def test_what_draws_nothing_says_so() -> None:
    with pytest.raises(NotImplementedError):
        MappedStyles(Doubling(), num_ws=4, resolution=8, channels=1).generate(torch.zeros(1, 2))
