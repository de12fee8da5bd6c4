"""Training: pictures a second and peak memory against peers, and what each lever gains.

    python -m benchmarks.train [--quick] [--levers] [--json FILE]

Every trainer runs in a fresh process, built and warmed up first; then each takes a step in turn, and medians are
kept. A figure is amortised: plain steps, with each trainer's own share of steps that also compute its gradient
penalty (ours R1 every 16 steps, the peers' every 4). Path length regularisation, off in ours by default, is left out
of all.
"""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.peers import PEERS
from benchmarks.sizes import discriminator_like, generator_like
from benchmarks.timing import interleaved, table, verdict, write_json
from benchmarks.training import OURS, Job

AIM = 1.5  # times either peer
ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20


@dataclass(frozen=True)
class Result:
    images_per_s: float
    plain_s: float
    lazy_s: float
    peak_bytes: int
    start_bytes: int
    generator: int
    discriminator: int

    def values(self) -> dict[str, float]:
        return vars(self)


class Worker:
    """benchmarks.training in a process of its own."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training", job.argument()],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def ask(self, order: str) -> dict[str, float]:
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, float]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the trainer {self.job} ended early; its error is above")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()  # it ends when there are no more orders
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def workers(jobs: dict[str, Job]) -> Iterator[dict[str, Worker]]:
    with contextlib.ExitStack() as stack:
        started = {}
        for name, job in jobs.items():
            started[name] = Worker(job)
            stack.callback(started[name].close)
        for worker in started.values():  # torch takes seconds to import: all at once
            worker.hear()
        yield started


def compare(jobs: dict[str, Job], rounds: int) -> dict[str, Result]:
    """Every job's figures. Lazy steps are dear and vary less: a third as many are timed."""
    with workers(jobs) as running:
        time_of = lambda order: {name: lambda w=w: w.ask(order)["s"] for name, w in running.items()}
        plain = interleaved(time_of("plain"), rounds)
        lazy = interleaved(time_of("lazy"), max(rounds // 3, 1), warm_ups=1 if rounds > 2 else 0)
        about = {name: w.ask("about") for name, w in running.items()}
    return {name: _result(jobs[name], plain[name], lazy[name], about[name]) for name in jobs}


def ours_like(peer: str, resolution: int, batch: int, threads: int, device: str) -> Job:
    """Our job with at least the peer's parameters in G and in D."""
    made = PEERS[peer](resolution, torch.device("cpu"))
    g = generator_like(made.generator_parameters(), resolution)
    d = discriminator_like(made.discriminator_parameters(), resolution)
    return Job(
        OURS, resolution, batch, threads, device, g_base=g.channel_base, g_max=g.channel_max,
        d_base=d.channel_base, d_max=d.channel_max,
    )


def against_peers(resolution: int, batch: int, threads: int, device: str, rounds: int) -> dict[str, Result]:
    jobs = {}
    for peer in PEERS:
        jobs[peer] = Job(peer, resolution, batch, threads, device)
        jobs[f"{OURS}, sized like {peer}"] = ours_like(peer, resolution, batch, threads, device)
    return compare(jobs, rounds)


def levers(base: Job, compiled: bool, rounds: int) -> dict[str, Result]:
    """The same job with one thing changed each."""
    jobs = {
        "as it is": base,
        "NCHW": replace(base, channels_last=False),
        "Adam not fused": replace(base, fused_adam=False),
        "freed memory returned": replace(base, keep_memory=False),
        "grouped convolutions": replace(base, grouped=True),
        **{f"batch {n}": replace(base, batch=n) for n in (8, 16, 32) if n != base.batch},
        **{f"R1 every {n}": replace(base, r1_interval=n) for n in (4, 32)},
    }
    if compiled:
        jobs["torch.compile"] = replace(base, compiled=True)
    return compare(jobs, rounds)


def print_peers(title: str, results: dict[str, Result]) -> None:
    rows = []
    for name, r in results.items():
        peer = next((p for p in PEERS if name.endswith(f"sized like {p}")), None)
        note = verdict(r.images_per_s / results[peer].images_per_s, AIM) if peer else ""
        ratio = f"{r.images_per_s / results[peer].images_per_s:.2f}x" if peer else ""
        rows.append([name, *_cells(r), ratio, note])
    print(table(title, [*COLUMNS, "against it", ""], rows), end="\n\n", flush=True)


def print_levers(title: str, results: dict[str, Result]) -> None:
    base = results["as it is"].images_per_s
    rows = [[name, *_cells(r), f"{r.images_per_s / base:.2f}x"] for name, r in results.items()]
    print(table(title, [*COLUMNS, "of as it is"], rows), end="\n\n", flush=True)


COLUMNS = ["trainer", "G M", "D M", "img/s", "plain ms", "with penalty ms", "peak MiB"]


def main(argv: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="benchmarks.train", description=__doc__.splitlines()[0])
    p.add_argument("--quick", action="store_true", help="64 px, batch 4, two rounds: about two minutes")
    p.add_argument("--levers", action="store_true", help="also torch.compile, which takes minutes to compile")
    p.add_argument("--only", choices=["peers", "levers"], help="one half")
    p.add_argument("--resolutions", type=int, nargs="+", default=None, metavar="PX", help="default 64 128")
    p.add_argument("--batch", type=int, default=None, help="pictures a step (default 8)")
    p.add_argument("--rounds", type=int, default=None, help="timed plain steps of each (default 7)")
    p.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default torch's)")
    p.add_argument("--device", default="cpu", help="cpu, cuda or mps (default cpu)")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write every figure here")
    a = p.parse_args(argv)
    resolutions = a.resolutions or ([64] if a.quick else [64, 128])
    batch, rounds = a.batch or (4 if a.quick else 8), a.rounds or (2 if a.quick else 7)

    written: dict[str, object] = {
        "torch": torch.__version__, "threads": a.threads, "device": a.device, "batch": batch, "rounds": rounds,
    }
    for resolution in resolutions if a.only != "levers" else []:
        found = against_peers(resolution, batch, a.threads, a.device, rounds)
        print_peers(f"Training at {resolution} px, batch {batch}, {a.threads} threads", found)
        written[f"peers_{resolution}"] = {name: r.values() for name, r in found.items()}
    if a.only != "peers":
        # Small enough that the levers show: with wide layers, everything but the convolutions disappears.
        base = Job(
            OURS, 64, batch if a.quick else 16, a.threads, a.device, g_base=2048, g_max=256, d_base=2048, d_max=256
        )
        found = levers(base, a.levers, rounds)
        print_levers(f"Levers at 64 px, the bundled model's widths, batch {base.batch}, {a.threads} threads", found)
        written["levers"] = {name: r.values() for name, r in found.items()}
    if a.json:
        write_json(a.json, written)


def _result(job: Job, plain: float, lazy: float, about: dict[str, float]) -> Result:
    interval = int(about["lazy_interval"])
    step = plain + (lazy - plain) / interval
    return Result(
        job.batch / step, plain, lazy, int(about["peak_bytes"]), int(about["start_bytes"]),
        int(about["generator"]), int(about["discriminator"]),
    )


def _cells(r: Result) -> list[str]:
    return [
        f"{r.generator / 1e6:.1f}", f"{r.discriminator / 1e6:.1f}", f"{r.images_per_s:.2f}",
        f"{1000 * r.plain_s:.0f}", f"{1000 * r.lazy_s:.0f}", f"{r.peak_bytes / MIB:.0f}",
    ]


if __name__ == "__main__":
    main()
