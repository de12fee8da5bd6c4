"""The two sides of a variational autoencoder's bound: how well a picture comes back, and how much its code says."""

import torch
from torch import Tensor

from train.together import average


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1), in nats (Kingma & Welling 2014, appendix B).

    [N, z_dim] each. Returns [N].
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2


def draw_code(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A z of each distribution, which can be learned through (section 2.4): [N, z_dim]."""
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


def likeness(made: Tensor, wanted: Tensor) -> Tensor:
    """Negative log likelihood a number, up to a constant, under normal noise as large as the error
    in all processes: [].

    made, wanted [N, C, H, W]. With the noise at its best value the bound needs no weight between its sides (Rybkin et
    al. 2021, "Simple and Effective VAE Training with Calibrated Decoders", arXiv:2006.13202, eq. 7 to 9).
    """
    return (average((made - wanted).square().mean()) + 1e-6).log() / 2
