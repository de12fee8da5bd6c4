"""Networks, one paper a file. Each file registers itself in MODELS under the name that model.json carries."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from studio.config import Config
from studio.registry import Registry


@dataclass(frozen=True)
class ModelFamily:
    """How to build one kind of network from its settings.

    `task` says which tab a model of this kind belongs to; what it can really do is said by the Protocols it fulfils
    (`studio.capabilities`). `layout` turns a trained network into the faster form of itself that the engine keeps.
    """

    config: type[Config]
    build: Callable[[Config], nn.Module]
    task: str
    title: str
    paper: str
    layout: Callable[[nn.Module], nn.Module] = lambda network: network


MODELS: Registry[ModelFamily] = Registry("model", package=__name__)
