"""Measure a run or a checkpoint against real pictures, beside what real pictures score against each other."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from studio.capabilities import NoiseGenerator, require
from studio.checkpoint import INFO, load_network, read_info
from studio.device import choose_device
from studio.errors import SettingError
from studio.nn.features import FeatureNetwork, feature_network
from studio.runfolder import RunFolder
from train.data import Pictures, open_pictures
from train.export import latest, record_metrics
from train.metrics import evaluate, extract

BATCH = 32
MIN_SAMPLES = 6


def evaluate_model(
    model: Path, data: Path, *, samples: int = 5000, features: str = "auto", seed: int = 0, device: str = "auto",
    save: bool = False,
) -> dict[str, float]:
    """Metrics of `samples` generated pictures against as many real ones, held out where training held some out.

    Values whose names begin with "real-" compare training pictures with held-out ones: what a perfect model would
    score with as many pictures. `save` writes all into the checkpoint's model.json and card. Raises StudioError.
    """
    if samples < MIN_SAMPLES:
        raise SettingError(f"samples={samples} is below {MIN_SAMPLES}, the fewest that can be compared")
    checkpoint = (model / INFO).is_file()
    if save and not checkpoint:
        raise SettingError(f"{model} is a run, and only a checkpoint's card can be written; export it first")
    if checkpoint:
        network, stored = load_network(model), read_info(model).training.get("settings", {})
    else:
        network, stored = latest(RunFolder(model))
    G = require(network, NoiseGenerator, str(model), "evaluate")
    chosen = choose_device(device)
    network.to(chosen)
    extractor = feature_network(features, chosen)

    holdout = stored.get("holdout", 0.0)
    parts = {"part": "held-out", "holdout": holdout} if holdout else {}
    real = _real(open_pictures(data, G.resolution, G.channels, **parts), samples, extractor)
    made = extract(_generated(G, len(real), seed, chosen), extractor)
    name = extractor.name
    probabilities = extractor.probabilities(made)
    result = {"pictures": len(real), **evaluate(real, made, name, probabilities=probabilities, seed=seed)}
    if holdout:
        trained = open_pictures(data, G.resolution, G.channels, part="train", holdout=holdout)
        reference = evaluate(real, _real(trained, len(real), extractor), name, seed=seed)
        result |= {f"real-{key}": value for key, value in reference.items()}
    if save:
        words = ["python", "-m", "train", "evaluate", str(model), "--data", data.name]
        words += ["--samples", str(samples), "--seed", str(seed)]
        record_metrics(model, {**{k: round(v, 5) for k, v in result.items()}, "command": shlex.join(words)})
    return result


def _real(pictures: Pictures, count: int, extractor: FeatureNetwork) -> Tensor:
    """Features of the first `count` pictures of a fixed shuffle."""
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))[:count].tolist()
    parts = (order[i : i + BATCH] for i in range(0, len(order), BATCH))
    return extract((pictures.load(part).float() / 127.5 - 1 for part in parts), extractor)


@torch.inference_mode()
def _generated(G: NoiseGenerator, count: int, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Untruncated pictures in batches; classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        z = torch.randn(size, G.z_dim, generator=generator).to(device)
        c = None
        if G.classes:
            c = one_hot(torch.arange(start, start + size, device=device) % G.classes, G.classes).float()
        yield G.generate(z, c).clamp(-1, 1)
