"""From the sliders to a picture: what every control of the explore tab means.

ExploreSettings is the whole state of the tab; it is checked on arrival, stored in the picture, and read back from it.
"""

import json
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from studio.capabilities import Movable, StyleGenerator, require
from studio.config import Config, setting
from studio.dials import read_dials, write_dials
from studio.engine import Engine, LoadedModel
from studio.errors import SettingError
from studio.latent.directions import DIALS, Dials, find_dials
from studio.latent.mapping import styles, truncate
from studio.latent.walk import lerp, slerp, z_from_seed
from studio.provenance import Provenance
from studio.seeds import MAX_SEED

TOOL = "explore"
CACHED_STYLES = 512
T = TypeVar("T")


@dataclass(frozen=True)
class ExploreSettings(Config):
    """What the explore tab's controls say."""

    model: str = setting("calligraphy", "name of an installed model")
    seed: int = setting(0, "which picture", low=0, high=MAX_SEED)
    psi: float = setting(0.7, "truncation: 0 the mean picture, 1 the full variety", low=-1, high=2)
    noise: str = setting("const", "fine grain: const, random or none", choices=["const", "random", "none"])
    label: int = setting(0, "class, for a model with classes", low=0, high=100_000)
    to_seed: int = setting(1, "the picture at the walk's end", low=0, high=MAX_SEED)
    walk: float = setting(0.0, "how far from the first picture to the last", low=0, high=1)
    path: str = setting("w", "the walk's way: w (a line, in styles) or z (an arc, in noise)", choices=["w", "z"])
    mix_seed: int = setting(2, "the picture whose styles are mixed in", low=0, high=MAX_SEED)
    mix_coarse: float = setting(0.0, "how much of its shape", low=0, high=1)
    mix_middle: float = setting(0.0, "how much of its form", low=0, high=1)
    mix_fine: float = setting(0.0, "how much of its touch", low=0, high=1)
    shift_right: float = setting(0.0, "how far the picture moves to the right, in its widths", low=-0.5, high=0.5)
    shift_down: float = setting(0.0, "how far it moves down, in its widths", low=-0.5, high=0.5)
    turn: float = setting(0.0, "how far it turns to the left", low=-180, high=180, unit="degrees")
    dials: tuple[float, ...] = setting((0.0,) * DIALS, "the found directions", low=-1, high=1, length=DIALS)

    @property
    def mix(self) -> tuple[float, float, float]:
        return self.mix_coarse, self.mix_middle, self.mix_fine

    @property
    def movement(self) -> tuple[float, float, float]:
        """Right, down and turn, for a model that is Movable."""
        return self.shift_right, self.shift_down, self.turn


