"""What several tests share: a StyleGAN2 that draws in a millisecond, and a library that holds it."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from studio.checkpoint import ModelInfo, save_checkpoint
from studio.library import Library
from studio.models.stylegan2 import StyleGAN2Config, StyleGAN2Generator

torch.set_num_threads(1)  # networks this small are slower on more
os.environ["OMP_NUM_THREADS"] = "1"  # for programs that tests start, and so that nobody tries which number is best
# A job in the background ignores Ctrl-C and hands that on to what it starts, to which some tests send one.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def _a_home_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the studio keeps between runs is neither read nor written in the person's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def tiny_config() -> StyleGAN2Config:
    """16 px, grey, 6 styles of 8 numbers; 16, 16 and 8 feature maps at 4, 8 and 16 px."""
    return StyleGAN2Config(
        resolution=16, channels=1, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=16
    )


@pytest.fixture(scope="session")
def make_generator(tiny_config: StyleGAN2Config) -> Callable[..., StyleGAN2Generator]:
    """make_generator(seed=0, **changes): a tiny generator in eval mode, in which nothing is zero.

    Fresh weights have no bias, no grain and no mean style, and would hide what becomes of them.
    """

    def make(seed: int = 0, **changes: object) -> StyleGAN2Generator:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            G = StyleGAN2Generator(tiny_config.replace(**changes))
            with torch.no_grad():
                for name, parameter in G.named_parameters():
                    if name.endswith(("bias", "noise_strength")):
                        parameter.add_(0.1 * torch.randn_like(parameter))
                G.mapping_network.w_avg.copy_(0.3 * torch.randn(G.w_dim))
        return G.eval().requires_grad_(False)

    return make


@pytest.fixture(scope="session")
def save_tiny(make_generator: Callable[..., StyleGAN2Generator]) -> Callable[..., Path]:
    """save_tiny(folder, seed=0, **changes): a checkpoint folder of a tiny generator, in float32."""

    def save(folder: Path, seed: int = 0, **changes: object) -> Path:
        G = make_generator(seed, **changes)
        info = ModelInfo(model="stylegan2", config=G.config.to_dict(), sha256="", title=folder.name)
        return save_checkpoint(folder, info, G, "# A tiny model\n", dtype=torch.float32)

    return save


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, save_tiny: Callable[..., Path]) -> Library:
    """Holds `tiny`, and `tiny-classes` of 3 classes. Shared: only to be read."""
    root = tmp_path_factory.mktemp("models")
    save_tiny(root / "tiny")
    save_tiny(root / "tiny-classes", seed=1, classes=3)
    return Library((root,))
