"""One trainer in a process of its own, for train.py: builds what its one argument (JSON) says, then takes orders.

Orders come as lines on stdin: `plain` and `lazy` take one training step, without and with the lazily computed
penalty, and answer with its seconds; `about` answers with parameters and the peak memory so far. Answers are lines of
JSON.
"""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Protocol

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from benchmarks.memory import peak_bytes
from benchmarks.peers import PEERS
from benchmarks.sizes import parameters
from benchmarks.timing import seconds
from studio.device import choose_device
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, SynthesisLayer, ToRGB
from studio.nn.layers import LRELU_GAIN, EqualConv2d, fir
from studio.nn.memory import keep_freed_memory
from train.loop import take_step, update_ema
from train.recipes import Batch
from train.recipes.stylegan2 import StyleGAN2Recipe, StyleGAN2Settings

OURS = "atelier"


@dataclass(frozen=True)
class Job:
    """What to train. The sizes and switches from `g_base` on are for ours; a peer has its own."""

    trainer: str
    resolution: int
    batch: int
    threads: int
    device: str = "cpu"
    g_base: int = 0
    g_max: int = 512
    d_base: int = 0
    d_max: int = 512
    r1_interval: int = 16
    channels_last: bool = True
    fused_adam: bool = True
    keep_memory: bool = True
    compiled: bool = False
    grouped: bool = False

    def argument(self) -> str:
        return json.dumps(asdict(self))


class Trainer(Protocol):
    lazy_interval: int

    def step(self, reals: Tensor, lazy: bool) -> None: ...

    def generator_parameters(self) -> int: ...

    def discriminator_parameters(self) -> int: ...


class Ours:
    """The stylegan2 recipe, stepped as train/loop.py steps it: its phases, its optimisers, its running mean."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self.job, self.lazy_interval, self.steps = job, job.r1_interval, 0
        settings = StyleGAN2Settings(
            resolution=job.resolution, batch=job.batch, channel_base=job.g_base, channel_max=job.g_max,
            r1_interval=job.r1_interval, augment="none", precision="fp32",
        )
        self.recipe = _SizedRecipe(job, settings, device)
        self.accelerator = Accelerator(cpu=device.type == "cpu")
        networks = self.recipe.networks
        if not job.channels_last:
            for network in networks.values():
                _use_nchw(network)
        if job.grouped:
            _use_grouped(networks["G"])
        if job.compiled:
            networks["G"].synthesis_network.compile()
            networks["D"].compile()

    def step(self, reals: Tensor, lazy: bool) -> None:
        rounds = [Batch(reals, torch.zeros(len(reals), dtype=torch.long, device=reals.device))]
        for phase in self.recipe.phases:
            if phase.interval > 1 and not lazy:
                continue
            # Compiled code cannot be differentiated twice, which R1 needs.
            stance = torch.compiler.set_stance("force_eager") if phase.interval > 1 else nullcontext()
            with stance:
                take_step(phase, self.recipe, rounds, self.accelerator)
        self.steps += 1
        update_ema(self.recipe, 0.999)
        self.recipe.end_step(self.steps, lambda t: t)

    def generator_parameters(self) -> int:
        return parameters(self.recipe.networks["G"])

    def discriminator_parameters(self) -> int:
        return parameters(self.recipe.networks["D"])


class _SizedRecipe(StyleGAN2Recipe):
    """G and D of sizes of their own, as the peers' are; Adam fused or not."""

    def __init__(self, job: Job, settings: StyleGAN2Settings, device: torch.device) -> None:
        self.job = job
        super().__init__(settings, SimpleNamespace(class_names=[]), device, torch.float32)
        if not job.fused_adam:
            for name, used in self.optimizers.items():
                group = used.param_groups[0]
                self.optimizers[name] = torch.optim.Adam(group["params"], group["lr"], group["betas"], group["eps"])

    def discriminator(self, network: StyleGAN2Config) -> nn.Module:
        config = network.replace(channel_base=self.job.d_base, channel_max=self.job.d_max)
        return StyleGAN2Discriminator(config, self.config.mbstd_group, self.config.mbstd_features)


class GroupedLayer(nn.Module):
    """The usual modulated convolution (Karras et al. 2020), for comparison: one weight and one group a picture.

    The same result as SynthesisLayer. x [N, in, H, W], w [N, w_dim] -> [N, out, H, W] or [N, out, 2H, 2W].
    """

    def __init__(self, source: SynthesisLayer) -> None:
        super().__init__()
        self.source = source

    def forward(self, x: Tensor, w: Tensor, noise: str) -> Tensor:
        layer, n = self.source, len(x)
        weight = layer.weight[None] * layer.affine(w)[:, None, :, None, None]  # [NOIkk]
        weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        out, inside = layer.weight.shape[:2]
        size = x.shape[2:]
        if layer.up:
            weight = weight.transpose(1, 2).reshape(n * inside, out, 3, 3)
            x = F.conv_transpose2d(x.reshape(1, n * inside, *size), weight, stride=2, groups=n)
            x = x.reshape(n, out, *x.shape[2:])
            x = fir(x, padding=1, gain=4.0)
        else:
            x = F.conv2d(x.reshape(1, n * inside, *size), weight.reshape(n * out, inside, 3, 3), padding=1, groups=n)
            x = x.reshape(n, out, *x.shape[2:])
        if noise == "random":
            x = x + torch.randn(n, 1, *x.shape[2:], device=x.device) * layer.noise_strength
        elif noise == "const":
            x = x + layer.noise_const * layer.noise_strength
        return F.leaky_relu(x + layer.bias[None, :, None, None], 0.2) * LRELU_GAIN


def build(job: Job, device: torch.device) -> Trainer:
    return Ours(job, device) if job.trainer == OURS else PEERS[job.trainer](job.resolution, device)


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    if job.trainer == OURS and job.keep_memory:
        keep_freed_memory()
    device = choose_device(job.device)
    before = peak_bytes(str(device))
    trainer = build(job, device)
    reals = torch.rand(job.batch, 3, job.resolution, job.resolution, device=device) * 2 - 1
    answer({"ready": True})
    for order in map(str.strip, sys.stdin):
        if order == "about":
            answer(
                {
                    "generator": trainer.generator_parameters(),
                    "discriminator": trainer.discriminator_parameters(),
                    "lazy_interval": trainer.lazy_interval,
                    "start_bytes": before,
                    "peak_bytes": peak_bytes(str(device)),
                }
            )
        else:
            answer({"s": seconds(lambda: trainer.step(reals, order == "lazy"), device)})


def answer(values: dict[str, object]) -> None:
    print(json.dumps(values), flush=True)


def _use_nchw(network: nn.Module) -> None:
    """Weights and activations in NCHW memory: a convolution answers in the format of what it reads."""
    for p in network.parameters():
        # contiguous() would leave 1x1 kernels as they are
        p.data = p.data.clone(memory_format=torch.contiguous_format)
    convert: Callable[..., tuple] = lambda module, inputs: (inputs[0].contiguous(), *inputs[1:])
    for module in network.modules():
        if isinstance(module, (SynthesisLayer, ToRGB, EqualConv2d)):
            module.register_forward_pre_hook(convert)


def _use_grouped(generator: nn.Module) -> None:
    for block in generator.synthesis_network.children():
        for name in ("conv0", "conv1"):
            if hasattr(block, name):
                setattr(block, name, GroupedLayer(getattr(block, name)))


if __name__ == "__main__":
    main()
