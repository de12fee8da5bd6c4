"""Formats that are weights by name and nothing else: how they are recognised and read is the same for all."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from studio.config import Config
from studio.errors import CheckpointError, SettingError
from studio.formats import FORMATS, Format, Imported
from studio.formats.pickles import Contents

Weights = dict[str, Tensor]
Find = Callable[[object], Weights | None]
Convert = Callable[[Weights, Path], tuple[Config, Mapping[str, Tensor]]]


def register(name: str, title: str, model: str, find: Find, convert: Convert) -> None:
    """Add a format. find(value): the weights of interest in what a file holds, or None; it must not raise.

    convert(weights, path): our settings and weights by our names; raises CheckpointError, or SettingError where the
    network is of a size that ours has not. `model` is a name in MODELS.
    """

    def read(contents: Contents) -> Imported:
        looks = f"{contents.path.name} looks like {title}"
        try:
            config, weights = convert(find(contents.value), contents.path)
        except CheckpointError:
            raise
        except SettingError as error:
            what = f"{looks} of a size that is unknown here: {str(error)[:200]}"
            raise CheckpointError(f"{what}; give another file") from error
        except Exception as error:  # shapes of a stranger meet any exception there is
            why = " ".join(str(error).split())[:120]
            raise CheckpointError(f"{looks} and does not fit it ({why}); get it again") from error
        return Imported(model=model, config=config, weights=weights)

    FORMATS.register(name)(Format(title, lambda contents: find(contents.value) is not None, read))
