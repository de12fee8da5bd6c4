"""Pictures with an alpha channel, as the page and files want them: opaque."""

from torch import Tensor


def on_white(pictures: Tensor) -> Tensor:
    """RGBA [N, 4, H, W] in [0, 1], clamped to it -> the colours over white [N, 3, H, W] in [0, 1]."""
    colours, alpha = pictures.clamp(0, 1).split([3, 1], dim=1)
    return colours * alpha + (1 - alpha)
