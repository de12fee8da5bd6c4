"""What each recipe learns in the same time: Lite0-KID and recall beside the peers' trainers.

    python -m benchmarks.recipes --data calligraphy=DIR nebulae=DIR --seconds 600 1200 1800

The contenders train in turn, a slice of the time each and then again from the front, so that a slow spell of the
machine hits all alike; each slice ends after a whole step. On a processor the time is the processor's own, which other
work on the machine takes from nobody: with one thread (`OMP_NUM_THREADS=1`) it is what a quiet core's clock shows. With
`--folder` the race is kept: what was interrupted goes on, and who was added catches up. Ours are the presets that ship,
through the training loop with its states and its running mean. The peers are their packages' networks, losses and
optimisers, stepped as in peers.py, with the augmentation that their command lines choose: none in stylegan2-pytorch, and
in lightweight-gan one for up to half of the pictures. Their running means begin after 20,000 steps, days away on a
processor: they get ours instead, to their advantage.
"""

import argparse
import copy
import functools
import json
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from benchmarks.peers import PEERS, LightweightGAN, Peer, PeerMissing, StyleGAN2Pytorch
from benchmarks.timing import table, verdict, write_json
from studio.device import choose_device
from studio.errors import DataError, StudioError
from studio.files import whole_file
from studio.images import grid, save_picture, to_pil
from studio.nn.features import feature_network
from studio.runfolder import RunFolder
from train.data import Pictures, batches, open_pictures
from train.drawing import fixed_shuffle, generated, real_features, real_views, views
from train.health import closeness, copies, own_distances
from train.loop import train
from train.metrics import evaluate, extract
from train.presets import bundled
from train.recipes import RECIPES, LoopConfig
from train.run import build_recipe
from train.state import load_state

PRESETS = {"stylegan2": "small-computer", "r3gan": "steady", "dcgan": "first-look"}
FASTGAN = {"width": 8, "batch": 8, "redraw_share": 0.25}  # no preset has it for a processor: its D is too large for one
OURS = [*PRESETS, "fastgan"]
SHOWN = 16  # pictures a contender, on the sheet
PEER_BATCH = 8  # their trainers add up 30 and 40 pictures a step; more and smaller steps learn faster in a short time
EMA_IMAGES, EMA_RAMPUP = 10_000, 0.05  # half-life of the peers' running means: the defaults of ours
AIM = 0.7  # our best KID over the better peer's, at most
SEED = 0  # of what is drawn to be judged, whatever the training's is


@dataclass(frozen=True)
class Score:
    """What one contender had learned when its time was over."""

    name: str
    seconds: float
    kimg: float
    kid: float
    recall: float
    precision: float
    copies: float | None = None  # share of its pictures that are nearly one of the set


class Contender(ABC):
    """Trains when it is told to, draws what it has learned, and stays in a folder from slice to slice."""

    clock: Callable[[], float] = staticmethod(time.perf_counter)

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        folder.mkdir(parents=True, exist_ok=True)
        kept = json.loads(self._record.read_text()) if self._record.exists() else {"seconds": 0.0, "scores": {}}
        self.seconds: float = kept["seconds"]
        self.scores: dict[str, dict] = kept["scores"]  # by mark, in seconds

    @property
    def _record(self) -> Path:
        return self.folder / "race.json"

    def train_for(self, seconds: float) -> None:
        begun = self.clock()
        self.work(seconds)
        self.seconds += self.clock() - begun
        self.keep()

    def keep(self) -> None:
        write_json(self._record, {"seconds": self.seconds, "scores": self.scores})

    @abstractmethod
    def work(self, seconds: float) -> None:
        """Train until a step ends after so many seconds."""

    @property
    @abstractmethod
    def kimg(self) -> float: ...

    @abstractmethod
    def draw(self, count: int) -> Iterator[Tensor]:
        """Batches [n, C, R, R] in [-1, 1] of the running mean, untruncated."""


