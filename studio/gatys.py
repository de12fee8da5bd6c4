"""Style transfer by optimising the picture itself (Gatys et al. 2016, "Image Style Transfer Using CNNs", CVPR).

Slower than a network that paints in one pass, and finer: every picture is fitted to its own style. Where it departs:

* The perceptual network ends at relu3_1, which sees 24 px. The picture is painted from small to large, and at each
  size it is compared at half and at a quarter of that size as well (Snelgrove 2017, "High-Resolution Multi-Scale
  Neural Texture Synthesis"): large strokes come from where they are 24 px.
* Content is that of the photo in the style's colours, as `python -m train style` has it: it does not pull against the
  palette. Beside its shapes its areas count: statistics would put a style's darkest strokes where contrast is cheap.
* Texture is means and covariances of responses, in regions where masks are given (studio/texture.py).

Tensors only; `studio/fine.py` is the tool for pictures.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.config import Config, setting
from studio.models.style import StyleCode, blend, colour, colours, whiten
from studio.models.vgg import VGGEncoder
from studio.texture import MIN_SIDE, Moments, TextureMeter, mix

COARSEST = 96  # px; the longest side at which painting begins is this to twice this
SMALLEST = 32  # px; shorter sides are painted at this
OCTAVES = 3  # sizes at which one picture is compared: whole, half, quarter
CONTENT_OCTAVE = 1  # at half size: shapes count, and how each stroke lies is free
HISTORY = 6  # pairs of vectors that L-BFGS remembers; each takes 24 bytes a pixel
FIRST_STEP = 0.02  # root mean square of L-BFGS's first step
ADAM_STEP = 0.03
WORSE = 1.5  # times the best loss: the search has lost its way and goes back
GRAIN = 0.03  # noise at the beginning: where a photo is flat, texture needs something to begin with
AREA_HALVINGS, AREAS = 3, 0.5  # areas that keep their colours: of 8 px; how much they count beside shapes


@dataclass(frozen=True)
class FineSettings(Config):
    """How a picture is optimised; what it shall look like is said elsewhere."""

    steps: int = setting(200, "steps over all sizes, more of them at the small ones", low=1, high=10_000)
    side: int = setting(768, "longest side that is optimised", low=64, high=2048, unit="px")
    content: float = setting(0.5, "how much the photo's shapes count", low=0, high=100)
    smooth: float = setting(1.0, "how much grain is held down", low=0, high=100, advanced=True)
    optimizer: str = setting("lbfgs", "lbfgs, or adam", choices=["lbfgs", "adam"], advanced=True)
    start: str = setting("photo", "begin with the photo or the fast network's painting", choices=["photo", "fast"])
    seed: int = setting(0, "of the grain it begins with", low=0, high=2**31 - 1, advanced=True)


@dataclass(frozen=True)
class Progress:
    fraction: float  # 0..1 of the work, by how long steps take
    loss: float  # of the best so far at this size; losses of two sizes cannot be compared
    picture: Tensor  # [1, 3, h, w] in [-1, 1] on the CPU: the best so far, at the size that is being optimised


def optimise(
    vgg: VGGEncoder,
    photo: Tensor,
    styles: Sequence[Tensor],
    settings: FineSettings = FineSettings(),
    *,
    weights: Sequence[float] = (),
    stroke: float = 1.0,
    masks: Tensor | None = None,
    start: Tensor | None = None,
) -> Iterator[Progress]:
    """Paint, yielding after every step. To stop, stop asking: the last picture is the best so far.

    photo [1, 3, H, W] and styles, each [1, 3, h, w], in [-1, 1] on vgg's device. `weights` mix the styles. masks
    [R, 1, H, W] from 0 to 1: with one, only what lies in it counts; with one for each style, each has its region.
    stroke: times the size at which the styles are looked at. `start` [1, 3, h, w] is a painting to begin with. Equal
    arguments give equal pictures on one machine.
    """
    sizes = level_sizes(photo.shape[2:], settings.side)
    counts = level_steps(len(sizes), settings.steps)
    total = sum(n * h * w for n, (h, w) in zip(counts, sizes))
    noise = torch.Generator().manual_seed(settings.seed)
    x, done = start, 0
    for size, count in zip(sizes, counts):
        goal = Goal(vgg, resize(photo, size), styles, settings, weights=weights, stroke=stroke, masks=masks)
        if x is None:
            x = goal.photo + GRAIN * torch.randn(goal.photo.shape, generator=noise).to(photo)
        for x, loss in descend(goal, resize(x, size), count, settings.optimizer):
            done += size[0] * size[1]
            yield Progress(done / total, loss, x.clamp(-1, 1).cpu())


def level_sizes(size: Sequence[int], side: int) -> list[tuple[int, int]]:
    """Heights and widths to paint at, each about twice the one before, up to a longest side of at most `side` px."""
    longest = min(max(size), side)
    count = 1 + max(math.floor(math.log2(longest / COARSEST)), 0)
    scales = [longest / max(size) / 2**level for level in reversed(range(count))]
    return [tuple(max(round(n * scale), SMALLEST) for n in size) for scale in scales]


def level_steps(levels: int, steps: int) -> list[int]:
    """Steps at each size: half as many at four times the side, at least one."""
    shares = [2 ** (-level / 2) for level in range(levels)]
    return [max(round(steps * share / sum(shares)), 1) for share in shares]


def resize(picture: Tensor, size: Sequence[int]) -> Tensor:
    """[1, C, H, W] at (height, width)."""
    if tuple(picture.shape[2:]) == tuple(size):
        return picture
    return F.interpolate(picture, size=tuple(size), mode="bicubic", antialias=True)


class Goal:
    """What pictures of one size are compared with: `goal(x)` is a loss and its gradient [1, 3, H, W]."""

    def __init__(
        self, vgg: VGGEncoder, photo: Tensor, styles: Sequence[Tensor], settings: FineSettings, *,
        weights: Sequence[float] = (), stroke: float = 1.0, masks: Tensor | None = None,
    ) -> None:
        shares = photo.new_tensor([weights or [1.0] * len(styles)])
        shares = shares / shares.sum()
        if masks is not None:
            masks = F.interpolate(masks.to(photo), size=photo.shape[2:], mode="area")
            masks = masks / masks.sum(dim=0, keepdim=True).clamp(min=1)
            if len(masks) > 1:
                shares = torch.eye(len(styles)).to(photo)
        self.photo = recolour(photo, styles, shares, masks)
        self.areas = _halved(self.photo, AREA_HALVINGS)
        self.contrast = self.areas.var(correction=0) + 0.01
        self.settings = settings
        self.meters: list[TextureMeter] = []
        self.textures: list[Moments] = []
        self.shapes: list[Tensor | None] = []
        regions = [None] * OCTAVES if masks is None else _octaves(masks)
        for level, copy in enumerate(_octaves(self.photo)):
            height, width = copy.shape[2:]
            looks = [_at_area(style, height * width * stroke**2) for style in styles]
            self.textures.append(mix([TextureMeter(vgg, look.shape[2:]).moments(look) for look in looks], shares))
            self.meters.append(TextureMeter(vgg, (height, width), regions[level]))
            self.shapes.append(self.meters[-1].shapes(copy) if level == CONTENT_OCTAVE else None)
        if len(self.meters) <= CONTENT_OCTAVE:
            self.shapes[-1] = self.meters[-1].shapes(self.photo)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        copies = _octaves(x)
        parts = [
            meter.loss(copy, texture, shapes, self.settings.content * len(copies))
            for meter, copy, texture, shapes in zip(self.meters, copies, self.textures, self.shapes)
        ]
        losses, gradients = zip(*parts)
        areas = (_halved(x, AREA_HALVINGS) - self.areas).square().mean() / self.contrast
        beyond = (x.abs() - 1).clamp(min=0).square().mean()  # what is cut off must not stand in the statistics
        rest = self.settings.content * AREAS * areas + self.settings.smooth * variation(x) + beyond
        pulls = [*(gradient / len(copies) for gradient in gradients), torch.ones_like(rest)]
        (gradient,) = torch.autograd.grad([*copies, rest], x, pulls)
        return torch.stack(losses).mean() + rest.detach(), gradient.contiguous()


def recolour(photo: Tensor, styles: Sequence[Tensor], shares: Tensor, masks: Tensor | None = None) -> Tensor:
    """The photo [1, 3, H, W] in the colours of each region's shares [R, S] of the styles; the rest stays."""
    codes = [StyleCode(*colours(style), texture=style.new_zeros(1, 0)) for style in styles]
    together = StyleCode(*(torch.cat([getattr(c, name) for c in codes]) for name in ("mean", "root", "texture")))
    if masks is None:
        masks = photo.new_ones(1, 1, *photo.shape[2:])
    result = photo * (1 - masks.sum(dim=0))
    for mask, share in zip(masks, shares):
        inside = photo[:, :, mask[0] > 0.5]
        own = colours((inside if inside.shape[2] else photo.flatten(2))[..., None])
        wanted = blend(together, share)
        result = result + mask * colour(whiten(photo, *own), wanted.mean, wanted.root).clamp(-1, 1)
    return result


