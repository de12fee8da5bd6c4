"""From seeds and a class to styles."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from studio.capabilities import StyleGenerator
from studio.errors import SettingError


def styles(G: StyleGenerator, z: Tensor, label: int = 0, name: str = "this model") -> Tensor:
    """z [N, z_dim] on any device and a class -> ws [N, num_ws, w_dim], untruncated, on the model's device.

    `name` is what the person calls the model. Raises SettingError for a class that it lacks.
    """
    check_label(G, label, name)
    device = G.w_avg.device
    c = one_hot(torch.full([len(z)], label, device=device), G.classes).float() if G.classes else None
    return G.mapping(z.to(device), c)


def truncate(G: StyleGenerator, ws: Tensor, psi: float) -> Tensor:
    """Styles pulled towards their mean (the truncation trick): psi 1 leaves them, 0 gives the mean picture's."""
    return G.w_avg + psi * (ws - G.w_avg)


def check_label(G: StyleGenerator, label: int, name: str) -> None:
    """Raises SettingError for a class that the model lacks; 0, the default, is fine for a model without classes."""
    if G.classes == 0 and label != 0:
        raise SettingError(f"label={label} is given, and {name!r} has no classes; leave the label out")
    if G.classes and not 0 <= label < G.classes:
        limit = f"0..{G.classes - 1}, the classes of {name!r}"
        raise SettingError(f"label={label} is outside {limit}; choose one of these")
