"""The first five layers of VGG16, in which style and content are measured (Simonyan & Zisserman 2015, arXiv:1409.1556).

A picture's texture shows in how these layers' channels are distributed, its content in where they respond (Gatys et al.
2016). Weights are buffers: they are never trained. Each layer is scaled so that its mean response to photographs is
1, as Gatys et al. did, so that losses weigh layers alike.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config
from studio.models import MODELS, ModelFamily

LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
CHANNELS = (64, 64, 128, 128, 256)
AVERAGE_GAIN = 1.3  # four responses' maximum is about so much more than their mean
MIN_SIDE = 4  # px: two poolings leave one number


@dataclass(frozen=True)
class VGGConfig(Config):
    """It has one size."""


class VGGEncoder(nn.Module):
    """pictures [N, 3, H, W] in [-1, 1], sides at least 4 -> {layer: [N, C, h, w]}, h and w of H, H/2 or H/4."""

    def __init__(self, config: VGGConfig = VGGConfig()) -> None:
        super().__init__()
        self.config = config
        inside = 3
        for layer, out in zip(LAYERS, CHANNELS):
            weight = torch.zeros(out, inside, 3, 3).contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"{layer}_weight", weight)
            self.register_buffer(f"{layer}_bias", torch.zeros(out))
            inside = out

    def forward(self, pictures: Tensor, last: str = LAYERS[-1], smooth: bool = False) -> dict[str, Tensor]:
        """Every layer's response up to `last`.

        smooth: for losses, averages instead of maxima (Gatys et al. 2016), whose gradients fall on every other pixel
        and would have a grid drawn.
        """
        x, responses = pictures.contiguous(memory_format=torch.channels_last), {}
        for layer in LAYERS[: LAYERS.index(last) + 1]:
            if layer in ("relu2_1", "relu3_1"):
                x = F.avg_pool2d(x, 2) * AVERAGE_GAIN if smooth else F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(x, getattr(self, f"{layer}_weight"), getattr(self, f"{layer}_bias"), padding=1))
            responses[layer] = x
        return responses


MODELS.register("vgg")(
    ModelFamily(
        VGGConfig, VGGEncoder, "perceptual", "VGG16 up to relu3_1", "Simonyan & Zisserman 2015, arXiv:1409.1556"
    )
)
