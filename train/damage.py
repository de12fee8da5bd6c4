"""Shapes of damage, drawn at random: craquelure, losses, strokes and boxes.

Masks are [H, W] of bool, True where damaged.

Cracks are fractal lines by midpoint displacement (Fournier et al. 1982, "Computer Rendering of Stochastic Models"):
in paint they run as nets of about one mesh size, which stop where they meet, or as long lines with branches; either
tapers to less than a pixel. They are drawn at twice the size, so that a line may be half a pixel wide.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

FINE = 2  # lines are drawn at this many times the size
VISIBLE = 0.25  # coverage from which a pixel belongs to a line: half a pixel's width across it
MAX_AREA = 0.55  # share of a picture; beyond it there is little left to go by
MAX_EDGES = 130  # of a net, for speed
ATTEMPTS = 8

SHARES = {"craquelure": 0.4, "losses": 0.2, "strokes": 0.15, "boxes": 0.1, "mixed": 0.15}  # how often each is drawn

Lines = list[tuple[np.ndarray, np.ndarray]]  # points [P, 2] as (x, y) and a width for each step [P - 1], in px


def draw_masks(count: int, height: int, width: int, shares: Mapping[str, float] = SHARES) -> Tensor:
    """Random masks [count, 1, height, width] of float32 in {0, 1}, of each kind as often as its share of 1 says.

    torch's random generator decides which.
    """
    seeds = torch.randint(2**62, [count]).tolist()
    drawn = [draw_mask(np.random.default_rng(seed), height, width, shares) for seed in seeds]
    return torch.from_numpy(np.stack(drawn))[:, None].float()


def draw_mask(
    random: np.random.Generator, height: int, width: int, shares: Mapping[str, float] = SHARES
) -> np.ndarray:
    """One mask [height, width]: never empty, and at most MAX_AREA of it True."""
    for _ in range(ATTEMPTS):
        mask = draw_kind(random.choice(list(shares), p=list(shares.values())), random, height, width)
        if 0 < mask.mean() <= MAX_AREA:
            return mask
    mask = np.zeros((height, width), dtype=bool)
    mask[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = True
    return mask


def draw_kind(kind: str, random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A mask of one of the kinds in SHARES. It may turn out empty, or full."""
    if kind == "craquelure":
        return cover(craquelure(random, height, width), height, width) >= VISIBLE
    if kind == "losses":
        return blobs(random, height, width, math.exp(random.uniform(math.log(0.01), math.log(0.35))))
    if kind == "strokes":
        return strokes(random, height, width)
    if kind == "boxes":
        return boxes(random, height, width)
    cracks = cover(craquelure(random, height, width), height, width) >= VISIBLE
    return cracks | blobs(random, height, width, random.uniform(0.005, 0.1))


def craquelure(random: np.random.Generator, height: int, width: int) -> Lines:
    """A net of cracks, long ones with branches, or both."""
    kind = random.integers(3)
    lines = net(random, height, width) if kind != 1 else []
    if kind:
        for _ in range(random.integers(1, 4)):
            lines += branching(random, height, width)
    return lines


def net(random: np.random.Generator, height: int, width: int) -> Lines:
    """Cracks along the edges of a jittered lattice, some of them missing, within a part of the picture.

    Grain and canvas make meshes longer one way than the other, so the lattice is stretched and turned.
    """
    mesh, stretch = math.exp(random.uniform(math.log(12), math.log(64))), random.uniform(0.5, 2)
    step = np.array([mesh * stretch**0.5, mesh / stretch**0.5])
    reach = math.hypot(height, width) / 2
    columns, rows = (int(math.ceil(reach / s)) for s in step)
    across, down = np.meshgrid(np.arange(-columns, columns + 1), np.arange(-rows, rows + 1))
    nodes = np.stack([across, down], axis=-1) + random.uniform(-0.35, 0.35, (*across.shape, 2))
    angle = random.uniform(0, math.pi)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    nodes = (nodes * step) @ turn.T + np.array([width, height]) / 2

    pairs = (nodes[:, :-1], nodes[:, 1:]), (nodes[:-1], nodes[1:])
    edges = np.concatenate([np.stack(pair, axis=-2).reshape(-1, 2, 2) for pair in pairs])
    middle = edges.mean(axis=1)
    centre, radius = random.uniform(0, 1, 2) * (width, height), reach * random.uniform(0.4, 2)
    keep = random.random(len(edges)) < random.uniform(0.4, 0.95)
    keep &= ((middle > -mesh) & (middle < np.array([width, height]) + mesh)).all(axis=1)
    keep &= np.hypot(*(middle - centre).T) < radius
    edges = random.permutation(edges[keep])[:MAX_EDGES]
    points = displace(random, edges, depth=3, roughness=random.uniform(0.05, 0.2))
    base = math.exp(random.uniform(math.log(0.5), math.log(2.6)))
    return [(line, taper(random, len(line) - 1, base * random.uniform(0.5, 1.2))) for line in points]


