"""A model's dials on disk: found once in seconds, and there at once in the next session."""

import contextlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from studio.errors import DiskError
from studio.files import write_bytes
from studio.latent.directions import DIALS, STRONG, Dials
from studio.library import home

SEARCH = "1"  # which search found them; another one's are not taken
_MAX_BYTES = 1 << 20


def read_dials(sha256: str, w_dim: int) -> Dials | None:
    """The dials kept for the weights of this hash; None if there are none that can be used, for whatever reason."""
    path = _path(sha256)
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("search") != SEARCH or set(file.keys()) != {"directions", "effects"}:
                return None
            directions, effects = file.get_tensor("directions").float(), file.get_tensor("effects").float()
    except (OSError, SafetensorError):
        return None
    if effects.dim() != 1 or len(effects) > DIALS or directions.shape != (len(effects), w_dim):
        return None
    if not directions.isfinite().all() or not ((effects >= 0) & (effects <= STRONG)).all():
        return None
    return Dials(directions, effects)


def write_dials(sha256: str, dials: Dials) -> None:
    """Keep the dials, or do nothing where the disk refuses: they can be found again."""
    path = _path(sha256)
    tensors = {"directions": dials.directions.cpu().contiguous(), "effects": dials.effects.cpu().contiguous()}
    with contextlib.suppress(OSError, DiskError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(tensors, metadata={"search": SEARCH}))


def _path(sha256: str) -> Path:
    return home() / "dials" / f"{sha256}.safetensors"
