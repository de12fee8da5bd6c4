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
        """z [N, z_dim] normal, c [N, classes] one-hot -> [N, channels, resolution, resolution] in [-1, 1]."""
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


@runtime_checkable
class Movable(Protocol):
    """Makes pictures that can be shifted and turned as if the camera were, with more of the scene at their edges."""

    def moved(self, ws: Tensor, right: float, down: float, turn: float) -> Tensor:
        """As StyleGenerator.synthesis; right and down in picture widths, turn in degrees to the left."""
        ...


class Style(Protocol):
    """What a Styler has read from S style pictures: colours and texture."""

    mean: Tensor  # [S, 3] of the colours in [-1, 1]
    root: Tensor  # [S, 3, 3] the square root of the colours' covariance
    texture: Tensor  # [S, hidden]


# mean and deviation [N, C, 1, 1] of each normalised layer, in order, and of the result
Statistics = list[tuple[Tensor, Tensor]]


class Folded(Protocol):
    """Paints in one style, by convolutions alone."""

    reach: int  # px; what is painted somewhere depends on nothing that is farther away

    def __call__(self, pictures: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """[1, 3, H, W] in [-1, 1], sides multiples of 8 and at least 16 -> the same shape, about [-1, 1].

        top, left: where in a larger picture it lies, in px, multiples of 8.
        """
        ...


@runtime_checkable
class Styler(Protocol):
    """Paints any picture in the style of any other, in one pass."""

    def encode(self, styles: Tensor) -> Style:
        """styles [S, 3, H, W] in [-1, 1], sides at least 4 -> S styles."""
        ...

    def paint(
        self, white: Tensor, texture: Tensor, given: Statistics | None = None, *, together: bool = False,
        places: Tensor | None = None,
    ) -> tuple[Tensor, Statistics]:
        """Pictures [N, 3, H, W] without colours and S textures -> painted, still without, and the statistics used."""
        ...

    def fold(self, style: Style, given: Statistics, mean: Tensor, root: Tensor) -> Folded:
        """A painter in one style, given statistics, for pictures of colours `mean` [1, 3] and `root` [1, 3, 3]."""
        ...


@runtime_checkable
class Inpainter(Protocol):
    """Fills in what is missing from a picture."""

    multiple: int  # px; sides are multiples of this

    def fill(self, pictures: Tensor, masks: Tensor) -> Tensor:
        """pictures [N, 3, H, W] in [-1, 1], masks [N, 1, H, W] in {0, 1}, 1 = to be filled -> [N, 3, H, W] in [-1, 1].

        What pictures hold under the mask does not matter; elsewhere they come back as they are.
        """
        ...


@runtime_checkable
class Translator(Protocol):
    """Turns one kind of picture into another: a photo into a painting, a map into a view from the air."""

    multiple: int  # px; sides are multiples of this

    def translate(self, pictures: Tensor) -> Tensor:
        """pictures [N, 3, H, W] in [-1, 1] -> the same shape and range."""
        ...


@runtime_checkable
class DamageDetector(Protocol):
    """Says where a picture may be damaged, and how."""

    classes: tuple[str, ...]

    def detect(self, pictures: Tensor) -> Tensor:
        """pictures [N, 3, H, W] in [-1, 1] -> [N, K, H, W]: how likely each kind of damage is, each for itself."""
        ...


@runtime_checkable
class Upscaler(Protocol):
    """Makes pictures larger and cleaner; at a scale of 1, cleaner alone."""

    scale: int

    def upscale(self, pictures: Tensor, strength: Tensor) -> Tensor:
        """pictures [N, 3, h, w] in [-1, 1] -> [N, 3, h * scale, w * scale] in [-1, 1].

        strength [N]: how much noise there is to remove, 0 (none) to 1.
        """
        ...


P = TypeVar("P")

_NAMES = {
    NoiseGenerator: "pictures from noise",
    StyleGenerator: "a style space w",
    Styler: "painting in any style",
    Inpainter: "filling in what is missing",
    Translator: "turning one kind of picture into another",
    DamageDetector: "finding damage",
    Upscaler: "enlarging and cleaning",
}


def require(model: object, capability: type[P], name: str, tool: str) -> P:
    """The model as that capability. Raises CapabilityError naming the model, the tool and what is missing."""
    if not isinstance(model, capability):
        lack = f"{tool} needs a model with {_NAMES[capability]}, which {name!r} lacks"
        raise CapabilityError(f"{lack}; choose another model")
    return model
