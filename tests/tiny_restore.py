"""Networks that fill, find and enlarge by rules one can check, and an engine that has them."""

import contextlib
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.checkpoint import ModelInfo
from studio.engine import Engine, LoadedModel
from studio.errors import UnknownName
from studio.library import Library


class MeanInpainter(nn.Module):
    """Fills each place with the mean of what is known within `reach` px, which nothing farther away changes."""

    multiple = 8

    def __init__(self, reach: int = 20) -> None:
        super().__init__()
        self.reach, self.sizes = reach, []

    def fill(self, pictures: Tensor, masks: Tensor) -> Tensor:
        assert pictures.shape[2] % self.multiple == pictures.shape[3] % self.multiple == 0
        assert masks.unique().tolist() in ([0], [1], [0, 1])
        self.sizes.append(tuple(pictures.shape[2:]))
        side = 2 * self.reach + 1
        mean = lambda x: F.avg_pool2d(x.double(), side, stride=1, padding=self.reach, count_include_pad=False)
        found = mean(pictures * (1 - masks)) / mean(1 - masks).clamp(min=1e-6)
        return torch.where(masks > 0, found.to(pictures), pictures)


class DarkDetector(nn.Module):
    """Dark is a crack, red a stain, as likely as it is so."""

    classes = ("crack", "stain")

    def detect(self, pictures: Tensor) -> Tensor:
        dark = (1 - pictures.amax(dim=1)) / 2
        return torch.stack([dark, (pictures[:, 0] - pictures[:, 1]).clamp(0, 2) / 2], dim=1)


class RepeatUpscaler(nn.Module):
    """Repeats each pixel; smooths over 3 px as much as the strength says."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def upscale(self, pictures: Tensor, strength: Tensor) -> Tensor:
        smooth = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        x = torch.lerp(pictures, smooth, strength.view(-1, 1, 1, 1))
        return x.repeat_interleave(self.scale, dim=2).repeat_interleave(self.scale, dim=3)


class TinyEngine(Engine):
    """Has the networks given, by name, and no files."""

    def __init__(self, **networks: nn.Module) -> None:
        super().__init__(Library(()), "cpu")
        self.networks = networks

    @contextlib.contextmanager
    def use(self, name: str) -> Iterator[LoadedModel]:
        if name not in self.networks:
            raise UnknownName(f"no model named {name!r}; installed: {', '.join(self.networks) or 'none'}")
        info = ModelInfo(model="toy", config={}, sha256="ab" * 32, title=name, licence="CC0-1.0")
        with self.turn(name):
            yield LoadedModel(name, info, self.networks[name], self.device)
