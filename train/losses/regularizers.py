"""Penalties that keep adversarial training stable."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def gradient_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """Squared gradient norm of D: R1 at real pictures, R2 at generated ones (Mescheder et al. 2018, eq. 9 and 10).

    logits [N]; pictures [N, C, H, W] in [-1, 1], requires_grad. Returns [N], unweighted.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def path_lengths(pictures: Tensor, ws: Tensor, noise: Tensor | None = None) -> Tensor:
    """Length of J_w^T y for a random picture y (Karras et al. 2020, section 3.2).

    pictures [N, C, H, W] made from ws [N, num_ws, w_dim], requires_grad; noise: y, of the pictures' shape, standard
    normal by default, scaled here by 1/sqrt(H W). Returns [N].
    """
    y = torch.randn_like(pictures) if noise is None else noise
    y = y / math.sqrt(pictures.shape[2] * pictures.shape[3])
    (gradient,) = torch.autograd.grad((pictures * y).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def lipschitz_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """Squared distance of D's gradient norm from 1 (Gulrajani et al. 2017, eq. 3), at pictures from `between`.

    logits [N]; pictures [N, C, H, W], requires_grad. Returns [N], unweighted.
    """
    return (gradient_penalty(logits, pictures).clamp(min=1e-12).sqrt() - 1).square()


def between(reals: Tensor, fakes: Tensor) -> Tensor:
    """A random point on the line from each real to its generated picture, each [N, C, H, W]; requires_grad."""
    share = torch.rand(len(reals), 1, 1, 1, device=reals.device)
    return reals.lerp(fakes, share).detach().requires_grad_(True)


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Bring every parameter into [-limit, limit] (Arjovsky et al. 2017, algorithm 1)."""
    for parameter in network.parameters():
        parameter.clamp_(-limit, limit)


def normalize_spectrally(network: nn.Module) -> None:
    """Give each convolution and linear layer a largest singular value of 1 (Miyato et al. 2018, arXiv:1802.05957).

    The estimate's vectors become buffers of the network; each forward pass in training mode improves them.
    """
    for layer in [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
        spectral_norm(layer)