class Ours(Contender):
    """One of our recipes through the loop, which is stopped at the end of a slice and resumed at the next one."""

    def __init__(self, name: str, pictures: Pictures, folder: Path, device: torch.device, seed: int = 0) -> None:
        settings = bundled()[PRESETS[name]].settings if name in PRESETS else FASTGAN
        kind = RECIPES.get(name)
        never = dict(kimg=1e6, tick_kimg=1000.0, sample_ticks=10_000, keep_ticks=0, holdout=0.0)
        sizes = dict(resolution=pictures.resolution, channels=pictures.channels)
        self.config: LoopConfig = kind.settings.from_dict({**settings, **sizes, **never, "seed": seed})
        super().__init__(name, folder)
        self.pictures, self.run = pictures, RunFolder(folder)
        self.accelerator = Accelerator(cpu=device.type == "cpu")
        self.recipe = build_recipe(kind, self.config, pictures, self.accelerator.device)
        if self.run.states():
            load_state(self.run.states()[-1], self.recipe)

    def work(self, seconds: float) -> None:
        self.run.clear_requests()
        run = _StopsAt(self.run.path, self.clock, self.clock() + seconds)
        train(self.recipe, self.config, self.pictures, run, self.accelerator, lambda line: None)

    @property
    def kimg(self) -> float:
        return self.run.kimg()

    def draw(self, count: int) -> Iterator[Tensor]:
        return generated(self.recipe.ema["G"], count, SEED, self.accelerator.device)


class _StopsAt(RunFolder):
    """A run that is asked to stop once a time has come, but not before its first step."""

    def __init__(self, path: Path, clock: Callable[[], float], deadline: float) -> None:
        super().__init__(path)
        object.__setattr__(self, "clock", clock)
        object.__setattr__(self, "deadline", deadline)
        object.__setattr__(self, "begun", False)

    @property
    def stop_requested(self) -> bool:
        over = self.begun and self.clock() > self.deadline
        object.__setattr__(self, "begun", True)
        return over


class Theirs(Contender):
    """A peer, stepped on the same pictures. Its networks see three channels; grey pictures are repeated."""

    def __init__(self, peer: Peer, pictures: Pictures, folder: Path, seed: int = 0) -> None:
        super().__init__(peer.name, folder)
        self.peer, self.steps = peer, 0
        networks = (peer.gan.S, peer.gan.G) if isinstance(peer, StyleGAN2Pytorch) else (peer.gan.G,)
        _augment_as_its_trainer(peer, len(pictures))
        self.learned = [(network, copy.deepcopy(network).eval().requires_grad_(False)) for network in networks]
        if self._state.exists():
            state = torch.load(self._state, map_location=peer.device, weights_only=True)
            self.steps = state["steps"]
            for part, values in zip(self._parts(), state["parts"]):
                part.load_state_dict(values)
        self.reals = batches(pictures, self.steps * PEER_BATCH, PEER_BATCH, seed)

    @property
    def _state(self) -> Path:
        return self.folder / "state.pt"

    def _parts(self) -> list:
        return [self.peer.gan, self.peer.gan.G_opt, self.peer.gan.D_opt, *(mean for _, mean in self.learned)]

    def keep(self) -> None:
        with whole_file(self._state) as beside:
            torch.save({"steps": self.steps, "parts": [part.state_dict() for part in self._parts()]}, beside)
        super().keep()

    def work(self, seconds: float) -> None:
        deadline = self.clock() + seconds
        for network, _ in self.learned:
            network.train()
        while self.clock() < deadline:
            images, _ = next(self.reals)
            # both packages' pictures are in [0, 1]
            reals = (images.expand(-1, 3, -1, -1) + 1) / 2
            self.peer.step(reals.to(self.peer.device), self.steps % self.peer.lazy_interval == 0)
            self.steps += 1
            self._average()

    @torch.no_grad()
    def _average(self) -> None:
        half_life = min(EMA_IMAGES, self.steps * PEER_BATCH * EMA_RAMPUP)
        for network, mean in self.learned:
            torch._foreach_lerp_(
                list(mean.parameters()), list(network.parameters()), 1 - 0.5 ** (PEER_BATCH / half_life)
            )
            for target, source in zip(mean.buffers(), network.buffers()):
                target.copy_(source)

    @property
    def kimg(self) -> float:
        return self.steps * PEER_BATCH / 1000

    @torch.inference_mode()
    def draw(self, count: int) -> Iterator[Tensor]:
        generator, device = torch.Generator().manual_seed(SEED), self.peer.device
        for start in range(0, count, 32):
            size = min(32, count - start)
            if isinstance(self.peer, LightweightGAN):
                G = self.learned[0][1]
                made = G(torch.randn(size, self.peer.gan.latent_dim, generator=generator).to(device))
            else:
                (_, S), (_, G) = self.learned
                styles = S(torch.randn(size, G.latent_dim, generator=generator).to(device))
                noise = torch.rand(size, self.peer.resolution, self.peer.resolution, 1, generator=generator).to(device)
                made = G(self.peer.lib.styles_def_to_tensor([(styles, G.num_layers)]), noise)
            yield made.clamp(0, 1) * 2 - 1


