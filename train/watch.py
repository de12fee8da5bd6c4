"""Watches a run: draws samples every few ticks, measures them beside real pictures,
keeps the best, says what is wrong.
"""

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor

from studio.capabilities import NoiseGenerator
from studio.errors import StudioError
from studio.files import write_bytes
from studio.images import encode_jpeg, grid
from studio.nn.features import FeatureNetwork, feature_network
from studio.runfolder import RunFolder
from train.data import Pictures
from train.drawing import fixed_shuffle, generated, real_features, real_views, views
from train.health import TICKS, HealthConfig, Warned, closeness, copies, diversity, judge, own_distances
from train.metrics import evaluate, extract
from train.recipes import Recipe

MIN_KIMG = 1.0  # a model that has seen fewer pictures draws noise, and measuring it would be its first error
REFERENCE = 8  # times as many real pictures as samples are searched for copies
PAIRS = 8  # in nearest.jpg
SEED = 1  # of the samples' latents


class Watch:
    """One run's health. Used by the first process alone, after its state of the tick is saved.

    What it knows about earlier ticks it reads from the run folder, so that a resume goes on with the same judgement.
    """

    def __init__(
        self, config: HealthConfig, pictures: Pictures, run: RunFolder, device: torch.device, loss: str = "",
        network: FeatureNetwork | None = None,
    ) -> None:
        self.config, self.pictures, self.run, self.device, self.loss = config, pictures, run, device, loss
        self._network = network
        self._reals: tuple[list[int], Tensor, Tensor, Tensor] | None = None
        self._since = 0  # measurements before that do not end the run
        self._latest = 0  # tick at which a measurement was taken
        before = run.progress()
        self._measured = [_compact(line) for line in before if "diversity" in line]
        self._ticks = deque(before, maxlen=TICKS)
        # a run that had enough and goes on all the same has as long again to get better
        self._since = len(self._distances()) if self.enough() else 0
        self._told = any(line["warning"] == "unmeasured" for line in run.warnings())

    def measure(self, recipe: Recipe, tick: int, kimg: float) -> dict[str, float]:
        """Figures for this tick's line; empty where it is not due, or the recipe's model does not draw from noise.

        diversity: of the samples over that of the real pictures, 1 is equal. copies: the share of samples that are
        nearly a training picture. The rest as in `train.metrics.evaluate`. Raises StudioError if it cannot be done.
        """
        due = self.config.measure_ticks and tick % self.config.measure_ticks == 0 and kimg >= MIN_KIMG
        if not due or not isinstance(G := recipe.model()[2], NoiseGenerator):
            return {}
        if self._network is None:
            self._network = feature_network(self.config.measure_features, self.device)
        places, reals, seen, own = self._real()
        made, looks, closest = [], [], []
        for batch in generated(G, self.config.measure_samples, SEED, self.device):
            made.append(extract([batch], self._network))
            looks.append(views(batch))
            near, which = closeness(looks[-1], seen, own)
            closest += [(n, batch[i].cpu(), places[w]) for i, (n, w) in enumerate(zip(near.tolist(), which.tolist()))]
            closest = sorted(closest, key=lambda one: one[0])[:PAIRS]
        drawn = torch.cat(made)
        reals = reals[: len(drawn)]
        values = evaluate(reals, drawn, self._network.name)
        spread = diversity(reals)
        self._show([(picture, place) for _, picture, place in closest])
        return {
            "diversity": diversity(drawn) / spread if spread else 1.0,
            "copies": copies(closeness(torch.cat(looks), seen, own)[0]),
            **values,
        }

    def warnings(self, line: Mapping[str, float]) -> list[Warned]:
        """What this tick's line shows for the first time. To be called once for every tick, in order."""
        before = {warned.kind for warned in judge(self._measured, list(self._ticks), self.loss)}
        self._ticks.append(line)
        if "diversity" in line:
            self._measured.append(_compact(line))
            self._latest = line["tick"]
        return [w for w in judge(self._measured, list(self._ticks), self.loss) if w.kind not in before]

    def unmeasured(self, error: StudioError) -> list[Warned]:
        """A measurement that failed ends no training; it is told once."""
        told, self._told = self._told, True
        return [] if told else [Warned("unmeasured", f"the samples could not be measured: {error}")]

    def is_best(self, tick: int) -> bool:
        """Whether this tick was measured and has the lowest KID of all."""
        values = self._distances()
        return bool(values) and self._latest == tick and _first_lowest(values) == len(values) - 1

    def keep_best(self) -> None:
        """Write the newest state's model to best/, as a checkpoint that every tab can open. Raises StudioError."""
        from train.export import export  # which reads runs, and so imports what imports this

        export(self.run, self.run.path / "best", title=f"{self.run.path.name} at its best")

    def enough(self) -> bool:
        """Whether the last `patience` measurements were no better than one before them."""
        values = self._distances()
        since = max(_first_lowest(values) + 1, self._since)
        return bool(self.config.patience) and len(values) - since >= self.config.patience

    def _distances(self) -> list[float]:
        return [line["KID"] for line in self._measured if "KID" in line]

    def _real(self) -> tuple[list[int], Tensor, Tensor, Tensor]:
        """Places of the real pictures; features of the first; views of all, and their own distances. They stay."""
        if self._reals is None:
            places = fixed_shuffle(self.pictures, REFERENCE * self.config.measure_samples)
            features = real_features(self.pictures, places[: self.config.measure_samples], self._network)
            seen = real_views(self.pictures, places)
            self._reals = places, features, seen, own_distances(seen)
        return self._reals

    def _show(self, pairs: list[tuple[Tensor, int]]) -> None:
        """Samples in the upper row, the training pictures most like them below."""
        below = self.pictures.load([place for _, place in pairs]).float() / 127.5 - 1
        above = torch.stack([picture for picture, _ in pairs]).to(below.dtype)
        write_bytes(self.run.path / "nearest.jpg", encode_jpeg(grid(torch.cat([above, below]), len(pairs)), quality=90))


def _compact(line: Mapping[str, float]) -> dict[str, float]:
    """The figures that are judged, under names that do not depend on the network."""
    kept = {name: line[name] for name in ("diversity", "copies") if name in line}
    for name, value in line.items():
        if name.rpartition("-")[2] in ("KID", "coverage"):
            kept[name.rpartition("-")[2]] = value
    return kept


def _first_lowest(values: list[float]) -> int:
    return values.index(min(values)) if values else -1
