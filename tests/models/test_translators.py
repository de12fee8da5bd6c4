"""CycleGAN's and pix2pix's generators; what they paint is compared with other programs in tests/formats."""

import pytest
import torch
from torch import nn

from studio.capabilities import Inpainter, StyleGenerator, Translator, require
from studio.errors import CapabilityError
from studio.models.cyclegan import CycleGANConfig, CycleGANGenerator, FilteredDown, FilteredUp
from studio.models.pix2pix import Pix2PixConfig, Pix2PixGenerator

NETWORKS = [
    CycleGANGenerator(CycleGANConfig(width=4, blocks=1)),
    CycleGANGenerator(CycleGANConfig(width=4, blocks=1, down="filtered", up="filtered")),
    CycleGANGenerator(CycleGANConfig(width=4, blocks=1, up="repeated", affine=True, in_channels=1)),
    Pix2PixGenerator(Pix2PixConfig(width=4, halvings=4)),
    Pix2PixGenerator(Pix2PixConfig(width=4, halvings=4, early=True, last="repeated", out_channels=1)),
]


@pytest.mark.parametrize("network", NETWORKS)
def test_pictures_of_any_allowed_size_and_a_step_that_moves_every_weight(network: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 3 * network.multiple + 16 - 16 % network.multiple, 32) * 2 - 1
    made = network.translate(x)
    assert made.shape == x.shape and made.abs().max() <= 1
    (made * torch.randn_like(made)).sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a bias before normalisation is taken away again
    assert [name for name in still if not name.endswith("bias")] == []


@pytest.mark.parametrize("network", NETWORKS)
def test_a_picture_does_not_depend_on_its_company(network: nn.Module) -> None:
    x = torch.rand(3, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(network.eval().translate(x)[1:2], network.translate(x[1:2]), atol=1e-5)


def test_the_papers_networks() -> None:
    """11.4 million weights with nine blocks, as the authors' program says; 54.4 million in the U-Net of 256 px."""
    with torch.device("meta"):
        resnet, unet = CycleGANGenerator(CycleGANConfig()), Pix2PixGenerator(Pix2PixConfig())
    assert sum(p.numel() for p in resnet.parameters()) == 11_378_179
    assert sum(p.numel() for p in unet.parameters()) == 54_413_955
    assert unet.multiple == 256


def test_filters_keep_what_is_even() -> None:
    x = torch.full([1, 2, 8, 6], 3.0)
    assert torch.allclose(FilteredDown()(x), torch.full([1, 2, 4, 3], 3.0))
    assert torch.allclose(FilteredUp()(x), torch.full([1, 2, 16, 12], 3.0))


def test_a_tool_that_needs_another_capability_says_so() -> None:
    assert require(NETWORKS[0], Translator, "horses", "translate") is NETWORKS[0]
    for wanted in (StyleGenerator, Inpainter):
        with pytest.raises(CapabilityError, match="which 'horses' lacks; choose another model"):
            require(NETWORKS[0], wanted, "horses", "tool")
    said = "translate needs a model with turning one kind of picture into another"
    with pytest.raises(CapabilityError, match=said):
        require(nn.Identity(), Translator, "x", "translate")