def layer_groups(num_ws: int) -> tuple[slice, slice, slice]:
    """Coarse, middle and fine layers of w: the first two resolutions, the next two, the rest.

    Small models share out thirds instead, so that no group is empty.
    """
    cut = (4, 8) if num_ws > 10 else (max(num_ws // 3, 1), max(2 * num_ws // 3, 2))
    return slice(0, cut[0]), slice(*cut), slice(cut[1], num_ws)


class Explorer:
    """Pictures from ExploreSettings; styles and dials are remembered by weights. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._styles: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._dials: dict[str, Dials] = {}
        self._searches: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def picture(self, settings: ExploreSettings) -> Tensor:
        """The picture [1, C, R, R] in [-1, 1] on the CPU. Raises StudioError."""
        return self.pictures([settings])

    def pictures(self, many: list[ExploreSettings]) -> Tensor:
        """Pictures [N, C, R, R] of one model, in one pass. Raises SettingError if they are of several."""
        if len({(s.model, s.noise) for s in many}) != 1:
            raise SettingError("pictures made together share one model and one kind of noise; ask one by one")
        self.prepare(many)
        with self.engine.use(many[0].model) as model:
            G = require(model.network, StyleGenerator, model.name, TOOL)
            ws = torch.cat([self._ws(G, model, settings) for settings in many])
            if many[0].noise == "random":
                # Grain differs from setting to setting, and is the same again when a picture's settings come back.
                torch.manual_seed(_grain_seed(many[0]))
            # the page's sliders for movement hide where it is of no use, and keep the values they had
            if isinstance(G, Movable) and any(any(s.movement) for s in many):
                drawn = torch.cat([G.moved(w, *s.movement) for w, s in zip(ws.split(1), many)])
            else:
                drawn = G.synthesis(ws, many[0].noise)
            return drawn.clamp(-1, 1).cpu()

    def between(self, settings: ExploreSettings, count: int) -> Tensor:
        """The walk's in-betweens as a strip: [count, C, R, R], from 0 to 1."""
        return self.pictures([settings.replace(walk=i / max(count - 1, 1)) for i in range(count)])

    def neighbours(self, settings: ExploreSettings, seeds: list[int]) -> Tensor:
        """The same controls at other seeds, without the walk: [len(seeds), C, R, R]."""
        return self.pictures([settings.replace(seed=seed, walk=0.0) for seed in seeds])

    def prepare(self, many: list[ExploreSettings]) -> None:
        """Find what the pictures need and takes long to find, before the device is taken for them."""
        for name in {s.model for s in many if any(s.dials)}:
            if self.engine.info(name).sha256 not in self._dials:
                self.dials(name)

    def dials(self, name: str) -> Dials:
        """The model's dials: remembered, read from disk, or found (seconds, on a processor) and kept there.

        While they are looked for, others may use the device in between, unless this thread holds it already.
        """
        with self.engine.use(name) as model:
            G = require(model.network, StyleGenerator, name, TOOL)
        if self.engine.held():  # who is searching may be waiting for the device
            return self._dials_of(G, model)
        with self._guard:
            search = self._searches.setdefault(model.info.sha256, threading.Lock())
        with search:
            return self._dials_of(G, model)

    def movable(self, name: str) -> bool:
        """Whether a model's pictures can be shifted and turned."""
        with self.engine.use(name) as model:
            return isinstance(model.network, Movable)

    def provenance(self, settings: ExploreSettings) -> Provenance:
        """What made the picture, to be written into its file."""
        info = self.engine.info(settings.model)
        return Provenance(
            tool=TOOL, model=settings.model, model_sha256=info.sha256, settings=settings.to_dict(), seed=settings.seed
        )

    def _ws(self, G: StyleGenerator, model: LoadedModel, s: ExploreSettings) -> Tensor:
        """The styles [1, num_ws, w_dim] that the controls ask for."""
        if s.walk == 0:
            w = self._w(G, model, s.seed, s.label)
        elif s.path == "w":
            w = lerp(self._w(G, model, s.seed, s.label), self._w(G, model, s.to_seed, s.label), s.walk)
        else:
            z = slerp(z_from_seed(s.seed, G.z_dim), z_from_seed(s.to_seed, G.z_dim), s.walk)
            w = self._map(G, model, z, s.label)
        w = truncate(G, w, s.psi)
        if any(s.mix):
            other = truncate(G, self._w(G, model, s.mix_seed, s.label), s.psi)
            w = w.clone()
            for group, amount in zip(layer_groups(G.num_ws), s.mix):
                w[:, group] = lerp(w[:, group], other[:, group], amount)
        if any(s.dials):
            w = w + self._dials_of(G, model).offset(s.dials)
        return w

    def _w(self, G: StyleGenerator, model: LoadedModel, seed: int, label: int) -> Tensor:
        make = lambda: self._map(G, model, z_from_seed(seed, G.z_dim), label)
        return self._remember((model.info.sha256, seed, label), make)

    def _map(self, G: StyleGenerator, model: LoadedModel, z: Tensor, label: int) -> Tensor:
        # the page's slider for the class hides where there are none, and keeps the value it had
        return styles(G, z, label if G.classes else 0, model.name)

    def _dials_of(self, G: StyleGenerator, model: LoadedModel) -> Dials:
        key = model.info.sha256
        if key not in self._dials:
            dials = read_dials(key, G.w_dim)
            if dials is None:
                dials = find_dials(G, turn=lambda: self.engine.turn(model.name))
                write_dials(key, dials)
            self._dials[key] = Dials(dials.directions.to(model.device), dials.effects)
        return self._dials[key]

    def _remember(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        with self._guard:
            if key in self._styles:
                self._styles.move_to_end(key)
                return self._styles[key]
        value = make()
        with self._guard:
            self._styles[key] = value
            while len(self._styles) > CACHED_STYLES:
                self._styles.popitem(last=False)
        return value


def _grain_seed(settings: ExploreSettings) -> int:
    values = settings.to_dict()
    for name in ("shift_right", "shift_down", "turn"):
        if not values[name]:  # a picture that stays where it is has the grain that its other settings stand for
            del values[name]
    return zlib.crc32(json.dumps(values).encode())