def _augment_as_its_trainer(peer: Peer, pictures: int) -> None:
    """lightweight-gan's trainer sets this where nobody else does; stylegan2-pytorch's default is none."""
    if isinstance(peer, LightweightGAN):
        share = min(0.5, max(1e5 - pictures, 0) * 3e-6)
        wrapper = peer.gan.D_aug
        wrapper.forward = functools.partial(wrapper.forward, prob=share, types=["cutout", "translation"])


def contenders(
    names: Sequence[str], pictures: Pictures, folder: Path, device: torch.device, seed: int = 0
) -> list[Contender]:
    """Ours by the recipe's name and peers by their package's; a peer that is not installed is left out, and said."""
    found: list[Contender] = []
    for name in names:
        torch.manual_seed(seed)
        try:
            if name in PEERS:
                found.append(Theirs(PEERS[name](pictures.resolution, device), pictures, folder / name, seed))
            else:
                found.append(Ours(name, pictures, folder / name, device, seed))
            if device.type == "cpu":
                found[-1].clock = time.process_time
        except PeerMissing as error:
            print(f"without {name}: {error}", flush=True)
    return found


def compete(racers: Sequence[Contender], seconds: float, slice_s: float) -> None:
    """Give every contender `seconds`, a slice in turn."""
    while waiting := [racer for racer in racers if racer.seconds < seconds]:
        for racer in waiting:
            racer.train_for(min(slice_s, seconds - racer.seconds))


class Judge:
    """Measures what contenders draw against pictures of a set, and tells copies of any of its pictures."""

    def __init__(self, pictures: Pictures, samples: int, device: torch.device) -> None:
        self.grey, self.samples = pictures.channels == 1, samples
        self.network = feature_network("lite0", device)
        places = fixed_shuffle(pictures, samples)
        self.real = real_features(pictures, places, self.network)
        self.seen = real_views(pictures, list(range(len(pictures))))
        self.own = own_distances(self.seen)
        self.shown = pictures.load(places[:SHOWN]).float() / 127.5 - 1

    def score(self, racer: Contender, mark: float) -> Score:
        """What it has learned by `mark` seconds, measured once and kept."""
        if found := racer.scores.get(f"{mark:g}"):
            return Score(**found)
        drawn = [self._as_judged(batch) for batch in racer.draw(self.samples)]
        values = evaluate(self.real, extract(drawn, self.network), self.network.name)
        figure = lambda name: values[next(key for key in values if key.endswith(name))]
        copied = copies(closeness(torch.cat([views(batch) for batch in drawn]), self.seen, self.own)[0])
        found = Score(
            racer.name, racer.seconds, racer.kimg, figure("KID"), figure("recall"), figure("precision"), copied
        )
        racer.scores[f"{mark:g}"] = asdict(found)
        racer.keep()
        return found

    def samples_of(self, racer: Contender) -> Tensor:
        """A row of the sheet, [SHOWN, C, R, R]."""
        return self._as_judged(next(racer.draw(SHOWN))).cpu()

    def _as_judged(self, batch: Tensor) -> Tensor:
        # what a peer draws in colour is judged as grey, where the reals are
        return batch.mean(dim=1, keepdim=True) if self.grey else batch


