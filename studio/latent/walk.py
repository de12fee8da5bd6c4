"""Between latents: straight lines, great circles, and closed smooth curves through many."""

import numpy as np
import torch
from torch import Tensor


def z_from_seed(seed: int, z_dim: int) -> Tensor:
    """The latent [1, z_dim] that a seed stands for, the same on every machine and device.

    Drawn as NVIDIA's programs draw it, so that a seed gives the picture it gives there.
    """
    return torch.from_numpy(np.random.RandomState(seed).randn(1, z_dim)).float()


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the line from a to b; for w."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the great circle from a to b, for z (White 2016, arXiv:1609.04468).

    a, b [N, D]. A line would cut through the middle of the sphere that normal vectors lie on, where none ever is; the
    length is interpolated with the angle. Opposite and parallel vectors have no one circle, a zero vector has no
    direction: they fall back to the line.
    """
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    no_direction = (length_a == 0) | (length_b == 0)
    one = torch.ones_like(length_a)
    unit_a, unit_b = (v / torch.where(no_direction, one, length) for v, length in ((a, length_a), (b, length_b)))
    angle = (unit_a * unit_b).sum(dim=1, keepdim=True).clamp(-1, 1).acos()
    flat = no_direction | (angle.sin() < 1e-4)
    safe = torch.where(flat, one, angle)
    direction = (((1 - t) * safe).sin() * unit_a + (t * safe).sin() * unit_b) / safe.sin()
    return torch.where(flat, lerp(a, b, t), direction * lerp(length_a, length_b, t))


def spline(keys: Tensor, t: float, loop: bool) -> Tensor:
    """A smooth curve through key points, at t in [0, 1] (Catmull-Rom: a key's tangent is half the chord around it).

    keys [K, ...]; t = 0 is the first key. With `loop` the curve closes and t = 1 is the first key again, with the
    same velocity; otherwise t = 1 is the last key.
    """
    count = len(keys)
    spans = count if loop else count - 1
    if spans < 1:
        return keys[0]
    span = min(int(t * spans), spans - 1)
    u = t * spans - span
    at = (lambda i: keys[i % count]) if loop else (lambda i: keys[min(max(i, 0), count - 1)])
    before, start, end, after = (at(span + i) for i in (-1, 0, 1, 2))
    v0, v1 = (end - before) / 2, (after - start) / 2
    leave, arrive = 2 * u**3 - 3 * u**2 + 1, 3 * u**2 - 2 * u**3
    return leave * start + arrive * end + (u**3 - 2 * u**2 + u) * v0 + (u**3 - u**2) * v1
