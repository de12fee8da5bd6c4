"""Penalties that keep adversarial training stable."""

import math

import torch
from torch import Tensor


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
