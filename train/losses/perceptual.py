"""Losses on a perceptual network's responses, for style transfer. Responses are {layer: [N, C, h, w]}."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.models.style import moments as mean_and_deviation

Responses = Mapping[str, Tensor]


def moments(responses: Responses) -> dict[str, Tensor]:
    """Mean and deviation of each channel: {layer: [N, 2, C]}."""
    pairs = {name: mean_and_deviation(r) for name, r in responses.items()}
    return {name: torch.stack(pair, dim=1)[:, :, :, 0, 0] for name, pair in pairs.items()}


def style_loss(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
    """Distance of `moments` (Li et al. 2017, "Demystifying Neural Style Transfer", eq. 14;
    Huang & Belongie 2017, eq. 13).

    found [N, 2, C] and wanted [S, 2, C] a layer, N a multiple of S: neighbours share a style. Returns [N].
    """
    terms = []
    for name, target in wanted.items():
        target = target.repeat_interleave(len(found[name]) // len(target), dim=0)
        # relative to how strong the style's layer is: a faint drawing must count as much as a bold one
        scale = target.square().mean(dim=(1, 2), keepdim=True) + 0.05
        terms.append(((found[name] - target).square() / scale).mean(dim=(1, 2)))
    return torch.stack(terms).mean(dim=0)


def covariance(response: Tensor) -> Tensor:
    """Which channels respond together, wherever: [N, C, h, w] -> [N, C, C].

    departs from Gatys et al. 2016, eq. 3, whose Gram matrix is dominated by the means, which `moments` has already.
    """
    flat = response.flatten(2)
    flat = flat - flat.mean(dim=2, keepdim=True)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def covariance_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance, relative to what is wanted; [N, C, C] and [S, C, C] as in `style_loss`. Returns [N]."""
    wanted = wanted.repeat_interleave(len(found) // len(wanted), dim=0)
    return (found - wanted).square().sum(dim=(1, 2)) / (wanted.square().sum(dim=(1, 2)) + 0.05)


def content_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance of one layer's responses, relative to their strength (Gatys et al. 2016, eq. 1).

    Returns [N].
    """
    return (found - wanted).square().mean(dim=(1, 2, 3)) / (wanted.square().mean(dim=(1, 2, 3)) + 0.05)


def contrastive_loss(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], temperature: float = 0.2) -> Tensor:
    """How surely a picture's moments tell its own style from the others' (InfoNCE, van den Oord et al. 2018).

    Returns [N].
    """
    a = torch.cat([(m / (wanted[n].norm(dim=(1, 2)).mean() + 1e-5)).flatten(1) for n, m in found.items()], dim=1)
    b = torch.cat([(m / (m.norm(dim=(1, 2)).mean() + 1e-5)).flatten(1) for m in wanted.values()], dim=1)
    centre = b.mean(dim=0)
    scores = F.normalize(a - centre, dim=1) @ F.normalize(b - centre, dim=1).T / temperature
    own = torch.arange(len(b), device=b.device).repeat_interleave(len(a) // len(b))
    return F.cross_entropy(scores, own, reduction="none")


def flat_variation(pictures: Tensor, guides: Tensor, edge: float = 0.1) -> Tensor:
    """Total variation where the guide is flat: texture is welcome on objects, hatching in the sky is not. Returns [N].

    Both [N, C, H, W] in [-1, 1]; a step of `edge` in the guide lets two thirds of a step through.
    """
    terms = []
    for axis in (2, 3):
        step = pictures.diff(dim=axis).abs().mean(dim=1)
        free = guides.diff(dim=axis).abs().amax(dim=1)
        terms.append((step * torch.exp(-free / edge)).mean(dim=(1, 2)))
    return torch.stack(terms).sum(dim=0)