def branching(random: np.random.Generator, height: int, width: int) -> Lines:
    """A long crack through the picture or into it, and shorter ones that leave it at steep angles."""
    size = np.array([width, height])
    start = random.uniform(0, 1, 2) * size
    angle, length = random.uniform(0, 2 * math.pi), random.uniform(0.3, 1.2) * math.hypot(height, width)
    end = start + length * np.array([math.cos(angle), math.sin(angle)])
    roughness, base = random.uniform(0.05, 0.18), math.exp(random.uniform(math.log(0.6), math.log(4.5)))
    (trunk,) = displace(random, np.stack([start, end])[None], depth=6, roughness=roughness)
    lines = [(trunk, taper(random, len(trunk) - 1, base, sure=True))]
    for _ in range(random.integers(0, 7)):
        root = trunk[random.integers(len(trunk))]
        bend = angle + random.choice([-1, 1]) * random.uniform(0.6, 1.6)
        tip = root + random.uniform(0.05, 0.4) * length * np.array([math.cos(bend), math.sin(bend)])
        (line,) = displace(random, np.stack([root, tip])[None], depth=5, roughness=roughness)
        lines.append((line, taper(random, len(line) - 1, base * random.uniform(0.3, 0.8), sure=True)))
    return lines


def displace(random: np.random.Generator, ends: np.ndarray, depth: int, roughness: float) -> np.ndarray:
    """Fractal lines between ends [E, 2, 2] -> points [E, 2**depth + 1, 2].

    Each step is halved `depth` times, its middle moved aside by `roughness` of its length times a normal number.
    """
    points = ends
    for _ in range(depth):
        along = np.diff(points, axis=1)
        aside = along[:, :, ::-1] * (-1, 1)
        middle = points[:, :-1] + along / 2 + aside * random.normal(0, roughness, (*aside.shape[:2], 1))
        finer = np.empty((len(points), 2 * points.shape[1] - 1, 2))
        finer[:, ::2], finer[:, 1::2] = points, middle
        points = finer
    return points


def taper(random: np.random.Generator, steps: int, base: float, sure: bool = False) -> np.ndarray:
    """Widths [steps] in px: about `base`, and down to half a pixel at an end if `sure`, or else as often as not."""
    along = np.linspace(1, 0, steps) if sure or random.random() < 0.5 else np.ones(steps)
    return 0.5 + np.maximum(base - 0.5, 0) * along


def cover(lines: Lines, height: int, width: int) -> np.ndarray:
    """How much of each pixel lines cover: float32 [height, width], 0..1."""
    canvas = Image.new("L", (width * FINE, height * FINE))
    draw = ImageDraw.Draw(canvas)
    for points, widths in lines:
        whole = np.maximum(np.rint(widths * FINE), 1).astype(int)
        cuts = [0, *(np.flatnonzero(np.diff(whole)) + 1), len(whole)]
        flat = (points * FINE).ravel().tolist()
        for first, last in zip(cuts, cuts[1:]):
            draw.line(flat[2 * first : 2 * last + 2], fill=255, width=int(whole[first]))
    return np.asarray(canvas.reduce(FINE), dtype=np.float32) / 255


def blobs(random: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """Patches with ragged edges that together are `share` of the picture: the highest places of smooth noise."""
    ground = smooth_noise(random, height, width, int(random.integers(3, 10)))
    ground += random.uniform(0.05, 0.3) * smooth_noise(random, height, width, int(random.integers(16, 48)))
    rank = min(max(round(ground.size * (1 - share)), 0), ground.size - 1)
    return ground > np.partition(ground, rank, axis=None)[rank]


def smooth_noise(random: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Normal numbers at about `cells` places along the longer side, smooth between them: float32 [height, width]."""
    longer = max(height, width)
    shape = [max(math.ceil(cells * side / longer), 1) + 1 for side in (height, width)]
    field = Image.fromarray(random.standard_normal(shape, dtype=np.float32))
    return np.asarray(field.resize((width, height), Image.Resampling.BICUBIC)).copy()


def strokes(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Scribbles as by a brush, of 2 to 20 percent of the shorter side."""
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    side = min(height, width)
    for _ in range(random.integers(1, 5)):
        thick = max(round(side * random.uniform(0.02, 0.2)), 1)
        turns = random.normal(0, 1, random.integers(2, 8)).cumsum() + random.uniform(0, 2 * math.pi)
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * random.uniform(0.05, 0.35, (len(turns), 1)) * side
        points = random.uniform(0, 1, 2) * (width, height) + np.concatenate([np.zeros((1, 2)), steps.cumsum(axis=0)])
        draw.line(points.ravel().tolist(), fill=255, width=thick, joint="curve")
        for x, y in points[[0, -1]]:
            draw.ellipse([x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2], fill=255)
    return np.asarray(canvas) > 0


def boxes(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One to three rectangles of 5 to 50 percent of either side."""
    mask = np.zeros((height, width), dtype=bool)
    for _ in range(random.integers(1, 4)):
        tall, wide = (max(round(side * random.uniform(0.05, 0.5)), 1) for side in (height, width))
        top, left = random.integers(0, height - tall + 1), random.integers(0, width - wide + 1)
        mask[top : top + tall, left : left + wide] = True
    return mask
