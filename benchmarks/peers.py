"""The peers that the benchmarks compare with: stylegan2-pytorch and lightweight-gan, as their packages ship them.

Networks, initial weights, optimisers and losses are the packages' own. Their trainers run on CUDA only, so one
training step is written here after `Trainer.train` of each, with the trainers' defaults: no augmentation, a gradient
penalty on real and generated pictures every 4 steps. What their trainers do beside it (loading, logging, sampling,
running means) is left out, to their advantage.
"""

import importlib
import importlib.util
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import random
from types import ModuleType
from unittest import mock

import torch
from torch import Tensor, nn

from studio.errors import StudioError

GP_INTERVAL = 4  # both trainers: `self.steps % 4 == 0`
MIXED_PROB = 0.9  # stylegan2-pytorch's share of batches with two styles
GP_WEIGHT = 10.0  # lightweight-gan's; stylegan2-pytorch's is the default of its function


class PeerMissing(StudioError):
    """A package to compare with is not installed."""


@contextmanager
def _without_cuda() -> Iterator[None]:
    """stylegan2-pytorch asserts a CUDA device when imported, and both move their networks to one when built."""
    stay = mock.patch.object(nn.Module, "cuda", lambda self, _: self)
    with mock.patch("torch.cuda.is_available", lambda: True), stay:
        yield


def load(name: str) -> ModuleType:
    """stylegan2_pytorch or lightweight_gan. Raises PeerMissing."""
    if "aim" not in sys.modules and importlib.util.find_spec("aim") is None:
        sys.modules["aim"] = types.ModuleType("aim")  # a tracker of experiments, imported and not used here
    try:
        with _without_cuda():
            return importlib.import_module(f"{name}.{name}")
    except ImportError as error:
        raise PeerMissing(
            f"{name} cannot be imported ({error}); pip install --no-deps -r benchmarks/requirements.txt"
        ) from error


class Peer(ABC):
    """One peer at one resolution: `generator(batch)` makes pictures, `step(reals, lazy)` trains once."""

    name: str
    lazy_interval = GP_INTERVAL

    def __init__(self, resolution: int, device: torch.device) -> None:
        self.resolution, self.device = resolution, device
        self.lib = load(self.name.replace("-", "_"))
        with _without_cuda():
            self.gan = self.build().to(device)

    @abstractmethod
    def build(self) -> nn.Module:
        """Generator, discriminator and their optimisers, with the trainer's default settings."""

    @abstractmethod
    def generator_parameters(self) -> int: ...

    @abstractmethod
    def generator(self, batch: int) -> Callable[[], Tensor]:
        """A function that makes [batch, 3, R, R] from fixed noise, in evaluation mode."""

    @abstractmethod
    def step(self, reals: Tensor, lazy: bool) -> None:
        """One step of D and of G on reals [N, 3, R, R]; `lazy` includes the gradient penalty."""

    def discriminator_parameters(self) -> int:
        return sum(p.numel() for p in self.gan.D.parameters())


class StyleGAN2Pytorch(Peer):
    name = "stylegan2-pytorch"

    def build(self) -> nn.Module:
        return self.lib.StyleGAN2(self.resolution, network_capacity=16, lr=2e-4, ttur_mult=2)

    def generator_parameters(self) -> int:
        return sum(p.numel() for network in (self.gan.S, self.gan.G) for p in network.parameters())

    def generator(self, batch: int) -> Callable[[], Tensor]:
        S, G = self.gan.S.eval(), self.gan.G.eval()
        z = torch.randn(batch, G.latent_dim, device=self.device)
        noise = torch.rand(batch, self.resolution, self.resolution, 1, device=self.device)
        return lambda: G(self.lib.styles_def_to_tensor([(S(z), G.num_layers)]), noise)

    def step(self, reals: Tensor, lazy: bool) -> None:
        gan, lib, n = self.gan, self.lib, len(reals)
        gan.D_opt.zero_grad()
        # As their trainer does, the fakes for D are made with their graph, which is then dropped.
        fakes = self._fakes(n).clone().detach().requires_grad_(lazy)
        reals = reals.detach().requires_grad_(lazy)
        fake, _ = gan.D_aug(fakes)
        real, _ = gan.D_aug(reals)
        loss = lib.hinge_loss(fake, real)
        if lazy:
            loss = loss + lib.gradient_penalty(reals, real) + lib.gradient_penalty(fakes, fake)
        loss.backward()
        gan.D_opt.step()

        gan.G_opt.zero_grad()
        fake, _ = gan.D_aug(self._fakes(n))
        lib.gen_hinge_loss(fake, None).backward()
        gan.G_opt.step()

    def _fakes(self, n: int) -> Tensor:
        G, latent = self.gan.G, lambda: torch.randn(n, self.gan.G.latent_dim, device=self.device)
        first = int(torch.rand(()) * G.num_layers) if random() < MIXED_PROB else G.num_layers
        styles = [(latent(), first)] + ([(latent(), G.num_layers - first)] if first < G.num_layers else [])
        ws = self.lib.styles_def_to_tensor([(self.gan.S(z), layers) for z, layers in styles])
        return G(ws, torch.rand(n, self.resolution, self.resolution, 1, device=self.device))


class LightweightGAN(Peer):
    name = "lightweight-gan"

    def build(self) -> nn.Module:
        return self.lib.LightweightGAN(latent_dim=256, image_size=self.resolution)

    def generator_parameters(self) -> int:
        return sum(p.numel() for p in self.gan.G.parameters())

    def generator(self, batch: int) -> Callable[[], Tensor]:
        G, z = self.gan.G.eval(), torch.randn(batch, self.gan.latent_dim, device=self.device)
        return lambda: G(z)

    def step(self, reals: Tensor, lazy: bool) -> None:
        gan, lib, n = self.gan, self.lib, len(reals)
        latents = lambda: torch.randn(n, gan.latent_dim, device=self.device)
        gan.D_opt.zero_grad()
        with torch.no_grad():
            fakes = gan.G(latents())
        fakes.requires_grad_(lazy)
        reals = reals.detach().requires_grad_(lazy)
        fake, small_fake, _ = gan.D_aug(fakes)
        real, small_real, reconstruction = gan.D_aug(reals, calc_aux_loss=True)
        loss = lib.hinge_loss(real, fake) + lib.hinge_loss(small_real, small_fake) + reconstruction
        if lazy:
            at_reals = self._gradients([real, small_real], reals)
            at_fakes = self._gradients([fake, small_fake], fakes)
            loss = loss + GP_WEIGHT * torch.cat([at_reals, at_fakes]).mean()
        loss.backward()
        gan.D_opt.step()

        gan.G_opt.zero_grad()
        fake, small_fake, _ = gan.D_aug(gan.G(latents()))
        (lib.gen_hinge_loss(fake, None) + lib.gen_hinge_loss(small_fake, None)).backward()
        gan.G_opt.step()

    @staticmethod
    def _gradients(outputs: list[Tensor], pictures: Tensor) -> Tensor:
        """Squared gradient norms [N]."""
        ones = [torch.ones_like(output) for output in outputs]
        (gradient,) = torch.autograd.grad(outputs, pictures, ones, create_graph=True)
        return gradient.flatten(1).norm(2, dim=1) ** 2


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (StyleGAN2Pytorch, LightweightGAN)}
