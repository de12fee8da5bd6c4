"""Damage as it looks, drawn at random on pictures that have none: what a detector learns from.

Shapes are those of train/damage.py. Pictures are numpy arrays [3, H, W] of float32 in 0..1, labels [4, H, W] of bool
in the order of `studio.models.damage.CLASSES`. Damage that cannot be seen, as a dark crack in a shadow, is not
labelled. Some lines are drawn that are no damage: a detector that has not met a pen takes every contour for a crack.
"""

import io
import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from studio.models.damage import CLASSES
from train.damage import VISIBLE, blobs, cover, craquelure, smooth_noise

CRACK, LOSS, STAIN, FOLD = range(len(CLASSES))
OFTEN = (0.6, 0.3, 0.25, 0.25)  # how often a damaged picture has each
WHOLE = 0.15  # share of pictures without any
FAINT = 0.05  # of 0..1; a smaller change is not seen
NEAR = 4  # px; a change makes seen what is so near
GROUNDS = ((0.93, 0.90, 0.84), (0.80, 0.70, 0.55), (0.62, 0.47, 0.33), (0.55, 0.53, 0.50), (0.25, 0.20, 0.17))
# light that a stain lets through
TINTS = ((0.80, 0.66, 0.42), (0.88, 0.80, 0.62), (0.60, 0.52, 0.42), (0.70, 0.78, 0.66))

Aged = tuple[np.ndarray, np.ndarray]  # a picture, and where it was damaged [H, W]


