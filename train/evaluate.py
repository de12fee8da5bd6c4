"""Measure a run or a checkpoint: a generator against real pictures, other models on pictures held out of training."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio.capabilities import NoiseGenerator, require
from studio.checkpoint import INFO, load_network, read_info
from studio.device import choose_device
from studio.errors import SettingError
from studio.models.style import StyleNetwork
from studio.nn.features import FeatureNetwork, feature_network
from studio.runfolder import RunFolder
from train.data import Pictures, open_pictures
from train.drawing import fixed_shuffle, generated, real_features
from train.evaluate_restoration import can_evaluate, evaluate_restoration
from train.evaluate_style import evaluate_style
from train.export import latest, record_metrics
from train.metrics import evaluate, extract

MIN_SAMPLES = 6
SAMPLES, PAIRS, DAMAGED = 5000, 60, 48


def evaluate_model(
    model: Path, data: Path, *, styles: Path | None = None, samples: int | None = None, features: str = "auto",
    seed: int = 0, device: str = "auto", save: bool = False,
) -> dict[str, float]:
    """What `evaluate_generator`, `evaluate_style` or `evaluate_restoration` measures, by the figures' names.

    `samples` are generated pictures (none: 5000), pairs of a photo and a painting (none: 60) or pictures to restore
    (none: 48); `styles` is where the paintings are. `save` writes all into the checkpoint's model.json and card.
    Raises StudioError.
    """
    if samples is not None and samples < MIN_SAMPLES:
        raise SettingError(f"samples={samples} is below {MIN_SAMPLES}, the fewest that can be compared")
    checkpoint = (model / INFO).is_file()
    if save and not checkpoint:
        raise SettingError(f"{model} is a run, and only a checkpoint's card can be written; export it first")
    if checkpoint:
        network, stored = load_network(model), read_info(model).training.get("settings", {})
    else:
        network, stored = latest(RunFolder(model))
    chosen = choose_device(device)
    network.to(chosen)
    words = ["python", "-m", "train", "evaluate", str(model), "--data", data.name]
    if isinstance(network, StyleNetwork):
        samples = samples or PAIRS
        result = evaluate_style(network, stored, data, styles, pairs=samples, seed=seed, device=chosen)
        words += ["--styles", styles.name]
    elif styles is not None:
        raise SettingError(f"styles={styles} is for style models, and {model} is none; leave --styles out")
    elif can_evaluate(network):
        samples = samples or DAMAGED
        result = evaluate_restoration(network, stored, data, pictures=samples, seed=seed, device=chosen)
    else:
        samples = samples or SAMPLES
        G = require(network, NoiseGenerator, str(model), "evaluate")
        result = evaluate_generator(G, stored, data, samples=samples, features=features, seed=seed, device=chosen)
    if save:
        words += ["--samples", str(samples), "--seed", str(seed)]
        record_metrics(model, {**{k: round(v, 5) for k, v in result.items()}, "command": shlex.join(words)})
    return result


def evaluate_generator(
    G: NoiseGenerator, stored: Mapping[str, Any], data: Path, *, samples: int, features: str, seed: int,
    device: torch.device,
) -> dict[str, float]:
    """Metrics of `samples` generated pictures against as many real ones, held out where training held some out.

    `stored` are the settings of the training. Values whose names begin with "real-" compare training pictures with
    held-out ones: what a perfect model would score with as many pictures.
    """
    extractor = feature_network(features, device)
    holdout = stored.get("holdout", 0.0)
    fit = stored.get("fit", "crop")
    parts = {"part": "held-out", "holdout": holdout} if holdout else {}
    real = _real(open_pictures(data, G.resolution, G.channels, fit=fit, **parts), samples, extractor)
    made = extract(generated(G, len(real), seed, device), extractor)
    name = extractor.name
    probabilities = extractor.probabilities(made)
    result = {"pictures": len(real), **evaluate(real, made, name, probabilities=probabilities, seed=seed)}
    if holdout:
        trained = open_pictures(data, G.resolution, G.channels, fit=fit, part="train", holdout=holdout)
        reference = evaluate(real, _real(trained, len(real), extractor), name, seed=seed)
        result |= {f"real-{key}": value for key, value in reference.items()}
    return result


def _real(pictures: Pictures, count: int, extractor: FeatureNetwork) -> Tensor:
    return real_features(pictures, fixed_shuffle(pictures, count), extractor)
