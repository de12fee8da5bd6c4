"""Filling holes, for restore.py: ours as the restore tab fills them, classical fills, and big-LaMa's size for time.

Classical fills see the whole picture in one go, as their authors meant them, and not in the patches that the studio
makes of a large scan.
"""

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.cases import HOLES, Openers, Row, cut, draw_hole, folder_of, squares
from benchmarks.fidelity import Judge
from benchmarks.timing import interleaved, seconds, table, verdict
from studio.capabilities import Inpainter, require
from studio.community import Networks
from studio.engine import Engine
from studio.fills import FILLS
from studio.formats.spandrel import ForeignInpainter
from studio.images import Picture, to_pil, to_tensor
from studio.layers import Treatment
from studio.restore import NETWORK, Restorer, RestoreSettings

OURS, ALONE, LAMA = "ours", "ours, the network alone", "big-LaMa's architecture"
CLASSICAL = {"telea": "OpenCV Telea", "ns": "OpenCV Navier-Stokes", "biharmonic": "biharmonic"}
MEASURES = ("PSNR", "SSIM", "VGG", "Lite0", "ms")
GAIN_AIM = 1.5  # dB of cracks over the best classical fill
LAMA_AIM = 0.25  # of big-LaMa's time
LAMA_SIDE = 512  # px, where that aim is
LARGE, LARGE_SHARE = 1024, 3  # px, and the part of the holes there: biharmonic takes half a minute for a wide one
SHEET_SIDE, SHEET_ROWS = 512, 4  # of each kind of hole

Filler = Callable[[Image.Image, np.ndarray], Image.Image]  # a picture and its hole [H, W] bool
Record = dict[str, str | float]  # one contender's fill of one hole
Means = dict[str, dict[str, float]]  # by contender and measure


def fillers(engine: Engine, model: str | Path) -> dict[str, Filler]:
    """Everyone whose fills are looked at, by name. Raises StudioError if the model cannot be loaded."""
    restorer = Restorer(engine, model)
    restorer.check()

    def ours(image: Image.Image, hole: np.ndarray, settings: RestoreSettings = RestoreSettings()) -> Image.Image:
        picture = Picture(np.asarray(image), "PNG", 8, b"", b"")
        return Treatment(picture).with_layer(restorer.fill(picture, hole, settings)).flatten().rgb()

    def classical(name: str) -> Filler:
        fill = FILLS.get(name)
        return lambda image, hole: to_pil(fill(to_tensor(image), torch.from_numpy(hole)[None, None]))

    alone = RestoreSettings(method=NETWORK)
    ours_too = {OURS: ours, ALONE: lambda image, hole: ours(image, hole, alone)}
    return {**ours_too, **{said: classical(name) for name, said in CLASSICAL.items()}}


def fill_all(
    openers: Openers, everyone: dict[str, Filler], judge: Judge, sides: list[int], cases: int, sheet_side: int
) -> tuple[list[Record], list[Row]]:
    """A record of every fill of `cases` holes of each kind at each side, and rows of a contact sheet.

    From LARGE px on, of a LARGE_SHARE-th of them.
    Contenders fill the same hole one after another, so that a slow spell of the machine hits all alike.
    """
    records: list[Record] = []
    rows: list[Row] = []
    for side in sides:
        chosen = squares(openers, side, cases if side < LARGE else math.ceil(cases / LARGE_SHARE))
        if not chosen:
            print(f"no picture has {side} px on its shorter side; that size is left out", end="\n\n", flush=True)
            continue
        for fill in everyone.values():  # once unseen: the first run of a size pays for its memory
            fill(chosen[0][1], draw_hole("cracks", side, 0))
        for number, (name, image) in enumerate(chosen):
            wanted = to_tensor(image)
            seen = judge.look(wanted)
            for kind in HOLES:
                hole = draw_hole(kind, side, number)
                mask = torch.from_numpy(hole)[None, None].float()
                fills = {}
                for contender, fill in everyone.items():
                    start = time.perf_counter()
                    fills[contender] = fill(image, hole)
                    ms = 1000 * (time.perf_counter() - start)
                    measured = judge.measure(to_tensor(fills[contender]), wanted, seen, mask)
                    about: Record = {"side": side, "kind": kind, "picture": name, "area": float(hole.mean())}
                    records.append({**about, "contender": contender, **measured, "ms": ms})
                if side == sheet_side and number < SHEET_ROWS:
                    rows.append(_row(image, hole, fills))
    return records, rows


def _row(image: Image.Image, hole: np.ndarray, fills: dict[str, Image.Image]) -> Row:
    y, x = (int(np.median(places)) for places in np.nonzero(hole))
    damaged = Image.fromarray(np.where(hole[..., None], np.uint8(255), np.asarray(image)))
    return {name: cut(picture, (x, y)) for name, picture in {"damaged": damaged, **fills, "whole": image}.items()}


def means(records: list[Record]) -> Means:
    """Of every contender: medians of the times, means of the rest."""
    return {
        contender: {
            measure: (statistics.median if measure == "ms" else statistics.fmean)(
                [record[measure] for record in records if record["contender"] == contender]
            )
            for measure in MEASURES
        }
        for contender in dict.fromkeys(record["contender"] for record in records)
    }


