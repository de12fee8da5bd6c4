import torch

from studio.nn.attention import INNER, ChannelNorm, LinearAttention, LocalMix


def test_channels_are_normalised_at_every_place() -> None:
    norm, x = ChannelNorm(5), 3 * torch.randn(2, 5, 4, 6) + 7
    y = norm(x)
    assert torch.allclose(y.mean(dim=1), torch.zeros(2, 4, 6), atol=1e-5)
    assert torch.allclose(y.var(dim=1, unbiased=False), torch.ones(2, 4, 6), atol=1e-3)


def test_it_is_residual() -> None:
    for local in (False, True):
        layer, x = LinearAttention(4, local), torch.randn(1, 4, 5, 3)
        with torch.no_grad():
            layer.out.weight.zero_(), layer.out.bias.fill_(2.0)
        assert torch.allclose(layer(x), x + 2)


def test_everywhere_is_everywhere_and_near_is_near() -> None:
    torch.manual_seed(0)
    layer, x = LinearAttention(4), torch.randn(1, 4, 8, 8)
    moved = x.clone()
    moved[:, 0, 0, 0] += 5
    assert (layer.everywhere(moved) - layer.everywhere(x))[0, :, 7, 7].abs().max() > 0
    near = LocalMix(4)
    changed = (near(moved) - near(x)).abs().amax(dim=(0, 1)) > 0
    assert changed[:2, :2].all() and changed.sum() == 4


def test_places_that_are_alike_have_nothing_to_choose_between() -> None:
    near, x = LocalMix(4), torch.randn(1, 4, 1, 1).expand(-1, -1, 5, 5).contiguous()
    value = near.key_value(x)[:, INNER:]
    assert torch.allclose(near(x)[:, :, 1:-1, 1:-1], value[:, :, 1:-1, 1:-1], atol=1e-6)
