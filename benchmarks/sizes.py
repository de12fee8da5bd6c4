"""StyleGAN2 in sizes that can be set beside a peer's: at least as many parameters."""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator

TOP_STEP = 8  # feature maps at the highest resolution are a multiple of this, which vector units like
MAX_TOP = 256
CHANNEL_MAX = (512, 768, 1024)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def at_least(
    wanted: int, resolution: int, build: Callable[[StyleGAN2Config], nn.Module], run: Callable[[nn.Module], object]
) -> StyleGAN2Config:
    """Of the networks with at least `wanted` parameters, the one with the fewest multiply-adds in run(network).

    Peers put their parameters where the picture is small, so channel_max may pass the paper's 512 as well; tables
    print the multiply-adds beside the parameters. Raises ValueError when no size is large enough.
    """
    fitting = []
    for channel_max in CHANNEL_MAX:
        for top in range(TOP_STEP, MAX_TOP + 1, TOP_STEP):
            config = StyleGAN2Config(resolution=resolution, channel_base=top * resolution, channel_max=channel_max)
            with torch.device("meta"):
                network = build(config)
            if parameters(network) >= wanted:
                fitting.append((multiply_adds(lambda: run(network)), config))
                break
    if not fitting:
        raise ValueError(f"{wanted} parameters at {resolution} px are more than the largest size tried has")
    return min(fitting, key=lambda pair: pair[0])[1]


def generator_like(wanted: int, resolution: int) -> StyleGAN2Config:
    return at_least(wanted, resolution, StyleGAN2Generator, lambda G: G(torch.empty(1, G.z_dim, device="meta")))


def discriminator_like(wanted: int, resolution: int) -> StyleGAN2Config:
    picture = torch.empty(1, 3, resolution, resolution, device="meta")
    return at_least(wanted, resolution, StyleGAN2Discriminator, lambda D: D(picture))


def multiply_adds(run: Callable[[], object]) -> int:
    """Multiply-adds of the convolutions and matrix products in run()."""
    # With gradients: the counter's own hooks fail on parameters that want them where none are recorded.
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2

