"""Models from elsewhere: how long an import takes and how much memory, and StyleGAN2 beside another program's.

    python -m benchmarks.models [--quick] [--only imports|generators] [--json FILE]

Every import runs in a fresh process, on a file that is made here: the other program's layout at its published model's
size. Then generators of 256 px draw in turn: the peer's own; the very same network, imported from the file that the
peer writes; and our StyleGAN2 with at least as many parameters.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.generators import BATCHES, Contender, images_per_s, ours
from benchmarks.layouts import LAYOUTS, RESOLUTION, Layout
from benchmarks.peers import PeerMissing, StyleGAN2Pytorch
from benchmarks.sizes import generator_like, multiply_adds
from benchmarks.timing import table, write_json
from studio.checkpoint import load_network
from studio.device import choose_device
from studio.formats import convert
from studio.models import MODELS
from studio.models.stylegan2 import StyleGAN2Generator
from studio.nn.memory import keep_freed_memory

PEER = StyleGAN2Pytorch.name
IMPORTED, SIZED = f"{PEER}, imported here", f"ours, sized like {PEER}"
ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20


@dataclass(frozen=True)
class Import:
    """Some imports of one file: medians of times, the most memory. start_bytes: before, with the formats loaded.

    cpu_s: of all processors together.
    """

    file_bytes: int
    s: float
    cpu_s: float
    start_bytes: int
    peak_bytes: int


def imported(name: str, layout: Layout, rounds: int) -> Import:
    """Raises PeerMissing where the program that writes such files is not installed."""
    with tempfile.TemporaryDirectory() as home:
        path = layout.write(Path(home))
        answers = []
        for _ in range(rounds):
            command = [sys.executable, "-m", "benchmarks.importing", str(path), name, f"{home}/out"]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            answers.append(json.loads(done.stdout))
        size = path.stat().st_size
    usual = {key: statistics.median(answer[key] for answer in answers) for key in ("s", "cpu_s")}
    most = {key: max(answer[key] for answer in answers) for key in ("start_bytes", "peak_bytes")}
    return Import(size, **usual, **most)


def every_import(names: list[str], rounds: int) -> dict[str, Import]:
    """By layout. A line is printed for each, also for those that are left out."""
    found = {}
    for name in names:
        try:
            found[name] = imported(name, LAYOUTS[name], rounds)
            peak = found[name].peak_bytes / MIB
            print(f"{LAYOUTS[name].title}: {found[name].s:.1f} s, peak {peak:.0f} MiB", flush=True)
        except (PeerMissing, ImportError) as error:
            print(f"{LAYOUTS[name].title} is left out: {error}", flush=True)
    print()
    return found


def print_imports(found: dict[str, Import]) -> None:
    rows = []
    for name, one in found.items():
        layout = LAYOUTS[name]
        side = f"{layout.resolution}" if layout.resolution else "any"
        sizes = [one.file_bytes, one.start_bytes, one.peak_bytes, one.peak_bytes - one.start_bytes]
        times = [f"{one.s:.2f}", f"{one.cpu_s:.2f}"]
        rows.append([layout.title, side, *(f"{size / MIB:.0f}" for size in sizes), *times])
    columns = ["", "px", "file MiB", "before MiB", "peak MiB", "more MiB", "s", "CPU s"]
    print(table("Imports, each in a fresh process", columns, rows), end="\n\n", flush=True)


def contenders(device: torch.device) -> list[Contender]:
    """The peer with its weights as they begin, the same network out of its file, and ours. Raises PeerMissing."""
    peer = StyleGAN2Pytorch(RESOLUTION, device)
    with tempfile.TemporaryDirectory() as home:
        torch.save({"GAN": peer.gan.state_dict(), "version": "1"}, Path(home) / "model.pt")
        same = load_network(convert(Path(home) / "model.pt", Path(home) / "out")).to(device)
    sized = StyleGAN2Generator(generator_like(peer.generator_parameters(), RESOLUTION)).to(device)
    return [
        Contender(PEER, peer.generator_parameters(), multiply_adds(peer.generator(1)), peer.generator),
        ours(IMPORTED, same, MODELS.get("stylegan2_light").layout),
        ours(SIZED, sized, MODELS.get("stylegan2").layout),
    ]


def print_generators(found: list[Contender], rates: dict[str, dict[str, float]]) -> None:
    keys = list(rates[PEER])
    rows = []
    for one in found:
        size = [f"{one.parameters / 1e6:.1f}", f"{one.multiply_adds / 1e9:.2f}"]
        ratios = [f"{rates[one.name][key] / rates[PEER][key]:.2f}x" for key in keys]
        rows.append([one.name, *size, *(f"{rates[one.name][key]:.2f}" for key in keys), " ".join(ratios)])
    columns = ["", "M param", "GMAC", *("{} thr, batch {}".format(*key.split("/")) for key in keys), "times the peer"]
    title = f"StyleGAN2 at {RESOLUTION} px, images/s (medians, in turn; z to picture)"
    print(table(title, columns, rows), end="\n\n", flush=True)


def main(argv: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="benchmarks.models", description=__doc__.splitlines()[0])
    p.add_argument("--quick", action="store_true", help="every import once, few pictures: about three minutes")
    p.add_argument("--only", choices=["imports", "generators"], help="one half")
    p.add_argument("--formats", nargs="+", choices=list(LAYOUTS), default=list(LAYOUTS), help="default: all")
    p.add_argument("--rounds", type=int, help="imports of each file (default 3)")
    p.add_argument("--pictures", type=int, help=f"timed runs of each generator at batch {BATCHES} (default 7)")
    p.add_argument("--threads", type=int, nargs="+", help="CPU threads of the generators (default 1 and torch's)")
    p.add_argument("--device", default="cpu", help="of the generators: cpu, cuda or mps (default cpu)")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write every figure here")
    a = p.parse_args(argv)
    rounds, pictures = a.rounds or (1 if a.quick else 3), a.pictures or (2 if a.quick else 7)
    threads = a.threads or sorted({1} if a.quick else {1, torch.get_num_threads()})

    written: dict[str, object] = {"torch": torch.__version__, "device": a.device, "rounds": rounds}
    if a.only != "generators":
        imports = every_import(a.formats, rounds)
        print_imports(imports)
        written["imports"] = {name: asdict(one) for name, one in imports.items()}
    if a.only != "imports":
        keep_freed_memory()
        device = choose_device(a.device)
        found = contenders(device)
        rates = images_per_s(found, device, pictures, tuple(threads))
        print_generators(found, rates)
        written["generators"] = {
            one.name: {
                "parameters": one.parameters, "multiply_adds": one.multiply_adds, "images_per_s": rates[one.name],
            }
            for one in found
        }
    if a.json:
        write_json(a.json, written)


if __name__ == "__main__":
    main()
