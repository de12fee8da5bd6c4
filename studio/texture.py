"""Texture and shapes of a picture in a perceptual network, and their exact gradient, in bounded memory at any size.

Texture is how responses are distributed: their means and covariances (Gatys et al. 2015, arXiv:1505.07376, take the
products alone, in which the mean drowns the rest). Both follow from sums over the picture, so they are collected tile
by tile. So is a loss's gradient: what the loss asks of each sum is known after one pass, and a second one brings it
to the pixels of each tile. A picture of one tile takes one pass.

The network is read so that optimisation has nothing to exploit: it takes smooth means where the encoder takes maxima,
whose gradient falls on a grid, and mirrors at borders, where zeros would have a frame drawn around the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.models.vgg import CHANNELS, LAYERS, VGGEncoder

STEPS = (1, 1, 2, 2, 4)  # px between responses, by layer
TILE, HALO, FRAME = 512, 16, 16  # px, multiples of 4; relu3_1 looks 13 px around
MIN_SIDE = 24  # px; less cannot be mirrored
MEAN_GAIN = 1.3  # four responses' maximum is about so much more than their mean
EPS = 1e-3

Moments = list[tuple[Tensor, Tensor]]  # by layer: means [R, C] and means of products [R, C, C] in each of R regions


def texture_distance(found: Moments, wanted: Moments) -> Tensor:
    """How differently responses are distributed: 0 where alike, about 1 where nothing of what is wanted is found.

    Means and covariances count alike, each relative to what is wanted: a faint drawing as much as a bold one.
    """
    terms = []
    for (mean, product), (goal, goal_product) in zip(found, wanted):
        spread, goal_spread = _covariance(mean, product), _covariance(goal, goal_product)
        terms.append((mean - goal).square().sum(dim=1) / (goal.square().sum(dim=1) + EPS))
        terms.append((spread - goal_spread).square().sum(dim=(1, 2)) / (goal_spread.square().sum(dim=(1, 2)) + EPS))
    return torch.stack(terms).mean()


def mix(moments: Sequence[Moments], shares: Tensor) -> Moments:
    """Moments of S pictures of one region each, as R regions of which each holds the shares [R, S] of them."""
    layers = zip(*moments)
    return [tuple(torch.einsum("rs,s...->r...", shares, torch.cat(part)) for part in zip(*layer)) for layer in layers]


class TextureMeter:
    """Measures pictures [1, 3, H, W] in [-1, 1] of one size, sides at least 24 px.

    masks [R, 1, H, W] from 0 to 1: the regions whose texture is told apart; without them there is one, of everything.
    """

    def __init__(self, vgg: VGGEncoder, size: Sequence[int], masks: Tensor | None = None) -> None:
        self.vgg = vgg
        self.size = height, width = tuple(size)
        corners = ((top, left) for top in range(0, height, TILE) for left in range(0, width, TILE))
        self.tiles = [_Tile(top, left, height, width) for top, left in corners]
        self.masks: list[Tensor] | None = None  # by layer [R, h, w]
        self.counts = [torch.tensor([float((height // step) * (width // step))]) for step in STEPS]
        if masks is not None:
            self.masks = [F.avg_pool2d(masks, step)[:, 0] for step in STEPS]
            self.counts = [mask.sum(dim=(1, 2)).clamp(min=EPS) for mask in self.masks]

    @torch.no_grad()
    def moments(self, picture: Tensor) -> Moments:
        framed = _frame(picture)
        parts = (self._part(self._look(tile.cut(framed), tile), tile) for tile in self.tiles)
        found = next(parts)
        for part in parts:
            found = [tuple(map(torch.add, a, b)) for a, b in zip(found, part)]
        return found

    @torch.no_grad()
    def shapes(self, picture: Tensor) -> Tensor:
        """The last layer's responses [1, C, H // 4, W // 4]."""
        framed = _frame(picture)
        found = picture.new_zeros(1, CHANNELS[-1], *(side // STEPS[-1] for side in self.size))
        for tile in self.tiles:
            found[:, :, *tile.inside(STEPS[-1])] = self._look(tile.cut(framed), tile)[-1]
        return found

    def loss(
        self, picture: Tensor, texture: Moments, shapes: Tensor | None, shapes_weight: float
    ) -> tuple[Tensor, Tensor]:
        """Distance of the texture and, if given, the shapes, relative to their strength; gradient [1, 3, H, W]."""
        picture = picture.detach().requires_grad_()
        with torch.enable_grad():
            framed = _frame(picture)
            if len(self.tiles) == 1:
                responses = self._look(framed, self.tiles[0])
                loss = texture_distance(self._part(responses, self.tiles[0]), texture)
                loss = loss + shapes_weight * self._apart(responses, self.tiles[0], shapes)
                return loss.detach(), torch.autograd.grad(loss, picture)[0]

            sums = [t.requires_grad_() for pair in self.moments(picture) for t in pair]
            loss = texture_distance(list(zip(sums[::2], sums[1::2])), texture)
            pulls = torch.autograd.grad(loss, sums)
            loss, gradient = loss.detach(), torch.zeros_like(framed)
            for tile in self.tiles:
                x = tile.cut(framed).detach().requires_grad_()
                responses = self._look(x, tile)
                parts = [t for pair in self._part(responses, tile) for t in pair]
                distance = shapes_weight * self._apart(responses, tile, shapes)
                pulled = distance + sum((part * pull).sum() for part, pull in zip(parts, pulls))
                tile.cut(gradient).add_(torch.autograd.grad(pulled, x)[0])
                loss = loss + distance.detach()
            return loss, torch.autograd.grad(framed, picture, gradient)[0]

    def _look(self, piece: Tensor, tile: "_Tile") -> list[Tensor]:
        """By layer, the responses [1, C, h, w] that belong to the tile, to what was cut out with its surroundings."""
        x, found = piece.contiguous(memory_format=torch.channels_last), []
        for layer, step, before in zip(LAYERS, STEPS, (1, *STEPS)):
            if step > before:
                # weights 1 2 2 1: each pixel is in several means, and no grid shows which ones
                x = F.avg_pool2d(F.avg_pool2d(x, 3, stride=1, padding=1), 2) * MEAN_GAIN
            weight, bias = (getattr(self.vgg, f"{layer}_{part}") for part in ("weight", "bias"))
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            found.append(x[:, :, *tile.within(step)])
        return found

    def _part(self, responses: list[Tensor], tile: "_Tile") -> Moments:
        """What the tile adds to the picture's moments."""
        found = []
        for i, (response, count) in enumerate(zip(responses, self.counts)):
            values = response[0].permute(1, 2, 0).flatten(0, 1)[None]  # [1, h w, C]
            weighted, count = values, count.to(values)
            if self.masks is not None:
                weighted = values * self.masks[i][:, *tile.inside(STEPS[i])].flatten(1)[:, :, None]
            product = weighted.transpose(1, 2) @ values
            found.append((weighted.sum(dim=1) / count[:, None], product / count[:, None, None]))
        return found

    def _apart(self, responses: list[Tensor], tile: "_Tile", shapes: Tensor | None) -> Tensor:
        if shapes is None:
            return responses[-1].new_zeros(())
        difference = responses[-1] - shapes[:, :, *tile.inside(STEPS[-1])]
        return difference.square().sum() / (shapes.square().sum() + EPS)


@dataclass(frozen=True)
class _Tile:
    """A part of a picture of height x width, cut out of the framed picture with what its responses see around it."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, framed: Tensor) -> Tensor:
        """A view [1, 3, h, w] of the framed picture."""
        rows, columns = (slice(self._start(at), min(at + TILE, end) + FRAME + HALO) for at, end in self._places())
        return framed[:, :, rows, columns]

    def inside(self, step: int) -> tuple[slice, slice]:
        """Its place among the picture's responses, of which there is one in `step` pixels."""
        rows, columns = (slice(at // step, min(at + TILE, end) // step) for at, end in self._places())
        return rows, columns

    def within(self, step: int) -> tuple[slice, slice]:
        """Its place among the responses to what was cut out."""
        shifts = ((at + FRAME - self._start(at)) // step - at // step for at, _ in self._places())
        rows, columns = (slice(s.start + shift, s.stop + shift) for s, shift in zip(self.inside(step), shifts))
        return rows, columns

    def _places(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.top, self.height), (self.left, self.width)

    @staticmethod
    def _start(at: int) -> int:
        return max(at + FRAME - HALO, 0)


def _frame(picture: Tensor) -> Tensor:
    return F.pad(picture, (FRAME, FRAME, FRAME, FRAME), mode="reflect")


def _covariance(mean: Tensor, product: Tensor) -> Tensor:
    return product - mean[:, :, None] * mean[:, None]
