"""How far a painted picture is from its photo (content) and from its painting (style), in networks' responses.

Two networks look: the VGG that style models are trained with, and EfficientNet-Lite0, which no training here has
seen: a model that only pleased its judge is far off in the other. No published figure is computed: names say what is.

Every distance is 0 for equal pictures. The untouched photo has the best content and the worst style: a figure says
something beside that of the photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.models.vgg import LAYERS, VGGEncoder
from studio.nn.features import Lite0, to_levels
from train.metrics import frechet_distance

CONTENT_LAYERS = (1, 3, 4)  # of the VGG: the last before each pooling, and the deepest
LITE0_BLOCKS = (0, 2, 4, 7, 10)  # ends of stages, at 1/2, 1/4, 1/8, 1/16 and 1/16 of the side
EPS = 1e-8

Maps = list[Tensor]  # responses [N, C, h, w], by layer


class Eye(Protocol):
    """A network that sees pictures [N, 3, H, W] in [-1, 1], sides at least 32, as maps."""

    name: str
    content_layers: Sequence[int]  # in which content is compared; style is in all

    def __call__(self, pictures: Tensor) -> Maps: ...


class VGGEye:
    """The network in whose responses style models learn."""

    name = "VGG"
    content_layers = CONTENT_LAYERS

    def __init__(self, vgg: VGGEncoder) -> None:
        self.vgg = vgg

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Maps:
        responses = self.vgg(pictures)
        return [responses[layer] for layer in LAYERS]


class Lite0Eye:
    """The network that measures generators as well; here pictures keep their size, and are not squeezed to 224 px."""

    name = "Lite0"
    content_layers = tuple(range(1, 1 + len(LITE0_BLOCKS)))

    def __init__(self, network: Lite0) -> None:
        self.network = network.network

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Maps:
        x = F.relu6(self.network.stem((to_levels(pictures) - 127) / 128))
        maps = [x]
        for i, block in enumerate(self.network.blocks[: LITE0_BLOCKS[-1] + 1]):
            x = block(x)
            if i in LITE0_BLOCKS:
                maps.append(x)
        return maps


def content_distance(found: Maps, wanted: Maps) -> Tensor:
    """Squared distance of the responses' directions, mean over places and layers: [N], 0..4.

    As LPIPS without learned weights (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features", eq. 1).
    """
    apart = [(_direction(a) - _direction(b)).square().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(found, wanted)]
    return torch.stack(apart).mean(dim=0)


def gram_distance(found: Maps, wanted: Maps) -> Tensor:
    """Distance of the Gram matrices, as a share of the wanted ones' norms, mean over layers: [N].

    After Gatys et al. 2016, eq. 3. Sizes may differ: here a Gram matrix is a mean over places.
    """
    return _apart(_grams(found), _grams(wanted))


def moment_distance(found: Maps, wanted: Maps) -> Tensor:
    """Distance of the channels' means and deviations, as a share of the wanted ones' norms, mean over layers: [N].

    After Huang & Belongie 2017, "Arbitrary Style Transfer in Real-time", eq. 13. Sizes may differ.
    """
    return _apart(_moments(found), _moments(wanted))


@dataclass(frozen=True)
class Wanted:
    """What painted pictures are compared with: seen once, where many are."""

    content: Maps
    grams: list[Tensor]
    moments: list[Tensor]

    @classmethod
    def of(cls, eye: Eye, photos: Tensor, paintings: Tensor) -> "Wanted":
        """photos [N, 3, H, W] and paintings [N, 3, h, w]."""
        photo, painting = eye(photos), eye(paintings)
        return cls([photo[i] for i in eye.content_layers], _grams(painting), _moments(painting))


def distances(eye: Eye, painted: Tensor, wanted: Wanted) -> dict[str, Tensor]:
    """All distances of painted [N, 3, H, W], of the photos' size: {name: [N]}."""
    found = eye(painted)
    return {
        f"{eye.name}-content": content_distance([found[i] for i in eye.content_layers], wanted.content),
        f"{eye.name}-gram": _apart(_grams(found), wanted.grams),
        f"{eye.name}-mean-std": _apart(_moments(found), wanted.moments),
    }


def art_score(content: float, painted: Tensor, paintings: Tensor) -> dict[str, float]:
    """Lite0-FID of painted pictures' features [N, dim] and paintings' [M, dim], and (1 + content) x (1 + Lite0-FID).

    The product is formed as ArtFID is (Wright & Ommer 2022, eq. 4), of other networks' figures: compare it within a
    run, with the same numbers of pictures. Lower is better; as ArtFID does, it may rank the untouched photo first.
    """
    fid = frechet_distance(painted, paintings)
    return {"Lite0-FID": fid, "ArtFID-like": (1 + content) * (1 + fid)}


def _direction(maps: Tensor) -> Tensor:
    return maps / (maps.norm(dim=1, keepdim=True) + EPS)


def _grams(maps: Maps) -> list[Tensor]:
    """[N, C, C] a layer: the mean product of two channels."""
    flat = [x.flatten(2) for x in maps]
    return [x @ x.transpose(1, 2) / x.shape[2] for x in flat]


def _moments(maps: Maps) -> list[Tensor]:
    """[N, 2, C] a layer: means and deviations."""
    return [torch.stack(torch.std_mean(x, dim=(2, 3), correction=0), dim=1) for x in maps]


def _apart(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """The length of the difference as a share of what is wanted, mean over layers: [N]."""
    length = lambda x: x.flatten(1).norm(dim=1)
    return torch.stack([length(a - b) / (length(b) + EPS) for a, b in zip(found, wanted)]).mean(dim=0)
