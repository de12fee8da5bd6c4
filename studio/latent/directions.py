"""Dials: principal directions of w, ranked by what they do to the picture; strong at their ends, but not broken.

GANSpace (Harkonen et al. 2020, arXiv:2004.02546) takes the principal components of w in order of variance; but
variance in w is not change in the picture, and its ranges are set by hand. Here each component is tried on a few
pictures: the dials are those that change them most, each reaches as far as the w of real samples do, and those that
do nothing are left out.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.capabilities import StyleGenerator
from studio.latent.mapping import styles
from studio.latent.walk import z_from_seed

DIALS = 8
SAMPLES = 4096  # of w, for the components
CANDIDATES = 16
PROBES = 4  # pictures that every component is tried on
REACH = 3.0  # a dial's end, in standard deviations of w along it: beyond it hardly any sample lies ...
STRONG = 0.9  # ... and it stops earlier where the picture has changed as much as this share of another seed's
DEAD = 0.08  # a dial that cannot change it by this share is left out
MAPPED_AT_ONCE = 512

Turn = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Dials:
    """Directions [K, w_dim] whose lengths are their ranges (a dial at 1 adds one to w), and their effects [K].

    An effect is the mean change of the picture at the dial's ends, as a share of the mean difference of two seeds,
    and at most STRONG. There are DIALS or fewer.
    """

    directions: Tensor
    effects: Tensor

    def offset(self, values: tuple[float, ...]) -> Tensor:
        """What dials at `values` (each -1..1) add to w: [w_dim]. Values beyond the number of dials are ignored."""
        amounts = torch.tensor(values[: len(self.directions)], dtype=torch.float32, device=self.directions.device)
        return amounts @ self.directions[: len(amounts)]


def find_dials(G: StyleGenerator, label: int = 0, turn: Turn = nullcontext) -> Dials:
    """Search a generator's w for dials. Deterministic; costs 132 pictures, and up to as many again.

    label: the class they are looked for in, of a model with classes. turn() is entered for each part of the work on
    the generator, PROBES pictures or fewer: between two of them others may use the device.
    """
    device = G.w_avg.device
    seeds = range(1_000_000, 1_000_000 + SAMPLES)
    z = torch.cat([z_from_seed(seed, G.z_dim) for seed in seeds])
    parts = []
    for part in z.split(MAPPED_AT_ONCE):
        with turn():
            parts.append(styles(G, part, label)[:, 0].cpu().double())
    w = torch.cat(parts)  # on the CPU: Apple's MPS has neither float64 nor eigh
    mean = w.mean(dim=0)
    variances, components = torch.linalg.eigh((w - mean).T @ (w - mean) / (SAMPLES - 1))
    order = variances.argsort(descending=True)[:CANDIDATES]
    components, deviations = components[:, order].T, variances[order].clamp(min=0).sqrt()
    components = components * _signs(components)
    steps = (components * deviations[:, None]).float().to(device)  # [candidates, w_dim], one standard deviation each

    probes = (mean + 0.7 * (w[:PROBES] - mean)).float().to(device)
    pictures = _draw(G, probes, turn)
    unit = torch.stack([(pictures[i] - pictures[j]).abs().mean() for i in range(PROBES) for j in range(i)]).mean()
    full = _effects(G, probes, pictures, steps * REACH, turn) / unit

    reach = torch.full_like(full, REACH)
    over = full > STRONG
    if over.any():
        half, whole = _effects(G, probes, pictures, steps[over] * (REACH / 2), turn) / unit, full[over]
        # Between the two measured reaches the effect is close to linear; below the nearer one likewise, from zero.
        between = REACH / 2 * (1 + (STRONG - half) / (whole - half).clamp(min=1e-6))
        below = REACH / 2 * STRONG / half.clamp(min=1e-6)
        reach[over] = torch.where(half > STRONG, below, between.clamp(REACH / 2, REACH))
    effects = full.clamp(max=STRONG)

    # Ranked by change per standard deviation: among those that reach "strong", the one that gets there first leads.
    ranked = (full / REACH).argsort(descending=True)
    alive = [i for i in ranked.tolist() if effects[i] >= DEAD][:DIALS]
    return Dials(steps[alive] * reach[alive, None], effects[alive])


def _signs(components: Tensor) -> Tensor:
    """Eigenvectors come with either sign; the largest entry is made positive, so that a dial never turns round."""
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    return largest.sign()


def _draw(G: StyleGenerator, w: Tensor, turn: Turn) -> Tensor:
    together = max(1, min(PROBES, 2**20 // G.resolution**2))  # a megapixel is a moment's work
    pictures = []
    for part in w.split(together):
        with turn():
            pictures.append(G.synthesis(part[:, None].expand(-1, G.num_ws, -1)).clamp(-1, 1))
    return torch.cat(pictures)


def _effects(G: StyleGenerator, probes: Tensor, pictures: Tensor, steps: Tensor, turn: Turn) -> Tensor:
    """Mean absolute change of the probes' pictures when w moves by plus and minus each step: [len(steps)]."""
    changes = []
    for step in steps:
        moved = _draw(G, torch.cat([probes + step, probes - step]), turn)
        changes.append((moved - pictures.repeat(2, 1, 1, 1)).abs().mean())
    return torch.stack(changes)
