"""Exploring: how long a person waits for pictures, and how fast generators are beside the peers'.

    python -m benchmarks.explore [--quick] [--only browser|generators] [--json FILE]

The bundled model is checkpoints/calligraphy; where it is not there, a generator of its size with random weights
stands in, which is as fast.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.browser import Visit, budget, chromium
from benchmarks.generators import BATCHES, Contender, contenders, images_per_s
from benchmarks.peers import PEERS
from benchmarks.timing import interleaved, quantile, seconds, table, verdict, write_json
from studio.checkpoint import ModelInfo, load_network, save_checkpoint
from studio.device import choose_device
from studio.library import BUNDLED
from studio.models import MODELS
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Generator
from studio.nn.memory import keep_freed_memory

FIRST_PICTURE_S, P50_MS, P95_MS, PICTURES_PER_S, TIMES_PEER = 15.0, 45.0, 90.0, 15.0, 1.5
MODEL = "calligraphy"
CONFIG = Path(__file__).resolve().parent.parent / "train" / "bundled" / f"{MODEL}.json"
RESOLUTIONS = (64, 128)


def bundled() -> tuple[nn.Module, bool]:
    """The bundled generator, or one of its size; and whether it is the real one."""
    if (BUNDLED / MODEL).is_dir():
        return load_network(BUNDLED / MODEL), True
    settings = json.loads(CONFIG.read_text(encoding="utf-8"))["settings"]
    names = {name for name in StyleGAN2Config().to_dict()}
    config = StyleGAN2Config.from_dict({name: value for name, value in settings.items() if name in names})
    torch.manual_seed(0)
    return StyleGAN2Generator(config), False


def in_the_browser(generator: nn.Module, real: bool, a: argparse.Namespace) -> dict[str, Any]:
    """Cold starts, the slider's times by part, a new seed's, pictures a second while dragging."""
    starts, samples, reseeded, dragged = [], [], [], 0.0
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        if not real:
            info = ModelInfo("stylegan2", generator.config.to_dict(), sha256="", title="random weights")
            save_checkpoint(Path(home) / "models" / MODEL, info, generator, "A stand-in for a benchmark.\n")
        for i in range(a.starts):
            visit = Visit(browser, Path(home), a.device)
            try:
                starts.append(visit.timings_s)
                if i == a.starts - 1:
                    visit.ready()
                    visit.follow(5)
                    samples = visit.follow(a.events)
                    reseeded = visit.reseed(max(a.events // 3, 5))
                    dragged = visit.drag(a.drag_s)
            finally:
                visit.close()
    first = [s["first picture"] for s in starts]
    usual = statistics.median(first)
    spread = {part: {"p50": quantile(v, 0.5), "p95": quantile(v, 0.95)} for part, v in budget(samples).items()}
    seeds = {part: {"p50": quantile(v, 0.5), "p95": quantile(v, 0.95)} for part, v in budget(reseeded).items()}

    rows = [
        ["served", f"{statistics.median(s['served'] for s in starts):.2f} s", ""],
        ["first picture", f"{usual:.2f} s", verdict(usual, FIRST_PICTURE_S, at_most=True)],
        ["slowest first picture", f"{max(first):.2f} s", ""],
        ["pictures while dragging", f"{dragged:.1f} /s", verdict(dragged, PICTURES_PER_S)],
    ]
    print(table(f"From `python app.py` (median of {len(starts)} starts)", ["", "", ""], rows), end="\n\n")
    print_budget("Slider event to decoded picture", spread, aims=True)
    print_budget("A seed never seen before, to decoded picture", seeds, aims=False)
    return {"starts_s": starts, "dragging_pictures_per_s": dragged, "slider_ms": spread, "seed_ms": seeds}


def print_budget(title: str, spread: dict[str, dict[str, float]], *, aims: bool) -> None:
    rows = []
    for part, ms in spread.items():
        note = ""
        if aims and part == "total":
            note = f"{verdict(ms['p50'], P50_MS, at_most=True)}; {verdict(ms['p95'], P95_MS, at_most=True)}"
        rows.append([part, f"{ms['p50']:.1f}", f"{ms['p95']:.1f}", note])
    print(table(title, ["part", "p50 ms", "p95 ms", ""], rows), end="\n\n", flush=True)


def draw_parts(generator: nn.Module, device: torch.device, rounds: int) -> dict[str, float]:
    """What the budget's `draw` consists of, in this process: milliseconds of the mapping and of the synthesis."""
    model = MODELS.get("stylegan2").layout(generator.to(device))
    z = torch.randn(1, model.z_dim, device=device)
    with torch.inference_mode():
        ws = model.mapping(z)
        runs = {
            "map": lambda: seconds(lambda: model.mapping(z), device),
            "synthesis": lambda: seconds(lambda: model.synthesis(ws), device),
        }
        times = interleaved(runs, rounds, warm_ups=3)
    parts = {name: 1000 * s for name, s in times.items()}
    threads = f"{torch.get_num_threads()} threads"
    rows = [[name, f"{ms:.1f}"] for name, ms in parts.items()]
    print(table(f"Inside draw, in this process, {threads}", ["part", "median ms"], rows), end="\n\n")
    return parts


