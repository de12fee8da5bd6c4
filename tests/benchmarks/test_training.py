"""The levers change how a step is computed, and not what."""

from dataclasses import replace

import pytest
import torch

from benchmarks.training import OURS, GroupedLayer, Job, Ours
from studio.models.stylegan2 import SynthesisLayer
from studio.nn.layers import EqualConv2d

TINY = Job(OURS, 16, 4, 1, g_base=128, g_max=16, d_base=128, d_max=16)


@pytest.mark.parametrize("up", [False, True])
def test_grouped_convolution_equals_ours(up: bool) -> None:
    torch.manual_seed(0)
    layer = SynthesisLayer(6, 10, 12, 16, up=up)
    with torch.no_grad():
        layer.bias.normal_()
        layer.noise_strength.fill_(0.5)
    x, w = torch.randn(3, 6, 8 if up else 16, 8 if up else 16), torch.randn(3, 12)
    assert torch.allclose(GroupedLayer(layer)(x, w, "const"), layer(x, w, "const"), atol=1e-4)


def stepped(**switches: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    trainer = Ours(replace(TINY, **switches), torch.device("cpu"))
    torch.manual_seed(1)
    trainer.step(torch.rand(4, 3, 16, 16) * 2 - 1, lazy=True)
    return {
        f"{net}.{name.replace('source.', '')}": p.detach()
        for net, network in trainer.recipe.networks.items()
        for name, p in network.named_parameters()
    }


@pytest.mark.parametrize("switches", [{"channels_last": False}, {"fused_adam": False}, {"grouped": True}])
def test_a_lever_leaves_the_step_as_it_is(switches: dict[str, bool]) -> None:
    usual, other = stepped(), stepped(**switches)
    assert usual.keys() == other.keys()
    # Adam's first step is the sign of the gradient: where that is about zero, rounding decides.
    far = sum(((usual[k] - other[k]).abs() > 1e-4).sum().item() for k in usual)
    assert far <= 0.01 * sum(p.numel() for p in usual.values())


def test_nchw_reaches_the_activations() -> None:
    trainer = Ours(replace(TINY, channels_last=False), torch.device("cpu"))
    seen = []
    for network in trainer.recipe.networks.values():
        for module in network.modules():
            if isinstance(module, (SynthesisLayer, EqualConv2d)):
                module.register_forward_hook(lambda m, i, out: seen.append(out.is_contiguous()))
    trainer.step(torch.rand(4, 3, 16, 16), lazy=False)
    assert seen and all(seen)
