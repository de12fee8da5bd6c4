"""Finding damage, for restore.py: held-out pictures that are aged on purpose, and the same as they are."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.cases import Openers, Row, cut, squares
from benchmarks.timing import table, verdict
from studio.errors import CapabilityError, DataError
from studio.images import Picture, to_pil, to_tensor
from studio.models.damage import CLASSES
from studio.restore import Restorer
from studio.suggestion import Suggestion, SuggestSettings
from train.ageing import age
from train.recipes.damage import paint_classes
from train.restoration_metrics import LEVELS, TOLERANCE, Tally

SIDE = 512  # px of the pictures
LEVEL = round(SuggestSettings().threshold * (LEVELS - 1))  # from which the studio takes it for damage
CRACK_AIM = 0.75  # F1, within the tolerance
SHEET_ROWS = 8

Figures = dict[str, dict[str, float]]  # by class


def find_all(openers: Openers, restorer: Restorer, cases: int) -> tuple[Figures, list[Row]]:
    """Scores over `cases` aged pictures, by class, and rows of a contact sheet. Prints the table.

    The same damage is drawn in every run. Raises DataError where no picture is large enough, CapabilityError for a
    detector of none of CLASSES.
    """
    chosen = squares(openers, SIDE, cases)
    if not chosen:
        raise DataError(f"no held-out picture has {SIDE} px on its shorter side; give larger ones (--unseen)")
    exact, near = ({name: Tally(tolerance) for name in CLASSES} for tolerance in (0, TOLERANCE))
    marked: dict[str, list[float]] = {name: [] for name in CLASSES}
    rows: list[Row] = []
    for number, (_, image) in enumerate(chosen):
        levels = (to_tensor(image)[0].numpy() + 1) / 2
        worn, truth = age(np.random.default_rng([SIDE, number]), levels)
        worn = to_pil(torch.from_numpy(worn) * 2 - 1)
        found, untouched = suggest(restorer, worn), suggest(restorer, image)
        known = [name for name in CLASSES if name in found.classes]
        if not known:
            kinds = f"{restorer.detector} finds {', '.join(found.classes)}, none of {', '.join(CLASSES)}"
            raise CapabilityError(f"{kinds}; choose another detector")
        for name in known:
            plane = found.classes.index(name)
            for tally in (exact[name], near[name]):
                tally.add(found.levels[plane], truth[CLASSES.index(name)])
            marked[name].append(float((untouched.levels[plane] >= LEVEL).mean()))
        if number < SHEET_ROWS:
            rows.append(_row(worn, truth, found, image, untouched))
    figures = {name: _figures(exact[name], near[name], marked[name]) for name in CLASSES if marked[name]}
    print_found(figures, len(chosen))
    return figures, rows


def suggest(restorer: Restorer, image: Image.Image) -> Suggestion:
    return restorer.suggest(Picture(np.asarray(image), "PNG", 8, b"", b""))


def _figures(exact: Tally, near: Tally, marked: list[float]) -> dict[str, float]:
    best = near.best_level()
    return {
        **near.scores(LEVEL), "exact F1": exact.scores(LEVEL)["F1"], "best F1": near.scores(best)["F1"],
        "at": best / (LEVELS - 1), "pixels": float(near.damaged.sum()), "marked": sum(marked) / len(marked),
    }


def print_found(figures: Figures, cases: int) -> None:
    rows = []
    for name, of in figures.items():
        scores = [f"{of[key]:.3f}" for key in ("precision", "recall", "F1", "exact F1", "best F1")]
        aim = verdict(of["F1"], CRACK_AIM) if name == "crack" and of["pixels"] else ""
        rows.append([name, f"{of['pixels']:.0f}", *scores, f"{of['at']:.2f}", f"{of['marked']:.2%}", aim])
    columns = ["", "px", "precision", "recall", "F1", "exact F1", "best F1", "at", "marked on untouched", ""]
    title = (
        f"Damage in {cases} aged pictures of {SIDE} px, within {TOLERANCE} px, "
        f"at a threshold of {LEVEL / (LEVELS - 1):.2g}"
    )
    print(table(title, columns, rows), end="\n\n", flush=True)


def _row(
    worn: Image.Image, truth: np.ndarray, found: Suggestion, image: Image.Image, untouched: Suggestion
) -> Row:
    drawn = paint_classes(to_tensor(worn), torch.from_numpy(truth)[None].float())
    pictures = {
        "aged": worn, "damage": to_pil(drawn), "found": to_pil(paint_classes(to_tensor(worn), _shares(found))),
        "untouched": image, "found there": to_pil(paint_classes(to_tensor(image), _shares(untouched))),
    }
    return {name: cut(picture) for name, picture in pictures.items()}


def _shares(found: Suggestion) -> Tensor:
    """[1, 4, H, W] in 0..1, in the order of CLASSES; 0 for those that a detector does not know."""
    shares = torch.zeros(1, len(CLASSES), *found.levels.shape[1:])
    for name, plane in zip(found.classes, found.levels):
        if name in CLASSES:
            shares[0, CLASSES.index(name)] = torch.from_numpy(plane) / 255
    return shares