def race(
    title: str, data: Path, names: Sequence[str], arguments: argparse.Namespace
) -> tuple[list[Score], dict[str, Tensor]]:
    """All contenders on one set of pictures: the scores of each mark in turn, and what each draws in the end.

    Those are pictures [SHOWN, C, R, R] in [-1, 1] by name, and real ones in front.
    """
    device = choose_device(arguments.device)
    pictures = open_pictures(data, arguments.resolution, arguments.channels.get(title, 3))
    judge = Judge(pictures, arguments.samples, device)
    with tempfile.TemporaryDirectory() as passing:
        folder = (arguments.folder or Path(passing)) / (f"{title}-{arguments.seed}" if arguments.seed else title)
        racers = contenders(names, pictures, folder, device, arguments.seed)
        scores: list[Score] = []
        for mark in sorted(arguments.seconds):
            compete(racers, mark, arguments.slice)
            now = [judge.score(racer, mark) for racer in racers]
            scores += now
            show(f"{title}, {mark:g} s", sorted(now, key=lambda one: one.kid))
        return scores, {"real": judge.shown} | {racer.name: judge.samples_of(racer) for racer in racers}


def show(title: str, scores: Sequence[Score]) -> None:
    rows = [
        [
            s.name, f"{s.seconds:.0f}", f"{s.kimg:.2f}", f"{s.kid:.4f}", f"{s.recall:.3f}", f"{s.precision:.3f}",
            "" if s.copies is None else f"{s.copies:.1%}",
        ]
        for s in scores
    ]
    print(table(title, ["", "s", "kimg", "Lite0-KID", "recall", "precision", "copies"], rows))
    ours, theirs = [s for s in scores if s.name not in PEERS], [s for s in scores if s.name in PEERS]
    if ours and theirs:
        share = ours[0].kid / theirs[0].kid
        print(f"our best over the better peer: {share:.2f} in KID  {verdict(share, AIM, at_most=True)}")
    print(flush=True)


def sheet(shown: Mapping[str, Tensor]) -> Image.Image:
    """A row of pictures for each name, in the order given."""
    rows = [row.expand(-1, 3, -1, -1) for row in shown.values()]
    return to_pil(grid(torch.cat(rows), SHOWN))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=DIR", help="pictures, each under a name")
    parser.add_argument(
        "--grey", nargs="*", default=["calligraphy"], metavar="NAME", help="sets that are grey (default calligraphy)"
    )
    parser.add_argument("--only", nargs="+", default=[*OURS, *PEERS], metavar="NAME", help="some contenders")
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[1800.0], metavar="S",
        help="each contender's time on each set, and times on the way to measure at as well (default 1800)",
    )
    parser.add_argument("--slice", type=float, default=120, help="seconds until the next one's turn (default 120)")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of the trainings: another one is another race (default 0)")
    parser.add_argument("--samples", type=int, default=1000, help="pictures on each side (default 1000)")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write what each draws in the end, a row each below real ones"
    )
    parser.add_argument("--folder", type=Path, help="keep the race here, and go on with what is kept")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args(argv)
    arguments.channels = {name: 1 for name in arguments.grey}
    unknown = [name for name in arguments.only if name not in [*OURS, *PEERS]]
    if unknown:
        parser.error(f"no contender named {unknown[0]!r}; known: {', '.join([*OURS, *PEERS])}")
    try:
        found, shown = {}, {}
        for title, data in _sets(arguments.data).items():
            found[title], drawn = race(title, data, arguments.only, arguments)
            shown |= {f"{title}/{name}": pictures for name, pictures in drawn.items()}
    except StudioError as error:
        parser.error(str(error))
    if arguments.sheet:
        save_picture(arguments.sheet, sheet(shown))
    if arguments.json:
        write_json(arguments.json, {title: [asdict(one) for one in scores] for title, scores in found.items()})


def _sets(words: Sequence[str]) -> Mapping[str, Path]:
    pairs = [word.partition("=") for word in words]
    if bad := [name for name, sign, _ in pairs if not sign]:
        raise DataError(f"--data {bad[0]!r} has no name; give NAME=DIR")
    return {name: Path(path) for name, _, path in pairs}


if __name__ == "__main__":
    main()
