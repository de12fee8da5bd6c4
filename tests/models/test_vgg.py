import torch

from studio.checkpoint import load_network
from studio.library import BUNDLED
from studio.models.vgg import CHANNELS, LAYERS, VGGEncoder


def test_shapes_of_every_layer() -> None:
    responses = VGGEncoder()(torch.zeros(2, 3, 12, 8))
    sides = {1: (12, 8), 2: (6, 4), 3: (3, 2)}
    assert list(responses) == list(LAYERS)
    for layer, channels in zip(LAYERS, CHANNELS):
        assert responses[layer].shape == (2, channels, *sides[int(layer[4])])


def test_layers_after_the_last_one_asked_for_are_not_computed() -> None:
    assert list(VGGEncoder()(torch.zeros(1, 3, 8, 8), last="relu2_1")) == ["relu1_1", "relu1_2", "relu2_1"]


def test_nothing_in_it_can_be_trained() -> None:
    assert not list(VGGEncoder().parameters())


def test_the_bundled_weights_see_strokes() -> None:
    """Trained weights respond to edges by their direction; a turned picture turns channels, not layers."""
    vgg = load_network(BUNDLED / "vgg")
    bars = ((torch.arange(32) // 4) % 2).float().expand(1, 3, 32, 32) * 1.6 - 0.8
    across, along = (vgg(x)["relu2_1"].mean(dim=(0, 2, 3)) for x in (bars, bars.transpose(2, 3)))
    even = vgg(torch.zeros(1, 3, 32, 32))["relu2_1"][:, :, 4:-4, 4:-4].mean(dim=(0, 2, 3))
    assert across.mean() > 1.5 * even.mean() and along.mean() > 1.5 * even.mean()
    # many channels prefer one direction by far
    assert ((across > 2 * along) | (along > 2 * across)).sum() > 20


def test_bundled_layers_are_alike_in_strength() -> None:
    vgg = load_network(BUNDLED / "vgg")
    torch.manual_seed(0)
    small = torch.randn(4, 3, 16, 16) * 0.8
    pictures = torch.nn.functional.interpolate(small, scale_factor=4, mode="bicubic").clamp(-1, 1)
    means = [response.mean().item() for response in vgg(pictures).values()]
    assert max(means) < 4 * min(means), means  # those of the published weights lie eleven times apart


def test_smooth_gradients_reach_every_pixel_alike() -> None:
    vgg = load_network(BUNDLED / "vgg")
    torch.manual_seed(0)

    def unevenness(smooth: bool) -> float:
        """How the gradient's strength differs between the four places in a square of 2x2 pixels, over many."""
        x = (torch.rand(8, 3, 32, 32) * 2 - 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(vgg(x, smooth=smooth)["relu3_1"].square().sum(), x)
        spread = gradient.abs().view(8, 3, 16, 2, 16, 2).std(dim=(3, 5)) / gradient.abs().mean()
        return spread.mean().item()

    assert unevenness(smooth=True) < 0.9 * unevenness(smooth=False)
