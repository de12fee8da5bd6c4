"""Pictures made larger by their own mirror image, to the sizes that networks take."""

import torch.nn.functional as F
from torch import Tensor


def padded(x: Tensor, multiple: int, least: int = 1) -> Tensor:
    """x [1, C, H, W] with its mirror image to the right and below: sides are multiples, at least `least` px."""
    sides = [max(-(-side // multiple), -(-least // multiple)) * multiple for side in x.shape[2:]]
    while any(grow := [side - has for side, has in zip(sides, x.shape[2:])]):
        for axis, by in enumerate(grow):
            has = x.shape[2 + axis]
            # a mirror image has all but the edge; of a single row or column there is none, and it is repeated
            by = min(by, has - 1) if has > 1 else by
            x = F.pad(x, (0, 0, 0, by) if axis == 0 else (0, by, 0, 0), mode="reflect" if has > 1 else "replicate")
    return x
