"""What a model can do. A tool asks for the capability it needs, not for a class, and says which one is missing."""

from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

from studio.errors import CapabilityError


@runtime_checkable
class NoiseGenerator(Protocol):
    """Makes pictures from noise. `classes` is 0 for a model without classes."""

    z_dim: int
    classes: int
    resolution: int
    channels: int

    def generate(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """z [N, z_dim] normal, c [N, classes] one-hot -> pictures [N, channels, resolution, resolution] in [-1, 1]."""
        ...


@runtime_checkable
class StyleGenerator(NoiseGenerator, Protocol):
    """Makes pictures from styles w, in which directions have meanings."""

    w_dim: int
    num_ws: int
    w_avg: Tensor  # [w_dim]

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """z [N, z_dim] -> ws [N, num_ws, w_dim], untruncated."""
        ...

    def synthesis(self, ws: Tensor, noise: str = "const") -> Tensor:
        """ws [N, num_ws, w_dim] -> pictures [N, channels, resolution, resolution]; noise is const, random or none."""
        ...


P = TypeVar("P")

_NAMES = {NoiseGenerator: "pictures from noise", StyleGenerator: "a style space w"}


def require(model: object, capability: type[P], name: str, tool: str) -> P:
    """The model as that capability. Raises CapabilityError naming the model, the tool and what is missing."""
    if not isinstance(model, capability):
        raise CapabilityError(f"{tool} needs a model with {_NAMES[capability]}, which {name!r} lacks; choose another model")
    return model
