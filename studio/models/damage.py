"""Finding damage: a small U-Net (Ronneberger et al. 2015, arXiv:1505.04597) that is shown what is thin, too.

Beside the colours it gets the white and black top-hats of the luminance: what an opening or a closing would remove,
that is what is brighter or darker than all that is as wide as the window. They are what cracks were looked for with
by hand (Giakoumis et al. 2006, "Digital Image Processing Techniques for the Detection and Removal of Cracks in
Digitized Paintings").

How sure it must be depends on the surroundings. In a sky each faint line is a crack; among leaves and windows a hundred
such lines are none. A U-Net that is trained on crops judges both alike, so that a small network is told what is around
a place and in the whole picture, or the tile of a large one, and moves the answers there.
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

JUDGED = CLASSES[:2]  # by their surroundings; stains and folds are as large as these themselves
CELL = 8  # px; what is around a place is told of squares of this
REACHES = (5, 17)  # cells; sides of what is around a place, beside all that is looked at
CRACK_LEVELS = (-4, -3, -2, -1, 0, 1, 2, 3)  # logits; how many pixels are beyond each is told
OTHER_LEVELS = (-2, 0, 2)
STEEPNESS = 2.0  # of what counts as beyond a level
LEAST = 1e-4  # of a share, before its logarithm is taken
FAR = 3.0  # standard deviations; surroundings that are stranger count as these
MAX_GAIN, MAX_SHIFT = 1.0, 4.0  # of logits: the gain's logarithm, and what is added


@dataclass(frozen=True)
class DamageConfig(Config):
    widths: tuple[int, ...] = setting(
        (16, 24, 32, 48, 64, 96), "channels at 1, 1/2, 1/4 ... of the side", low=4, high=1024
    )
    thresholds: tuple[float, ...] = setting(
        (0.5,) * len(CLASSES), "of each class, the answer from which damage is as likely as not", low=0.001, high=0.999,
        length=len(CLASSES),
    )
    surroundings: int = setting(0, "units that judge by the surroundings; 0: no such judge", low=0, high=4096)


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


class Surroundings(nn.Module):
    """A gain and a shift of a place's logits of JUDGED, by what is around it. As it begins it moves nothing.

    Both are bounded, and so is what is told: no picture is so strange that damage is found all over it.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        shares = len(CRACK_LEVELS) + (len(CLASSES) - 1) * len(OTHER_LEVELS)
        self.told = (len(REACHES) + 1) * (shares + 2 * len(WINDOWS) + 1)
        self.register_buffer("mean", torch.zeros(self.told))
        self.register_buffer("deviation", torch.ones(self.told))
        self.judge = nn.Sequential(
            nn.Linear(self.told, units), nn.ReLU(), nn.Dropout(0.5), nn.Linear(units, units), nn.ReLU(),
            nn.Linear(units, 2 * len(JUDGED)),
        )
        nn.init.zeros_(self.judge[-1].weight)
        nn.init.zeros_(self.judge[-1].bias)

    def around(self, seen: Tensor, logits: Tensor) -> Tensor:
        """What is around each cell: [N, cells down, cells across, told], logarithms of shares of 1.

        seen [N, 3 + 2 * windows, H, W] are colours and top-hats; H and W are multiples of CELL. Of each reach: how many
        pixels are beyond each level, how much is thin, and how rough it is.
        """
        levels = [logits.new_tensor(CRACK_LEVELS)] + [logits.new_tensor(OTHER_LEVELS)] * (len(CLASSES) - 1)
        beyond = [
            F.avg_pool2d((STEEPNESS * (plane[:, None] - level[:, None, None])).sigmoid(), CELL)
            for plane, level in zip(logits.unbind(1), levels)
        ]
        grey = torch.einsum("nchw,c->nhw", seen[:, :3], seen.new_tensor(LUMINANCE))[:, None]
        rough = (grey - F.avg_pool2d(grey, 3, 1, 1, count_include_pad=False)).abs()
        cells = torch.cat([*beyond, F.avg_pool2d(torch.cat([seen[:, 3:] / HAT_GAIN, rough], dim=1), CELL)], dim=1)
        near = [F.avg_pool2d(cells, side, 1, side // 2, count_include_pad=False) for side in REACHES]
        whole = cells.mean(dim=(2, 3), keepdim=True).expand_as(cells)
        return (torch.cat([*near, whole], dim=1) + LEAST).log().permute(0, 2, 3, 1)

    def forward(self, around: Tensor) -> tuple[Tensor, Tensor]:
        """What is around places [..., told] -> gain and shift [..., 2], in the order of JUDGED."""
        gain, shift = self.judge(((around - self.mean) / self.deviation).clamp(-FAR, FAR)).tanh().chunk(2, dim=-1)
        return (MAX_GAIN * gain).exp(), MAX_SHIFT * shift

    def moved(self, seen: Tensor, logits: Tensor) -> Tensor:
        """Logits [N, 4, H, W], moved by what is around them."""
        both = [planes.permute(0, 3, 1, 2) for planes in self(self.around(seen, logits))]
        gain, shift = (F.interpolate(planes, scale_factor=CELL, mode="bilinear") for planes in both)
        judged, others = logits.split([len(JUDGED), len(CLASSES) - len(JUDGED)], dim=1)
        return torch.cat([judged * gain + shift, others], dim=1)


class DamageNetwork(nn.Module):
    """It is a DamageDetector (studio/capabilities.py), for pictures of any size."""

    classes = CLASSES

    def __init__(self, config: DamageConfig = DamageConfig()) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.multiple = max(2 ** (len(widths) - 1), CELL)
        self.down = nn.ModuleList([Stage(3 + 2 * len(WINDOWS), widths[0])])
        self.down.extend(Stage(a, b, stride=2) for a, b in zip(widths, widths[1:]))
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(Stage(a, a) for a in widths[:-1])
        self.judge = nn.Conv2d(widths[0], len(CLASSES), 3, padding=1)
        self.surroundings = Surroundings(config.surroundings) if config.surroundings else None
        self.register_buffer("even", torch.tensor(config.thresholds).logit()[:, None, None], persistent=False)
        nn.init.constant_(self.judge.bias, RARE)
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [-1, 1] -> logits [N, 4, H, W], in the order of CLASSES."""
        seen, logits = self.look(pictures)
        if self.surroundings is not None:
            logits = self.surroundings.moved(seen, logits)
        return logits[:, :, : pictures.shape[2], : pictures.shape[3]]

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Colours and top-hats [N, 3 + 2 * windows, H, W], and logits [N, 4, H, W] whatever is around them.

        H and W are those of the pictures or a little more, multiples of `multiple`.
        """
        height, width = pictures.shape[2:]
        padded = F.pad(pictures, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        seen = torch.cat([padded, HAT_GAIN * top_hats(padded)], dim=1).contiguous(memory_format=torch.channels_last)
        x, sizes = seen, []
        for stage in self.down:
            x = stage(x)
            sizes.append(x)
        for narrow, stage, same in reversed(list(zip(self.narrow, self.up, sizes))):
            # narrowed before it is enlarged: a quarter of the work
            x = stage(F.interpolate(narrow(x), scale_factor=2, mode="bilinear") + same)
        return seen, self.judge(x)

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
