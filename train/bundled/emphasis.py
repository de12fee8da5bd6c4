"""Finds how strongly a style network should be told each layer of a style, and writes that into its model.json.

    python -m train.bundled.emphasis checkpoints/style --data PHOTOS --styles PAINTINGS

A network that was trained on small crops gives back less of a style than it was told, above all of its strokes, which
the middle layers of the VGG respond to. Told more of them and less of the grain, it comes nearer. The factors are
looked for one layer at a time, with the photos and paintings that the network was trained on, painted as the studio
paints them: no held-out picture has a say.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from studio.checkpoint import ModelInfo, load_network, read_info
from studio.engine import Engine
from studio.errors import CheckpointError, DataError, StudioError
from studio.files import write_json
from studio.images import Picture, open_picture, to_pil, to_tensor
from studio.library import BUNDLED, Library
from studio.models.style import emphasised
from studio.scans import inside_margins
from studio.style import Stylist
from train.data import is_held_out, open_source
from train.style_metrics import Eye, VGGEye, Wanted, distances

SIDE = 512  # px; longest side of photos and paintings
STEPS = (1.25, 0.8)
ROUNDS = 3
SLACK = 0.02  # of the distance from the photo, which may grow by as much

Emphasis = tuple[float, ...]  # a factor for each layer of the VGG
Judge = Callable[[Emphasis], tuple[float, float]]  # distances from the styles and from the photos


@dataclass(frozen=True)
class Pair:
    photo: Picture
    style: Picture
    wanted: Wanted


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("--data", type=Path, required=True, metavar="PHOTOS")
    p.add_argument("--styles", type=Path, required=True, metavar="PAINTINGS")
    p.add_argument("--pairs", type=int, default=30)
    a = p.parse_args()
    try:
        info = read_info(a.model)
        eye = VGGEye(load_network(BUNDLED / "vgg"))
        pairs = open_pairs(eye, a.data, a.styles, settings_of(a.model, info), a.pairs)
        found = search(lambda emphasis: judge(a.model, eye, pairs, emphasis))
    except StudioError as error:
        p.exit(2, f"{p.prog}: {error}\n")
    write_json(a.model / "model.json", {"version": 1, **vars(info), "config": {**info.config, "emphasis": found}})


def settings_of(model: Path, info: ModelInfo) -> dict:
    """What the network was trained with. Raises CheckpointError if it is no style network, or nothing says so."""
    if info.model != "style":
        raise CheckpointError(f"{model} is a model of the kind {info.model!r}, not 'style'; give a style network")
    settings = info.training.get("settings", {})
    if not {"holdout", "style_holdout"} <= settings.keys():
        raise CheckpointError(f"{model}/model.json does not say what was held out; give what `train export` wrote")
    return settings


def open_pairs(eye: Eye, photos: Path, paintings: Path, settings: dict, count: int) -> list[Pair]:
    """`count` of the photos that the network was trained on, from all over, each with the next of its paintings."""
    contents, styles = trained_on(photos, settings["holdout"]), trained_on(paintings, settings["style_holdout"])
    pairs = []
    for i in range(count):
        photo = fitted(contents[i * len(contents) // count]())
        style = fitted(to_pil(inside_margins(to_tensor(styles[i % len(styles)]()))))
        pairs.append(Pair(picture(photo), picture(style), Wanted.of(eye, to_tensor(photo), to_tensor(style))))
    return pairs


def trained_on(folder: Path, holdout: float) -> list[Callable[[], Image.Image]]:
    source = open_source(folder)
    names = [name for name in source.names if not is_held_out(name, holdout)]
    if not names:
        raise DataError(f"{folder} holds no picture that was trained on; give the folder that was")
    return [lambda name=name: open_picture(source.read(name)).rgb() for name in names]


def fitted(image: Image.Image) -> Image.Image:
    return ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.LANCZOS)


def picture(image: Image.Image) -> Picture:
    return Picture(np.asarray(image), "PNG", 8, b"", b"")


def search(judge: Judge, layers: int = 5) -> Emphasis:
    """The factors that bring painted pictures nearest to their styles."""
    best = (1.0,) * layers
    lowest, content = judge(best)
    limit = content * (1 + SLACK)
    for _ in range(ROUNDS):
        before = best
        for layer in range(layers):
            for step in STEPS:
                tried = (*best[:layer], round(best[layer] * step, 3), *best[layer + 1 :])
                distance, content = judge(tried)
                if distance < lowest and content <= limit:
                    best, lowest = tried, distance
                    break
        if best == before:
            break
    return best


@torch.inference_mode()
def judge(model: Path, eye: Eye, pairs: list[Pair], emphasis: Emphasis) -> tuple[float, float]:
    """The mean distance from the styles, of the two that are measured the geometric mean, and from the photos."""
    stylist = Stylist(Engine(Library.default(any_folder=True), "cpu"), str(model))
    with stylist.engine.use(stylist.model) as loaded:
        loaded.network.emphasis.copy_(emphasised(emphasis))
    found = []
    for pair in pairs:
        painted: Tensor = to_tensor(stylist.stylize(pair.photo, [pair.style]).rgb())
        found.append(distances(eye, painted, pair.wanted))
    gram, moments, content = (
        sum(float(f[f"VGG-{name}"]) for f in found) / len(found) for name in ("gram", "mean-std", "content")
    )
    print(f"{emphasis}  gram {gram:.4f}  mean-std {moments:.4f}  content {content:.4f}", flush=True)
    return math.sqrt(gram * moments), content


if __name__ == "__main__":
    main()
