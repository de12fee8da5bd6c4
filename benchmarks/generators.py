"""Pictures a second of generators alone, ours against the peers', in one process, in turn."""

import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.peers import PEERS
from benchmarks.sizes import generator_like, multiply_adds, parameters
from benchmarks.timing import interleaved, seconds
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Generator

BATCHES = (1, 16)


@dataclass(frozen=True)
class Contender:
    """`make(batch)` gives a function that makes the pictures from fixed noise z, mapping included."""

    name: str
    parameters: int
    multiply_adds: int  # a picture
    make: Callable[[int], Callable[[], Tensor]]


def ours(name: str, generator: nn.Module, lay_out: Callable[[nn.Module], nn.Module]) -> Contender:
    """A StyleGAN2 in its inference form."""
    laid_out, device = lay_out(generator), next(generator.parameters()).device

    def make(batch: int) -> Callable[[], Tensor]:
        z = torch.randn(batch, generator.z_dim, device=device)
        return lambda: laid_out.generate(z)

    count = multiply_adds(lambda: generator.generate(torch.randn(1, generator.z_dim, device=device)))
    return Contender(name, parameters(generator), count, make)


def contenders(
    resolution: int, device: torch.device, bundled: nn.Module | None, lay_out: Callable[[nn.Module], nn.Module]
) -> list[Contender]:
    """The peers, ours with at least each one's parameters, and the bundled model if it has this resolution."""
    found = [ours("bundled model", bundled, lay_out)] if bundled is not None else []
    for name, kind in PEERS.items():
        peer = kind(resolution, device)
        count = multiply_adds(peer.generator(1))
        found.append(Contender(name, peer.generator_parameters(), count, peer.generator))
        config: StyleGAN2Config = generator_like(peer.generator_parameters(), resolution)
        found.append(ours(f"ours, sized like {name}", StyleGAN2Generator(config).to(device), lay_out))
    return found


def images_per_s(
    found: list[Contender], device: torch.device, rounds: int, threads: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """For each contender, for each "THREADS/BATCH", its median."""
    rates: dict[str, dict[str, float]] = {c.name: {} for c in found}
    before = torch.get_num_threads()
    try:
        for count in threads:
            torch.set_num_threads(count)
            for batch in BATCHES:
                with torch.inference_mode():
                    made = {c.name: c.make(batch) for c in found}
                    times = interleaved({n: lambda run=run: seconds(run, device) for n, run in made.items()}, rounds)
                for name, time in times.items():
                    rates[name][f"{count}/{batch}"] = batch / time
                gc.collect()
    finally:
        torch.set_num_threads(before)
    return rates
