"""In one process; tests/train/test_several.py has two."""

import torch
from torch import nn

from train.batchnorm import SharedBatchNorm2d, share_batch_norm


def test_equals_the_usual_one_in_its_values_gradients_and_running_means() -> None:
    torch.manual_seed(0)
    usual = nn.BatchNorm2d(3)
    nn.init.normal_(usual.weight)
    nn.init.normal_(usual.bias)
    shared = SharedBatchNorm2d(3)
    shared.load_state_dict(usual.state_dict())
    x = torch.randn(4, 3, 5, 5) * 3 + 2
    slopes = []
    for norm in (usual, shared):
        inside = x.clone().requires_grad_(True)
        out = norm(inside)
        (slope,) = torch.autograd.grad(out.tanh().sum(), inside, create_graph=True)
        slope.square().sum().backward()  # twice, as R1 does
        slopes.append((out.detach(), slope.detach(), inside.grad, norm.weight.grad))
    for a, b in zip(*slopes, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)
    assert usual.state_dict().keys() == shared.state_dict().keys()
    for name, value in usual.state_dict().items():
        assert torch.allclose(value, shared.state_dict()[name], atol=1e-5), name
    assert torch.allclose(usual.eval()(x), shared.eval()(x))


def test_a_network_keeps_its_parameters_and_names() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()))
    before = {name: value.data_ptr() for name, value in network.state_dict().items()}
    share_batch_norm(network)
    assert isinstance(network[1][0], SharedBatchNorm2d)
    assert {name: value.data_ptr() for name, value in network.state_dict().items()} == before