def age_all(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [N, 3, H, W] in [-1, 1] -> damaged, and labels [N, 4, H, W] in {0, 1}; torch's generator decides."""
    seeds = torch.randint(2**62, [len(pictures)]).tolist()
    levels = (pictures.cpu().numpy() + 1) / 2
    aged, labels = zip(*(age(np.random.default_rng(seed), picture) for seed, picture in zip(seeds, levels)))
    return torch.from_numpy(np.stack(aged)) * 2 - 1, torch.from_numpy(np.stack(labels)).float()


def age(random: np.random.Generator, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One picture, damaged or not, as a camera or a scanner might see it, and its labels."""
    labels = np.zeros((len(CLASSES), *picture.shape[1:]), dtype=bool)
    if random.random() < 0.4:
        picture = pen_lines(random, picture)
    if random.random() >= WHOLE:
        chosen = random.random(len(CLASSES)) < OFTEN
        if not chosen.any():
            chosen[random.integers(len(CLASSES))] = True
        for kind, damage in ((STAIN, stain), (FOLD, fold), (CRACK, crack), (LOSS, loss)):
            if chosen[kind]:
                before = picture
                picture, where = damage(random, before)
                seen = where & visible(before, picture)
                # what lay under lost paint is lost with it
                labels = labels & ~seen if kind == LOSS else labels
                labels[kind] = seen
    return capture(random, picture), labels


def crack(random: np.random.Generator, picture: np.ndarray) -> Aged:
    """Thin lines, mostly dark, some pale, some with a lit edge where the paint curls up."""
    height, width = picture.shape[1:]
    ink = cover(craquelure(random, height, width), height, width)
    tone = picture.mean(axis=(1, 2), keepdims=True) * random.uniform(0.05, 0.45) + random.uniform(0, 0.08, (3, 1, 1))
    if random.random() < 0.25:
        tone = random.uniform(0.75, 0.97) * np.array([1, 0.97, 0.92])[:, None, None]
    aged = picture
    if random.random() < 0.3:
        lit = np.roll(ink, random.choice([-1, 1], 2), axis=(0, 1))
        aged = aged + random.uniform(0.04, 0.2) * lit
    alpha = ink * random.uniform(0.45, 1)
    return _clip(aged + (tone - aged) * alpha), ink >= VISIBLE


def loss(random: np.random.Generator, picture: np.ndarray) -> Aged:
    """Places where the paint is gone and the ground or the canvas shows, with a shadow along the edge."""
    height, width = picture.shape[1:]
    where = blobs(random, height, width, math.exp(random.uniform(math.log(0.002), math.log(0.15))))
    ground = np.array(GROUNDS[random.integers(len(GROUNDS))])[:, None, None] * random.uniform(0.85, 1.08, (3, 1, 1))
    grain = random.normal(0, random.uniform(0.005, 0.05), (height, width))
    ground = ground + grain + random.uniform(0, 0.06) * smooth_noise(random, height, width, 12)
    if random.random() < 0.6:
        step = random.integers(1, 3) * random.choice([-1, 1], 2)
        edge = where & ~np.roll(where, step, axis=(0, 1))
        ground = ground - random.uniform(0.1, 0.4) * edge
    return _clip(np.where(where, ground, picture)), where


def stain(random: np.random.Generator, picture: np.ndarray) -> Aged:
    """Soft areas seen through a tint, or as under a bloom of white; some with a dark rim, as dried water leaves."""
    height, width = picture.shape[1:]
    field = smooth_noise(random, height, width, int(random.integers(2, 7)))
    field += random.uniform(0.02, 0.15) * smooth_noise(random, height, width, 24)
    level = np.quantile(field[::4, ::4], 1 - random.uniform(0.03, 0.35))
    alpha = np.clip((field - level) / random.uniform(0.03, 0.5) + 0.5, 0, 1) * random.uniform(0.5, 1)
    if random.random() < 0.75:
        shown = picture * np.array(TINTS[random.integers(len(TINTS))])[:, None, None]
    else:
        shown = picture * 0.6 + random.uniform(0.3, 0.4)
    aged = picture + (shown - picture) * alpha
    if random.random() < 0.4:
        rim = np.exp(-np.square((field - level) / random.uniform(0.03, 0.1)))
        aged = aged * (1 - random.uniform(0.1, 0.35) * rim)
    return _clip(aged), field > level


def fold(random: np.random.Generator, picture: np.ndarray) -> Aged:
    """A crease from side to side, lit on one edge and in shadow on the other, rubbed white here and there."""
    height, width = picture.shape[1:]
    angle = random.choice([0, math.pi / 2]) + random.normal(0, 0.12)
    down, across = np.mgrid[:height, :width].astype(np.float32)
    x, y = random.uniform(0.1, 0.9, 2) * (width, height)
    away = (across - x) * math.sin(angle) - (down - y) * math.cos(angle)
    away += random.uniform(0, 2) * smooth_noise(random, height, width, 4)
    thick = random.uniform(0.8, 3)
    ridge = lambda at: np.exp(-np.square((away - at) / thick))
    shade = ridge(thick) * random.uniform(0.1, 0.35) - ridge(-thick) * random.uniform(0.1, 0.35)
    slope = random.uniform(-0.08, 0.08) * np.sign(away) * np.exp(-np.abs(away) / 20)
    aged = picture + shade + slope
    if random.random() < 0.6:
        rubbed = ridge(0) * (smooth_noise(random, height, width, 40) > random.uniform(-0.5, 1))
        aged = aged + (random.uniform(0.8, 0.95) - aged) * rubbed
    return _clip(aged), np.abs(away) < 1.6 * thick + 0.5


def visible(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where two pictures [3, H, W] differ: bool [H, W], in squares of NEAR px."""
    change = np.abs(after - before).max(axis=0) > FAINT
    found = Image.fromarray(change.astype(np.float32)).reduce(NEAR)
    width, height = found.width * NEAR, found.height * NEAR
    squares = np.asarray(found.resize((width, height), Image.Resampling.NEAREST)) > 0
    return squares[: change.shape[0], : change.shape[1]]


def pen_lines(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Smooth strokes of one width in colours of the picture: no damage."""
    height, width = picture.shape[1:]
    along = np.linspace(0, 1, 24)[:, None]
    for _ in range(random.integers(1, 6)):
        ink = Image.new("L", (width, height))
        a, b, c = random.uniform(-0.1, 1.1, (3, 2)) * (width, height)
        points = (1 - along) ** 2 * a + 2 * along * (1 - along) * b + along**2 * c  # a Bezier curve
        ImageDraw.Draw(ink).line(points.ravel().tolist(), fill=255, width=int(random.integers(1, 5)), joint="curve")
        colour = picture[:, random.integers(height), random.integers(width)] * random.uniform(0.4, 1.1)
        alpha = np.asarray(ink, dtype=np.float32) * (random.uniform(0.6, 1) / 255)
        picture = picture + (colour[:, None, None] - picture) * alpha
    return _clip(picture)


def capture(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Other light, a little noise, and sometimes JPEG."""
    picture = (picture - 0.5) * random.uniform(0.8, 1.15) + 0.5 + random.uniform(-0.06, 0.06)
    noise = random.standard_normal(picture.shape, dtype=np.float32) * random.uniform(0, 0.03)
    picture = _clip(picture + noise)
    if random.random() < 0.4:
        file = io.BytesIO()
        pixels = (picture.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(file, "JPEG", quality=int(random.integers(55, 96)))
        picture = np.asarray(Image.open(file), dtype=np.float32).transpose(2, 0, 1) / 255
    return np.ascontiguousarray(picture)


def _clip(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 1).astype(np.float32)
