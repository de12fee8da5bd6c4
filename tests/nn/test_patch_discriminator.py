import torch

from studio.nn.patch_discriminator import PatchDiscriminator


def test_every_patch_has_a_logit() -> None:
    D = PatchDiscriminator(channels=2, widths=(4, 8))
    logits, responses = D(torch.randn(3, 2, 32, 48))
    assert logits.shape == (3, 8, 12) and logits.std() > 0
    assert [r.shape[1:] for r in responses] == [(4, 16, 24), (8, 8, 12), (8, 8, 12)]


def test_a_logit_sees_its_patch_alone() -> None:
    D = PatchDiscriminator(widths=(4, 8)).eval()
    pictures = torch.randn(1, 3, 64, 64)
    changed = pictures.clone()
    changed[:, :, :, 40:] += 1
    before, after = D(pictures)[0], D(changed)[0]
    assert torch.equal(before[:, :, :6], after[:, :, :6]) and not torch.equal(before[:, :, 10:], after[:, :, 10:])


def test_what_is_wanted_counts() -> None:
    D = PatchDiscriminator(widths=(4, 8), told=5)
    pictures = torch.randn(1, 3, 32, 32).repeat(2, 1, 1, 1)
    one, other = D(pictures, torch.stack([torch.ones(5), -torch.ones(5)]))[0]
    assert not torch.allclose(one, other)


def test_its_slope_is_bounded() -> None:
    """Spectral norms near 1: a small change of the picture changes a logit little,
    however large the weights were set.
    """
    torch.manual_seed(0)
    D = PatchDiscriminator(widths=(4, 8), spectral=True)
    with torch.no_grad():
        for layer in D.layers:
            layer.parametrizations.weight.original.mul_(100)
    pictures = torch.randn(1, 3, 32, 32)
    for _ in range(20):  # the norm is found by iteration
        D(pictures)
    D.eval()
    step = 0.01 * torch.randn_like(pictures)
    assert (D(pictures + step)[0] - D(pictures)[0]).abs().max() < 0.5
