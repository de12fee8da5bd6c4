"""The discriminator of Projected GANs: small critics on the features of a pretrained network.

Sauer, Chitta, Mueller, Geiger: "Projected GANs Converge Faster", NeurIPS 2021, arXiv:2111.01007. The features of four
depths are mixed across channels and scales by random convolutions that never learn (section 3.1), and one critic a scale
tells real from generated. What the pretrained network has seen need not be learned, which is what makes GANs trainable on
a laptop. Here the pretrained network is EfficientNet-Lite0, the paper's choice of family (section 4.2).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from studio.nn.efficientnet_lite import EfficientNetLite0

TAPS = (2, 4, 10, 15)  # blocks after which features are taken: 1/4, 1/8, 1/16 and 1/32 of the picture
CHANNELS = (24, 40, 112, 320)
WIDTH = 64  # channels of the mixed features
SIDE = 128  # pictures are brought to this size first
LOGITS_SIDE = 4


class ProjectedDiscriminator(nn.Module):
    """picture [N, 1 or 3, R, R] in [-1, 1] -> logits [N, K], one for each place of each scale, float32.

    `features` is held but is no part of the state: it never changes. c is accepted and ignored.
    """

    def __init__(self, features: EfficientNetLite0) -> None:
        super().__init__()
        self._features = (features,)  # in a tuple, so that its weights are neither trained nor saved
        for i, channels in enumerate(CHANNELS):
            self.register_buffer(f"across_channels{i}", _random_weight(WIDTH, channels, 1))
            if i + 1 < len(CHANNELS):
                self.register_buffer(f"across_scales{i}", _random_weight(WIDTH, WIDTH, 3))
        sides = [SIDE // 4, SIDE // 8, SIDE // 16, SIDE // 32]
        self.critics = nn.ModuleList(_critic(side) for side in sides)

    def forward(self, picture: Tensor, c: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        features = self.mixed_features(picture)
        logits = [critic(x).flatten(1) for critic, x in zip(self.critics, features)]
        return torch.cat(logits, dim=1).float()

    def mixed_features(self, picture: Tensor) -> list[Tensor]:
        """Four feature maps [N, WIDTH, S, S], S = SIDE/4 .. SIDE/32, from fine to coarse."""
        x = picture.expand(-1, 3, -1, -1) * (127.5 / 128) + (0.5 / 128)  # the network's own range
        if x.shape[-1] != SIDE:
            x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", antialias=x.shape[-1] > SIDE)
        network = self._features[0]
        x = F.relu6(network.stem(x.contiguous(memory_format=torch.channels_last)))
        taken = []
        for i, block in enumerate(network.blocks):
            x = block(x)
            if i in TAPS:
                taken.append(F.conv2d(x, getattr(self, f"across_channels{len(taken)}")))
        mixed = [taken[-1]]
        for i in range(len(taken) - 2, -1, -1):
            up = F.interpolate(mixed[0], scale_factor=2, mode="bilinear")
            mixed.insert(0, F.conv2d(taken[i] + up, getattr(self, f"across_scales{i}"), padding=1) / math.sqrt(2))
        return mixed

    def _apply(self, fn, recurse: bool = True):
        self._features[0]._apply(fn)  # moves with the module although it is none of its children
        return super()._apply(fn, recurse)


def _random_weight(out_channels: int, in_channels: int, kernel: int) -> Tensor:
    weight = torch.randn(out_channels, in_channels, kernel, kernel) / math.sqrt(in_channels * kernel**2)
    return weight.contiguous(memory_format=torch.channels_last)


def _critic(side: int) -> nn.Sequential:
    """Halves its features down to LOGITS_SIDE, then one logit a place."""
    layers: list[nn.Module] = []
    while side > LOGITS_SIDE:
        layers += [spectral_norm(nn.Conv2d(WIDTH, WIDTH, 4, 2, 1)), nn.BatchNorm2d(WIDTH), nn.LeakyReLU(0.2)]
        side //= 2
    layers += [spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(WIDTH, 1, 1)))