def against_peers(generator: nn.Module, a: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Every resolution's table. Our process setting for freed memory is on for all."""
    keep_freed_memory()
    lay_out = MODELS.get("stylegan2").layout
    written = {}
    for resolution in a.resolutions:
        own = generator.to(device) if generator.resolution == resolution else None
        found = contenders(resolution, device, own, lay_out)
        rates = images_per_s(found, device, a.rounds, tuple(a.threads))
        print_rates(resolution, found, rates)
        written[str(resolution)] = {
            c.name: {"parameters": c.parameters, "multiply_adds": c.multiply_adds, "images_per_s": rates[c.name]}
            for c in found
        }
    return written


def print_rates(resolution: int, found: list[Contender], rates: dict[str, dict[str, float]]) -> None:
    keys = list(next(iter(rates.values())))
    label = lambda key: "{} thr, batch {}".format(*key.split("/"))
    rows = []
    for c in found:
        peer = next((p for p in PEERS if c.name.endswith(f"sized like {p}")), None)
        note = ""
        if peer:
            ratios = [rates[c.name][key] / rates[peer][key] for key in keys]
            note = " ".join(f"{r:.2f}x" for r in ratios) + f" ({verdict(min(ratios), TIMES_PEER)})"
        size = [f"{c.parameters / 1e6:.1f}", f"{c.multiply_adds / 1e9:.2f}"]
        rows.append([c.name, *size, *(f"{rates[c.name][key]:.1f}" for key in keys), note])
    title = f"Generators at {resolution} px, images/s (medians, in turn; z to picture)"
    columns = ["", "M param", "GMAC", *map(label, keys), "against that peer, in the columns' order"]
    print(table(title, columns, rows), end="\n\n", flush=True)


def main(argv: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="benchmarks.explore", description=__doc__.splitlines()[0])
    p.add_argument("--quick", action="store_true", help="one start, few repetitions: about two minutes")
    p.add_argument("--only", choices=["browser", "generators"], help="one half")
    p.add_argument("--starts", type=int, help="cold starts (default 3)")
    p.add_argument("--events", type=int, help="slider events (default 150)")
    p.add_argument("--drag-s", type=float, help="seconds of dragging (default 5)")
    p.add_argument("--rounds", type=int, help="runs of each generator (default 15)")
    p.add_argument("--resolutions", type=int, nargs="+", metavar="PX", help="of the generators (default 64 128)")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads to try (default 1 2)")
    p.add_argument("--device", default="cpu", help="cpu, cuda or mps (default cpu)")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write every figure here")
    a = p.parse_args(argv)
    usual = (1, 40, 2.0, 3) if a.quick else (3, 150, 5.0, 15)
    for name, value in zip(("starts", "events", "drag_s", "rounds"), usual):
        if getattr(a, name) is None:
            setattr(a, name, value)

    device = choose_device(a.device)
    generator, real = bundled()
    generator = generator.eval().requires_grad_(False)
    own = generator.resolution
    a.resolutions = a.resolutions or ([own] if a.quick else sorted({*RESOLUTIONS, own}))
    print(f"model: {MODEL if real else 'random weights in the size of ' + MODEL}; torch {torch.__version__}\n")
    written: dict[str, Any] = {"torch": torch.__version__, "device": a.device, "bundled": real}
    if a.only != "generators":
        written["browser"] = in_the_browser(generator, real, a)
        written["draw_ms"] = draw_parts(generator, device, a.events)
    if a.only != "browser":
        written["generators"] = against_peers(generator, a, device)
    if a.json:
        write_json(a.json, written)


if __name__ == "__main__":
    main()