def variation(x: Tensor) -> Tensor:
    """Mean squared step between neighbours, of a picture [1, C, H, W]."""
    return sum(x.diff(dim=axis).square().mean() for axis in (2, 3) if x.shape[axis] > 1)


def descend(goal: Goal, x: Tensor, steps: int, optimizer: str) -> Iterator[tuple[Tensor, float]]:
    """Lower the goal's loss from x on; after every step, the best picture so far and its loss.

    L-BFGS runs without a line search: a step costs one look. Where it goes astray, it starts from the best again and
    takes smaller steps.
    """
    best, least, care, search = x.detach(), math.inf, 1.0, None
    for _ in range(steps):
        if search is None:
            x = best.clone(memory_format=torch.contiguous_format).requires_grad_()
            search = _search(x, optimizer, care)
        loss, x.grad = goal(x)
        value = float(loss)
        if value < least:
            best, least = x.detach().clone(), value
        elif not value < WORSE * least:
            search, care = None, care / 2
            yield best, least
            continue
        if optimizer == "lbfgs":
            # its first step has a length of lr / |gradient|_1, which says nothing about pictures
            length = float(x.grad.square().mean().sqrt() / x.grad.abs().sum().clamp(min=1))
            first = not search.state[x] and length > 0
            search.param_groups[0]["lr"] = care * (FIRST_STEP / length if first else 1.0)
        search.step(lambda: loss)
        yield best, least


