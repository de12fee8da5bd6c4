"""What is trained, on what, with which losses: one recipe a file, registered in RECIPES."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from studio.config import Config, setting
from studio.registry import Registry
from train.data import Pictures, open_pictures


@dataclass(frozen=True)
class LoopConfig(Config):
    """Settings that every recipe shares: those of the loop itself.

    `changeable` names what a resume may change, because what was saved does not depend on it. `lr`, `d_lr` and
    `r1_gamma` are not the loop's own: recipes that have such settings call them so. A recipe of which others may
    change as well says `changeable: ClassVar[frozenset[str]] = LoopConfig.changeable | {...}`.
    """

    changeable: ClassVar[frozenset[str]] = frozenset({
        "kimg", "batch", "accumulate", "mirror", "ema_kimg", "ema_rampup", "tick_kimg", "sample_ticks", "keep_ticks",
        "precision", "lr", "d_lr", "r1_gamma",
    })

    paths: ClassVar[frozenset[str]] = frozenset()  # settings that are files or folders of this machine, as `init` is

    kimg: float = setting(1000.0, "length of the training", low=0.001, high=1e6, unit="thousand pictures shown to D")
    batch: int = setting(32, "pictures a step, over all processes", low=2, high=8192)
    accumulate: int = setting(
        1, "rounds a step's batch is split into, to save memory", low=1, high=1024, advanced=True
    )
    seed: int = setting(0, "fixes everything random", low=0, high=2**31 - 1)
    holdout: float = setting(0.0, "share of the pictures kept from training, to measure on", low=0, high=0.9)
    mirror: bool = setting(False, "show half of the pictures mirrored; not for writing")
    ema_kimg: float = setting(10.0, "half-life of the running mean of the weights", low=0, high=1000, unit="kimg")
    ema_rampup: float = setting(
        0.05, "the half-life is at most this share of the training so far", low=0.001, high=1, advanced=True
    )
    tick_kimg: float = setting(
        4.0, "a progress line and a state are written this often", low=0.001, high=1000, unit="kimg"
    )
    sample_ticks: int = setting(1, "a sample grid is written every so many ticks", low=1, high=10_000)
    keep_ticks: int = setting(
        0, "the model as it then is stays in snapshots/, to be opened and compared, every so many ticks; 0: never",
        low=0, high=10_000,
    )
    precision: str = setting(
        "auto", "fp32, bf16, or auto: bf16 on a GPU that has it", choices=["auto", "fp32", "bf16"]
    )
    init: str = setting(
        "", "a model or a run to start from, by name or folder: its weights are taken over where they fit"
    )

    def published(self) -> dict[str, Any]:
        """The settings as an exported model has them: of paths, which tell of their owner, the last part alone."""
        paths = self.paths | {"init"}
        return {name: Path(value).name if name in paths else value for name, value in self.to_dict().items()}


@dataclass(frozen=True)
class Batch:
    """One round's share of a step: reals [n, C, R, R] in [-1, 1], labels [n] class numbers."""

    reals: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Phase:
    """One kind of optimiser step.

    `loss` returns the scalar to minimise and named values for the progress line. It runs every `interval` steps; a
    lazy regulariser (Karras et al. 2020, appendix B) multiplies its own loss by the interval. `clip` is the longest
    gradient the network follows; a longer one is shortened to it.
    """

    name: str
    network: str
    loss: Callable[[Batch], tuple[Tensor, dict[str, Tensor]]]
    interval: int = 1
    clip: float | None = None


class Recipe(ABC):
    """A recipe at work: networks, their optimisers and running means, and the phases of a step.

    The loop owns everything that is the same for all: order, gradients between processes, EMA, ticks, states and
    stopping.
    """

    settings: ClassVar[type[LoopConfig]]
    description: ClassVar[str]  # one sentence on when to choose it
    # Whether all that a step draws at random has pictures as its first dimension, or none (train/chance.py): several
    # processes then learn as one would. Without it each draws its own.
    per_picture: ClassVar[bool] = False

    config: LoopConfig
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]  # one a network, by the same name
    ema: dict[str, nn.Module]  # running means of some networks, by the same name
    phases: list[Phase]

    @classmethod
    def open_data(cls, config: LoopConfig, path: Path) -> Pictures:
        """What to learn from, out of a folder or a zip. Raises DataError."""
        return open_pictures(
            path, config.resolution, config.channels, classes=config.classes, fit=config.fit, part="train",
            holdout=config.holdout,
        )

    @abstractmethod
    def sample(self) -> Tensor:
        """Pictures [N, C, R, R] of fixed latents from the running mean, for the sample grid.

        The grid shows the first `train.grids.grid_count(R)` of them; more would be drawn for nothing.
        """

    @abstractmethod
    def model(self) -> tuple[str, Config, nn.Module]:
        """What `export` writes: the registered model name, its settings, and the network (the running mean)."""

    def grow(self, anew: Mapping[str, list[str]]) -> None:
        """After weights were taken over (train/finetune.py): `anew` are the tensors of each network that were not."""

    def start_step(self, images: int) -> None:
        """Before every step; `images` is how many pictures the run has seen."""

    def end_step(self, step: int, reduce: Callable[[Tensor], Tensor]) -> None:
        """After every step; `reduce` averages a tensor over all processes."""

    def scalars(self) -> dict[str, float]:
        """Numbers that are part of the state and of the progress line (augmentation strength)."""
        return {}

    def load_scalars(self, values: dict[str, float]) -> None:
        """Take back what `scalars` gave."""


RECIPES: Registry[type[Recipe]] = Registry("recipe", package=__name__)
