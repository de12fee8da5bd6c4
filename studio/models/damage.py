"""Finding damage: a small U-Net (Ronneberger et al. 2015, arXiv:1505.04597) that is shown what is thin, too.

Beside the colours it gets the white and black top-hats of the luminance: what an opening or a closing would remove,
that is what is brighter or darker than all that is as wide as the window. They are what cracks were looked for with
by hand (Giakoumis et al. 2006, "Digital Image Processing Techniques for the Detection and Removal of Cracks in
Digitized Paintings").
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily

CLASSES = ("crack", "loss", "stain", "fold")
WINDOWS = (5, 13)  # px; lines up to half of these stand out
LUMINANCE = (0.299, 0.587, 0.114)
HAT_GAIN = 4.0  # lines are faint: about as much as colours vary
RARE = -3.0  # what it says of every pixel at first, as a logit: one in twenty is damaged


@dataclass(frozen=True)
class DamageConfig(Config):
    widths: tuple[int, ...] = setting(
        (16, 24, 32, 48, 64, 96), "channels at 1, 1/2, 1/4 ... of the side", low=4, high=1024
    )
    thresholds: tuple[float, ...] = setting(
        (0.5,) * len(CLASSES), "of each class, the answer from which damage is as likely as not", low=0.001, high=0.999,
        length=len(CLASSES),
    )


def top_hats(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] -> [N, 2 * windows, H, W], at least 0: what is brighter, and what is darker, and thin."""
    grey = torch.einsum("nchw,c->nhw", pictures, pictures.new_tensor(LUMINANCE))[:, None]
    hats = []
    for window in WINDOWS:
        opened, closed = _most(_least(grey, window), window), _least(_most(grey, window), window)
        hats += [grey - opened, closed - grey]
    return torch.cat(hats, dim=1)


def _most(x: Tensor, window: int) -> Tensor:
    """The largest number in the window around each, along one side and then along the other."""
    x = F.max_pool2d(x, (window, 1), stride=1, padding=(window // 2, 0))
    return F.max_pool2d(x, (1, window), stride=1, padding=(0, window // 2))


def _least(x: Tensor, window: int) -> Tensor:
    return -_most(-x, window)


class Stage(nn.Sequential):
    """Two 3x3 convolutions, normalised over the batch, with ReLU."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        layers: list[nn.Module] = []
        for source, step in ((inside, stride), (out, 1)):
            conv = nn.Conv2d(source, out, 3, step, padding=1, bias=False)
            nn.init.normal_(conv.weight, std=math.sqrt(2 / (9 * source)))
            layers += [conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class DamageNetwork(nn.Module):
    """It is a DamageDetector (studio/capabilities.py), for pictures of any size."""

    classes = CLASSES

    def __init__(self, config: DamageConfig = DamageConfig()) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.multiple = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList([Stage(3 + 2 * len(WINDOWS), widths[0])])
        self.down.extend(Stage(a, b, stride=2) for a, b in zip(widths, widths[1:]))
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(Stage(a, a) for a in widths[:-1])
        self.judge = nn.Conv2d(widths[0], len(CLASSES), 3, padding=1)
        self.register_buffer("even", torch.tensor(config.thresholds).logit()[:, None, None], persistent=False)
        nn.init.constant_(self.judge.bias, RARE)
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [-1, 1] -> logits [N, 4, H, W], in the order of CLASSES."""
        height, width = pictures.shape[2:]
        padded = F.pad(pictures, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        x = torch.cat([padded, HAT_GAIN * top_hats(padded)], dim=1).contiguous(memory_format=torch.channels_last)
        sizes = []
        for stage in self.down:
            x = stage(x)
            sizes.append(x)
        for narrow, stage, same in reversed(list(zip(self.narrow, self.up, sizes))):
            # narrowed before it is enlarged: a quarter of the work
            x = stage(F.interpolate(narrow(x), scale_factor=2, mode="bilinear") + same)
        return self.judge(x)[:, :, :height, :width]

    def detect(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [-1, 1] -> how likely each of CLASSES is [N, 4, H, W], each for itself.

        What the network answers is not how likely: it is trained to miss little. At its threshold a class is at 0.5.
        """
        return (self(pictures) - self.even).sigmoid()


MODELS.register("damage")(
    ModelFamily(
        DamageConfig, DamageNetwork, "damage", "Atelier's damage detector",
        "after Ronneberger et al. 2015, arXiv:1505.04597",
    )
)
