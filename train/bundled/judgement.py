"""What a damage detector that was exported takes for damage: fitted to its surroundings, and with thresholds.

    python -m train.bundled.judgement checkpoints/damage --data PICTURES

PICTURES are those it was trained on: its model.json says which of them were held out, and those have no say. The
model's card shows what it finds then; its figures are measured anew with `python -m train evaluate`.
"""

import argparse
import dataclasses
from pathlib import Path

import torch

from studio.checkpoint import ModelInfo, load_network, read_info, save_checkpoint
from studio.errors import CheckpointError, StudioError
from studio.images import encode_jpeg
from studio.models.damage import CLASSES, DamageNetwork
from train.bundled.surroundings import UNITS, fit, sample
from train.bundled.thresholds import best_thresholds
from train.card import GRID, card
from train.data import Pictures
from train.grids import sample_grid
from train.recipes.damage import findings
from train.squares import open_squares

SIDE = 512  # px


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("--data", type=Path, required=True, metavar="PICTURES")
    p.add_argument("--fitted", type=int, default=2000, help="aged pictures that the judge learns from; 0 leaves it")
    p.add_argument("--pictures", type=int, default=192, help="aged pictures that thresholds are set by")
    p.add_argument("--note", default=None, help="remarks for the card, in place of those it has")
    a = p.parse_args()
    if a.fitted < 0 or a.pictures < 1:
        p.error(f"--fitted {a.fitted} --pictures {a.pictures} is too few; give 0 or more to fit, and at least 1")
    try:
        info = read_info(a.model)
        if a.note is not None:
            info = dataclasses.replace(info, training={**info.training, "note": a.note})
        pictures = trained_on(a.model, info, a.data)
        network = load_network(a.model)
        if a.fitted:
            network = judging(network)
            samples = sample(network, pictures, a.fitted)
            print(f"fitted to {len(samples.weights):,} pixels: cross-entropy {fit(network, samples):.5f}", flush=True)
        thresholds = best_thresholds(network, pictures, a.pictures)
        save(a.model, info, network, thresholds)
    except StudioError as error:
        p.exit(2, f"{p.prog}: {error}\n")
    for name, threshold in zip(CLASSES, thresholds):
        print(f"{name} {threshold:.3f}")


def trained_on(model: Path, info: ModelInfo, data: Path) -> Pictures:
    """Raises CheckpointError if it is no detector, or nothing says what was held out; DataError."""
    settings = info.training.get("settings", {})
    if info.model != "damage" or "holdout" not in settings:
        what = f"{model} is no damage detector of which {model}/model.json says what was held out"
        raise CheckpointError(f"{what}; give what `train export` wrote")
    return open_squares(data, SIDE, part="train", holdout=settings["holdout"])


def judging(network: DamageNetwork) -> DamageNetwork:
    """The same network with a judge of the surroundings that has learned nothing yet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        other = DamageNetwork(network.config.replace(surroundings=UNITS)).eval().requires_grad_(False)
    eyes = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("surroundings.")}
    other.load_state_dict({**other.state_dict(), **eyes})
    return other


def save(folder: Path, info: ModelInfo, network: DamageNetwork, thresholds: tuple[float, ...]) -> None:
    """In place of what was there, without the figures that were measured of that."""
    told = DamageNetwork(network.config.replace(thresholds=thresholds)).eval()
    told.load_state_dict(network.state_dict())
    info = dataclasses.replace(info, config=told.config.to_dict(), metrics={})
    shown = (folder / GRID).is_file()
    files = {GRID: encode_jpeg(sample_grid(findings(told)), quality=90)} if shown else {}
    save_checkpoint(folder, info, told, card(info, shown), files)


if __name__ == "__main__":
    main()
