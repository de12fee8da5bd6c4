"""Penalties that keep adversarial training stable."""

import math

import torch
import torch.nn.functional as F
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


def spread_shortfall(fakes: Tensor, reals: Tensor) -> Tensor:
    """How much less generated pictures differ from one another than real ones do: 0 as much or more, 1 not at all.

    fakes, reals [N, C, H, W], N at least 2, seen at 1/4 of their size so that grain does not count as difference; each
    is compared with the next (mean absolute difference). A bounded form of the diversity terms of Mao et al. 2019
    (MSGAN, arXiv:1903.05628) and Yang et al. 2019 (arXiv:1901.09024), whose bound is the data's own spread: it stops a G
    that makes one picture only, and asks nothing of one that does not. Returns [].
    """
    spread = lambda x: (x - x.roll(1, dims=0)).abs().mean()
    return (1 - spread(F.avg_pool2d(fakes, 4)) / spread(F.avg_pool2d(reals, 4)).clamp(min=1e-6)).clamp(min=0)
