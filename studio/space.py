"""A Hugging Face Space: how it is known, what it lends, and where it keeps what is to outlive a restart."""

import importlib.util
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

STORAGE = Path("/data")  # where a Space has its persistent storage, if its owner has taken some


def on_space(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("SPACE_ID"))


def lends_gpus(environ: Mapping[str, str]) -> bool:
    """Whether this Space has GPUs for the length of a call (ZeroGPU), and the package for them."""
    wanted = environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return wanted and importlib.util.find_spec("spaces") is not None


def keep_in_storage(environ: MutableMapping[str, str], storage: Path = STORAGE) -> None:
    """On a Space with persistent storage, keep models and the Hub's cache there, unless its owner has said where.

    To be called before the Hub's client is imported, which reads its variables then.
    """
    if on_space(environ) and storage.is_dir() and os.access(storage, os.W_OK):
        environ.setdefault("ATELIER_HOME", str(storage / "atelier"))
        if not environ.keys() & {"HF_HOME", "HF_HUB_CACHE"}:
            environ["HF_HOME"] = str(storage / "huggingface")
