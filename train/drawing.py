"""Pictures to measure on: a generator's own, at fixed latents, and real ones in a fixed order."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.functional import one_hot

from studio.capabilities import NoiseGenerator
from studio.nn.features import FeatureNetwork
from train.data import Pictures
from train.metrics import extract

BATCH = 32
VIEW = 16  # px


@torch.inference_mode()
def generated(G: NoiseGenerator, count: int, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Untruncated pictures in batches [n, C, R, R] in [-1, 1], n at most 32; classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        z = torch.randn(size, G.z_dim, generator=generator).to(device)
        c = None
        if G.classes:
            c = one_hot(torch.arange(start, start + size, device=device) % G.classes, G.classes).float()
        yield G.generate(z, c).clamp(-1, 1)


def fixed_shuffle(pictures: Pictures, count: int) -> list[int]:
    """The places of at most `count` pictures, the same ones whenever it is asked."""
    return torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))[:count].tolist()


def real_features(pictures: Pictures, places: list[int], extractor: FeatureNetwork) -> Tensor:
    """Features [len(places), dim] of these pictures. Raises DataError for none, ImageError for one that is gone."""
    parts = (places[i : i + BATCH] for i in range(0, len(places), BATCH))
    return extract((pictures.load(part).float() / 127.5 - 1 for part in parts), extractor)


def views(images: Tensor) -> Tensor:
    """Pictures [N, C, H, W] at 16 x 16 px at most, as rows [N, C * 256], float32 on the CPU.

    Here a picture that was drawn again stays near its original. Feature networks see grain and blur first: in Lite0, a
    copy with noise of a twentieth of the range is farther from its original than the next picture is.
    """
    height, width = (min(side, VIEW) for side in images.shape[2:])
    return F.adaptive_avg_pool2d(images.float(), (height, width)).flatten(1).cpu()


def real_views(pictures: Pictures, places: list[int]) -> Tensor:
    """`views` of these pictures. Raises ImageError for one that is gone."""
    parts = (places[i : i + BATCH] for i in range(0, len(places), BATCH))
    return torch.cat([views(pictures.load(part).float() / 127.5 - 1) for part in parts])
