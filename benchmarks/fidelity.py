"""How near a mended picture is to what it was, within the hole alone, in the eyes of two networks, too.

Pictures are [1, 3, H, W] in [-1, 1], masks [1, 1, H, W] of float32 in {0, 1}, 1 in the hole, with at least one place.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from studio.checkpoint import load_network
from studio.library import BUNDLED
from studio.nn.features import Lite0
from train.losses.inpainting import hole_mean
from train.restoration_metrics import psnr
from train.style_metrics import Eye, Lite0Eye, VGGEye

Directions = dict[str, list[Tensor]]  # by eye: responses [1, C, h, w] of length 1 at each place, by layer


def ssim(found: Tensor, wanted: Tensor, mask: Tensor) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13), mean over the hole: -1..1, 1 for equal pictures."""
    places = structural_similarity_index_measure(
        (found + 1) / 2, (wanted + 1) / 2, data_range=1.0, return_full_image=True
    )[1]
    return float(hole_mean(places, mask))


def direction_distance(found: list[Tensor], wanted: list[Tensor], mask: Tensor) -> float:
    """Squared distance of responses' directions, mean over the hole and over layers: 0..4.

    With a mask of ones it is `train.style_metrics.content_distance`. At a coarse layer a place counts as much as it
    is hole.
    """
    layers = []
    for a, b in zip(found, wanted):
        share = F.adaptive_avg_pool2d(mask, a.shape[2:])
        layers.append(((a - b).square().sum(dim=1, keepdim=True) * share).sum() / share.sum())
    return float(torch.stack(layers).mean())


class Judge:
    """What a table says of a mended picture: PSNR, SSIM and distances in both networks' eyes."""

    def __init__(self) -> None:
        self.eyes: list[Eye] = [VGGEye(load_network(BUNDLED / "vgg")), Lite0Eye(Lite0())]

    def look(self, picture: Tensor) -> Directions:
        """To be kept of an original that many pictures are compared with."""
        seen = {}
        for eye in self.eyes:
            maps = eye(picture)
            seen[eye.name] = [F.normalize(maps[layer], dim=1) for layer in eye.content_layers]
        return seen

    def measure(self, found: Tensor, wanted: Tensor, seen: Directions, mask: Tensor) -> dict[str, float]:
        """Of a mended picture beside its original, and what `look` gave of that one."""
        apart = {
            name: direction_distance(maps, seen[name], mask) for name, maps in self.look(found).items()
        }
        return {"PSNR": psnr(found, wanted, mask), "SSIM": ssim(found, wanted, mask), **apart}
