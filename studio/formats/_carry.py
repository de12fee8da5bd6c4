"""Carries weights from the names of another program to ours, and knows what is missing and what is left over."""

import re
import zlib
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

from studio.errors import CheckpointError

_COUNTER = "num_batches_tracked"
# torch.nn.utils.spectral_norm, and torch.nn.utils.parametrizations.spectral_norm
_NORMED = (
    (re.compile(r"(.*)weight_orig"), "{}weight_u", "{}weight_v"),
    (
        re.compile(r"(.*)parametrizations\.weight\.original"),
        "{}parametrizations.weight.0._u", "{}parametrizations.weight.0._v",
    ),
)


class Carrier:
    """`found` by their names there; `what` is what messages call the file. All are to be taken, each once.

    Weights that spectral normalisation divides when they are used are divided. `transposed` names the transposed
    convolutions among these layers.
    """

    def __init__(self, found: Mapping[str, Tensor], what: str, transposed: Collection[str] = ()) -> None:
        self.what = what
        plain = {name: tensor.float() for name, tensor in found.items() if not name.endswith(_COUNTER)}
        self.left = put_together(plain, transposed)
        self.made: dict[str, Tensor] = {}

    def look(self, name: str) -> Tensor:
        """A weight, which stays. Raises CheckpointError where it is missing."""
        if name not in self.left:
            raise CheckpointError(f"{self.what} lacks {name}; get it again, or another version of it")
        return self.left[name]

    def take(self, name: str) -> Tensor:
        tensor = self.look(name)
        del self.left[name]
        return tensor

    def drop(self, names: Iterable[str]) -> None:
        """Leave out what no picture needs."""
        for name in names:
            self.left.pop(name, None)

    def layer(self, ours: str, theirs: str, bias: int = 0) -> None:
        """A weight, and its bias if there is one. `bias`: the size of ours, which is 0 if theirs has none."""
        self.made[f"{ours}.weight"] = self.take(f"{theirs}.weight")
        if f"{theirs}.bias" in self.left:
            self.made[f"{ours}.bias"] = self.take(f"{theirs}.bias")
        elif bias:
            self.made[f"{ours}.bias"] = torch.zeros(bias)

    def norm(self, ours: str, theirs: str) -> None:
        """Batch normalisation as in eval mode, where how many batches there were does not count."""
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.made[f"{ours}.{name}"] = self.take(f"{theirs}.{name}")
        self.made[f"{ours}.{_COUNTER}"] = torch.zeros([], dtype=torch.long)

    def grain(self, ours: str, side: int, strength: str | None = None) -> None:
        """Noise of a strength, or of none. Drawn for each picture there, it has a constant here, always the same."""
        self.made[f"{ours}.strength"] = torch.zeros([]) if strength is None else self.take(strength).reshape([])
        self.made[f"{ours}.const"] = torch.randn(side, side, generator=generator(ours))

    def finish(self) -> dict[str, Tensor]:
        """Ours. Raises CheckpointError where something is left that has no place here."""
        if self.left:
            some = ", ".join(sorted(self.left)[:3])
            unknown = f"{self.what} has {len(self.left)} weights that are unknown here ({some})"
            raise CheckpointError(f"{unknown}; give another version")
        return self.made


def generator(name: str) -> torch.Generator:
    """A source of noise that depends on a name alone."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def put_together(weights: Mapping[str, Tensor], transposed: Collection[str] = ()) -> dict[str, Tensor]:
    """Weights divided by their largest singular value (Miyato et al. 2018, arXiv:1802.05957), as in eval mode there.

    It is told by the singular vectors u and v that training arrived at.
    """
    left, made = dict(weights), {}
    for name in weights:
        for pattern, u_name, v_name in _NORMED:
            if (found := pattern.fullmatch(name)) and {u_name.format(found[1]), v_name.format(found[1])} <= set(left):
                weight, u, v = (left.pop(key) for key in (name, u_name.format(found[1]), v_name.format(found[1])))
                matrix = weight.transpose(0, 1) if found[1].removesuffix(".") in transposed else weight
                made[f"{found[1]}weight"] = weight / torch.dot(u, matrix.flatten(1) @ v)
    return {**left, **made}
