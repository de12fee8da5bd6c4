"""How alike two pictures look, to a network that has learned to see."""

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.checkpoint import load_network
from studio.library import BUNDLED
from train.losses.inpainting import perceptual_distance

HALVED_FROM = 64  # px; larger pictures are looked at at half their size, where the network sees more of them at once


class Perception:
    """The bundled VGG as a judge of likeness; nothing in it is learned."""

    def __init__(self, device: torch.device) -> None:
        self.vgg = load_network(BUNDLED / "vgg").to(device)

    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Mean difference of responses, relative to their strength: [N]. Both [N, 1 or 3, H, W] in [-1, 1]."""
        with torch.no_grad():
            target = self._look(wanted)
        return perceptual_distance(self._look(found), target, torch.ones_like(wanted[:, :1]))

    def _look(self, pictures: Tensor) -> dict[str, Tensor]:
        pictures = pictures if pictures.shape[2] < HALVED_FROM else F.avg_pool2d(pictures, 2)
        return self.vgg(pictures.expand(-1, 3, -1, -1), smooth=True)
