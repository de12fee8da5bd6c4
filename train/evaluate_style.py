"""Measure a style model on photos and paintings that were held out of its training, beside the untouched photos."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio.checkpoint import load_network
from studio.errors import SettingError
from studio.library import BUNDLED
from studio.models.style import StyleNetwork
from studio.nn.features import Lite0
from train.data import Pictures
from train.metrics import extract
from train.squares import open_squares, random_crops
from train.style_metrics import Eye, Lite0Eye, VGGEye, Wanted, art_score, distances

SIDE = 256  # px; photos and paintings are measured as squares of this
STYLE_SIDE = 512  # px; squares of paintings, of which crops are taken as in training
BATCH = 4

Painter = Callable[[Tensor, Tensor], Tensor]  # photos and paintings [N, 3, S, S] in [-1, 1] -> painted [N, 3, S, S]


def evaluate_style(
    network: StyleNetwork, settings: Mapping[str, Any], data: Path, styles: Path | None, *, pairs: int, seed: int,
    device: torch.device,
) -> dict[str, float]:
    """Distances of `pairs` painted pictures from photos and paintings, and of the untouched photos ("photo-...").

    `settings` are those of the training: what it held out of `data` and `styles` is measured on. The network is on
    `device`. Raises StudioError.
    """
    if styles is None:
        raise SettingError("styles is missing; give a folder or a zip of paintings with --styles")
    photos = _held_out(data, SIDE, settings.get("holdout", 0.0))
    paintings = _held_out(styles, STYLE_SIDE, settings.get("style_holdout", 0.0))
    lite0 = Lite0(device)
    eyes = [VGGEye(load_network(BUNDLED / "vgg").to(device)), Lite0Eye(lite0)]
    paint: Painter = lambda contents, looks: network(contents, network.encode(looks))
    untouched: Painter = lambda contents, looks: contents
    result: dict[str, float] = {"pairs": pairs}
    for prefix, painter in (("", paint), ("photo-", untouched)):
        found = measure(painter, draw_pairs(photos, paintings, pairs, seed, device), eyes, lite0)
        result |= {prefix + name: value for name, value in found.items()}
    return result


def draw_pairs(
    photos: Pictures, paintings: Pictures, pairs: int, seed: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of photos and crops of paintings, [n, 3, SIDE, SIDE] in [-1, 1]; the same ones for the same seed.

    Photos and paintings go round as evenly as they can. A crop has at least half of its square's side.
    """
    shuffle = lambda data, salt: torch.randperm(len(data), generator=torch.Generator().manual_seed(seed * 2 + salt))
    first, second = shuffle(photos, 0), shuffle(paintings, 1)
    for start in range(0, pairs, BATCH):
        rows = range(start, min(start + BATCH, pairs))
        contents = _load(photos, [int(first[i % len(first)]) for i in rows], device)
        squares = _load(paintings, [int(second[i % len(second)]) for i in rows], device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + start)
            yield contents, random_crops(squares, SIDE, SIDE)


@torch.inference_mode()
def measure(
    painter: Painter, pairs: Iterable[tuple[Tensor, Tensor]], eyes: list[Eye], lite0: Lite0
) -> dict[str, float]:
    """Mean distances over the pairs in either network, Lite0-FID and the ArtFID-like score."""
    values: dict[str, list[Tensor]] = {}
    painted, paintings = [], []
    for contents, looks in pairs:
        made = painter(contents, looks).clamp(-1, 1)
        for eye in eyes:
            for name, distance in distances(eye, made, Wanted.of(eye, contents, looks)).items():
                values.setdefault(name, []).append(distance)
        painted.append(made)
        paintings.append(looks)
    means = {name: float(torch.cat(parts).mean()) for name, parts in values.items()}
    return means | art_score(means["VGG-content"], extract(painted, lite0), extract(paintings, lite0))


def _held_out(path: Path, side: int, holdout: float) -> Pictures:
    return open_squares(path, side, part="held-out" if holdout else "all", holdout=holdout)


def _load(pictures: Pictures, indices: list[int], device: torch.device) -> Tensor:
    return pictures.load(indices).to(device).float() / 127.5 - 1