def beside_classical(found: Means) -> dict[str, float]:
    """Ours beside the best classical fill by each measure: dB more, and distances as a share."""
    others = [found[name] for name in found if name not in (OURS, ALONE)]
    return {
        "gain": found[OURS]["PSNR"] - max(other["PSNR"] for other in others),
        **{eye: found[OURS][eye] / min(other[eye] for other in others) for eye in ("VGG", "Lite0")},
    }


def print_fills(records: list[Record]) -> dict[str, dict[str, Means]]:
    """A table for each side and kind, and one of the aims; the figures by side and kind."""
    figures: dict[str, dict[str, Means]] = {}
    aims, kinds = [], list(dict.fromkeys((record["side"], record["kind"]) for record in records))
    for side, kind in kinds:
        part = [record for record in records if (record["side"], record["kind"]) == (side, kind)]
        found = figures.setdefault(str(side), {})[kind] = means(part)
        area = statistics.fmean(record["area"] for record in part)
        title = f"{kind} at {side} px: {len(part) // len(found)} holes, {area:.1%} of a picture; within the hole"
        print(table(title, ["", *MEASURES], [_cells(name, values) for name, values in found.items()]), end="\n\n")
        aims.append(_aim(f"{kind}, {side} px", kind, found))
    for kind in dict.fromkeys(kind for _, kind in kinds):
        aims.append(_aim(f"{kind}, all holes", kind, means([record for record in records if record["kind"] == kind])))
    columns = ["", "dB", "", "VGG", "", "Lite0", ""]
    print(table(f"{OURS}, beside the best classical fill by each measure", columns, aims), end="\n\n", flush=True)
    _print_folders(records)
    return figures


def _cells(name: str, values: dict[str, float]) -> list[str]:
    digits = {"PSNR": 2, "ms": 0}
    return [name, *(f"{values[measure]:.{digits.get(measure, 3)}f}" for measure in MEASURES)]


def _aim(title: str, kind: str, found: Means) -> list[str]:
    beside = beside_classical(found)
    gain = verdict(beside["gain"], GAIN_AIM) if kind == "cracks" else ""
    return [title, f"{beside['gain']:+.2f}", gain, *_shares(beside)]


def _shares(beside: dict[str, float]) -> list[str]:
    marked = ((f"{beside[eye]:.2f}", verdict(beside[eye], 1, at_most=True)) for eye in ("VGG", "Lite0"))
    return [word for pair in marked for word in pair]


def _print_folders(records: list[Record]) -> None:
    """The same over all sides, for each folder: photos and paintings are not alike."""
    rows = []
    for folder in sorted({folder_of(record["picture"]) for record in records}):
        for kind in HOLES:
            part = [r for r in records if r["kind"] == kind and folder_of(r["picture"]) == folder]
            found = means(part)
            beside = beside_classical(found)
            shares = [f"{beside[eye]:.2f}" for eye in ("VGG", "Lite0")]
            rows.append([f"{folder}, {kind}", str(len(part) // len(found)), f"{beside['gain']:+.2f}", *shares])
    title = f"{OURS}, beside the best classical fill, by folder"
    print(table(title, ["", "holes", "dB", "VGG", "Lite0"], rows), end="\n\n", flush=True)


def big_lama() -> nn.Module:
    """big-LaMa (Suvorov et al. 2022) as spandrel builds it, with random weights: as fast as with learned ones."""
    import spandrel  # takes seconds
    from spandrel.architectures.LaMa import LaMa

    weights = LaMa(in_nc=4, out_nc=3).state_dict()
    network = ForeignInpainter(spandrel.ModelLoader().load_from_state_dict(weights), licence="")
    # twice as fast on CPUs, as ours is laid out
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def network_times(engine: Engine, model: str | Path, sides: list[int], rounds: int) -> dict[str, dict[str, float]]:
    """By side, milliseconds of one pass of each network over the whole picture, in turn."""
    with Networks(engine).use(model) as loaded:
        ours = require(loaded.network, Inpainter, loaded.name, "this benchmark")
    lama = big_lama().to(engine.device)
    figures, rows = {}, []
    for side in sides:
        mask = torch.from_numpy(draw_hole("cracks", side, 0))[None, None].float().to(engine.device)
        picture = torch.zeros(1, 3, side, side, device=engine.device)

        def run(network: Inpainter, picture: torch.Tensor = picture, mask: torch.Tensor = mask) -> float:
            with torch.inference_mode():
                return seconds(lambda: network.fill(picture, mask), engine.device)

        times = interleaved({OURS: lambda: run(ours), LAMA: lambda: run(lama)}, rounds)
        ratio = times[OURS] / times[LAMA]
        aim = verdict(ratio, LAMA_AIM, at_most=True) if side == LAMA_SIDE else ""
        rows.append([f"{side} px", *(f"{1000 * times[name]:.0f}" for name in (OURS, LAMA)), f"{ratio:.3f}", aim])
        figures[str(side)] = {name: 1000 * value for name, value in times.items()}
    print(table("The networks alone, ms a picture", ["", OURS, LAMA, "share", ""], rows), end="\n\n", flush=True)
    return figures