def _search(x: Tensor, optimizer: str, care: float) -> torch.optim.Optimizer:
    if optimizer == "adam":
        return torch.optim.Adam([x], lr=care * ADAM_STEP, betas=(0.9, 0.99))
    return torch.optim.LBFGS([x], max_iter=1, history_size=HISTORY, tolerance_grad=0, tolerance_change=0)


def _octaves(x: Tensor) -> list[Tensor]:
    """x [N, C, H, W] whole, at half and at a quarter of its size, as far as there is something to see."""
    found = [x]
    while len(found) < OCTAVES and min(found[-1].shape[2:]) >= 2 * MIN_SIDE:
        found.append(_halved(found[-1], 1))
    return found


def _halved(x: Tensor, times: int) -> Tensor:
    """Smoothed before each time, with weights 1 3 3 1: what a box of 2 px lets through would be drawn as a grid."""
    taps = x.new_tensor([1, 3, 3, 1]) / 8
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)
    for _ in range(times):
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=x.shape[1])
    return x


def _at_area(style: Tensor, area: float) -> Tensor:
    """A style at about so many px, never enlarged: nothing would be in it that was not there before."""
    height, width = style.shape[2:]
    scale = min((area / (height * width)) ** 0.5, 1.0)
    return resize(style, [max(round(n * scale), MIN_SIDE) for n in (height, width)])
