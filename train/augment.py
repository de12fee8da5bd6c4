"""What D is shown changed, so that few pictures last longer. Both real and generated pictures pass through.

ADA: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", arXiv:2006.06676: pixel
blitting, geometry and colour ("bgc"), each with probability p, and p steered by how often D is sure of real pictures.
DiffAugment: Zhao et al. 2020, arXiv:2006.10738: colour, translation, cutout, always on.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

AUGMENTS = ("ada", "diff", "none")
ADJUST_STEPS = 4  # steps between two adjustments of p


class AdaptiveStrength:
    """ADA's p: raised while D is surer of real pictures than `target`, lowered otherwise.

    r_t = mean sign of D's logits on real pictures (eq. 1): 0 when it guesses, 1 when it knows them by heart. p goes
    from 0 to 1 in `kimg` thousand pictures at the fastest.
    """

    def __init__(self, target: float, kimg: float) -> None:
        self.target, self.kimg = target, kimg
        self.p = 0.0
        self.r_t = 0.0
        self._signs: Tensor | float = 0.0
        self._seen = 0

    def observe(self, logits: Tensor) -> None:
        """D's logits [N] on real pictures."""
        self._signs = self._signs + logits.sign().sum()
        self._seen += len(logits)

    def adjust(self, step: int, batch: int, reduce: Callable[[Tensor], Tensor]) -> None:
        """Move p, every few steps. `batch` is the size over all processes, `reduce` averages over them."""
        if step % ADJUST_STEPS or not self._seen:
            return
        self.r_t = reduce(torch.as_tensor(self._signs) / self._seen).item()
        direction = (self.r_t > self.target) - (self.r_t < self.target)
        self.p = min(max(self.p + direction * batch * ADJUST_STEPS / (self.kimg * 1000), 0.0), 1.0)
        self._signs, self._seen = 0.0, 0

    def scalars(self) -> dict[str, float]:
        return {"ada_p": self.p, "ada_rt": self.r_t, "ada_signs": float(self._signs), "ada_seen": self._seen}

    def load_scalars(self, values: dict[str, float]) -> None:
        self.p, self.r_t = values.get("ada_p", 0.0), values.get("ada_rt", 0.0)
        self._signs, self._seen = values.get("ada_signs", 0.0), int(values.get("ada_seen", 0))


def ada_augment(x: Tensor, p: float) -> Tensor:
    """The "bgc" pipeline at strength p in [0, 1]; x [N, C, H, W] in [-1, 1], C 1 or 3 -> the same shape.

    departs from the paper: pictures are resampled bilinearly, without the wavelet filter; D sees both sides alike,
    and it costs a fifth. At p = 0 the picture returns unchanged.
    """
    if p <= 0:
        return x
    n, _, height, width = x.shape
    rand = lambda *shape: torch.rand(*shape, device=x.device)
    normal = lambda: torch.randn(n, device=x.device)
    often = lambda value, neutral, chance=p: torch.where(rand(n) < chance, value, torch.full_like(value, neutral))

    # Pixel blitting: flips, quarter turns, whole-pixel shifts.
    m = _scale(often(torch.where(rand(n) < 0.5, -1.0, 1.0), 1.0), torch.ones(n, device=x.device))
    m = m @ _rotate(often((rand(n) * 4).floor() * (math.pi / 2), 0.0))
    shift = lambda side: often(((rand(n) * 2 - 1) * 0.125 * side).round() / side * 2, 0.0)
    m = m @ _translate(shift(width), shift(height))

    # Geometry: the two rotations together happen with probability p.
    p_rotate = 1 - math.sqrt(1 - p)
    size = often(torch.exp2(normal() * 0.2), 1.0)
    m = m @ _scale(size, size) @ _rotate(often((rand(n) * 2 - 1) * math.pi, 0.0, p_rotate))
    stretch = often(torch.exp2(normal() * 0.2), 1.0)
    m = m @ _scale(stretch, 1 / stretch) @ _rotate(often((rand(n) * 2 - 1) * math.pi, 0.0, p_rotate))
    m = m @ _translate(often(normal() * 0.25, 0.0), often(normal() * 0.25, 0.0))
    x = F.grid_sample(
        x, F.affine_grid(m[:, :2], x.shape, align_corners=False), padding_mode="reflection", align_corners=False
    )

    # Colour: one affine map of colours a picture.
    gain = often(torch.exp2(normal() * 0.5), 1.0)
    bias = often(normal() * 0.2, 0.0)
    flip = often(torch.where(rand(n) < 0.5, -1.0, 1.0), 1.0)
    if x.shape[1] == 1:
        return (x + bias[:, None, None, None]) * (gain * flip)[:, None, None, None]
    grey = torch.full([3, 3], 1 / 3, device=x.device)  # the projection on the grey axis
    luma = torch.eye(3, device=x.device) - (1 - flip)[:, None, None] * grey
    hue = rotate_about_grey(often((rand(n) * 2 - 1) * math.pi, 0.0))
    saturation = often(torch.exp2(normal()), 1.0)[:, None, None]
    colour = (grey + (torch.eye(3, device=x.device) - grey) * saturation) @ hue @ luma * gain[:, None, None]
    return torch.einsum("nij,njhw->nihw", colour, x + bias[:, None, None, None])


def _scale(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def _rotate(angle: Tensor) -> Tensor:
    zero, one, cos, sin = torch.zeros_like(angle), torch.ones_like(angle), angle.cos(), angle.sin()
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).view(-1, 3, 3)


def _translate(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([one, zero, x, zero, one, y, zero, zero, one], dim=1).view(-1, 3, 3)


def rotate_about_grey(angle: Tensor) -> Tensor:
    """Rotations of RGB about the axis (1, 1, 1) (Rodrigues): [N] -> [N, 3, 3]."""
    k = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device) / math.sqrt(3)
    sin, cos = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3, device=angle.device) + sin * k + (1 - cos) * (k @ k)


def diff_augment(x: Tensor) -> Tensor:
    """Colour, translation by up to 1/8, cutout of 1/2; x [N, C, H, W] in [-1, 1] -> the same shape."""
    n, _, height, width = x.shape
    rand = lambda: torch.rand(n, 1, 1, 1, device=x.device)
    x = x + (rand() - 0.5)
    if x.shape[1] > 1:
        grey = x.mean(dim=1, keepdim=True)
        x = grey + (x - grey) * (rand() * 2)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * (rand() + 0.5)

    # Translation: whole pixels, grey outside, gathered by row and column.
    rows = torch.arange(height, device=x.device) - ((rand() * 2 - 1) * height / 8).round().view(n, 1)
    columns = torch.arange(width, device=x.device) - ((rand() * 2 - 1) * width / 8).round().view(n, 1)
    inside_rows, inside_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    x = x.gather(2, rows.clamp(0, height - 1).long()[:, None, :, None].expand_as(x))
    x = x.gather(3, columns.clamp(0, width - 1).long()[:, None, None, :].expand_as(x))
    x = x * (inside_rows[:, None, :, None] & inside_columns[:, None, None, :])

    # Cutout: one grey square whose centre is anywhere.
    near = lambda side: (torch.arange(side, device=x.device) + 0.5 - rand().view(n, 1) * side).abs() < side / 4
    return x * ~(near(height)[:, None, :, None] & near(width)[:, None, None, :])
