"""Times that can be compared on a machine whose speed wanders: everything is run in turn, and medians are kept."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of them lie below, straight between neighbours. Raises ValueError for none."""
    if not values:
        raise ValueError("no values to take a quantile of")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Wall clock time of one run, with what it started on a GPU."""
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def interleaved(runs: Mapping[str, Callable[[], float]], rounds: int, warm_ups: int = 1) -> dict[str, float]:
    """Medians of what each run returns: one of each in turn, `rounds` times, so that a slow spell hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(warm_ups + rounds):
        for name, run in runs.items():
            value = run()
            if i >= warm_ups:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text: the first column to the left, the others to the right."""
    lines = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    align = lambda line: "  ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))
    ).rstrip()
    return "\n".join([title, align(lines[0]), "  ".join("-" * width for width in widths), *map(align, lines[1:])])


def verdict(value: float, limit: float, *, at_most: bool = False) -> str:
    """The aim beside a figure, and whether it is met."""
    met = value <= limit if at_most else value >= limit
    return f"aim {'<=' if at_most else '>='} {limit:g}: {'met' if met else 'MISSED'}"


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
