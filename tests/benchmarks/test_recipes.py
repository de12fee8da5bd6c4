"""Everybody gets the same time, and ours is the loop itself."""

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks import recipes
from benchmarks.peers import PEERS, LightweightGAN
from benchmarks.recipes import PRESETS, SHOWN, Contender, Ours, Score, compete, contenders, show
from tests.train.conftest import fill
from train.data import open_pictures
from train.presets import bundled


class Clock(Contender):
    """Works for exactly the time it is given, or a step more."""

    def __init__(self, name: str, folder: Path, step_s: float, times: list[tuple[str, float]]) -> None:
        super().__init__(name, folder)
        self.step_s, self.times = step_s, times

    def train_for(self, seconds: float) -> None:
        spent = max(self.step_s, -(-seconds // self.step_s) * self.step_s)
        self.seconds += spent
        self.times.append((self.name, spent))

    def work(self, seconds: float) -> None:
        raise NotImplementedError

    kimg = 0.0

    def draw(self, count: int) -> Iterator[Tensor]:
        raise NotImplementedError


class Toy(nn.Module):
    """The parts of a peer's networks that the race touches."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.G = nn.Sequential(nn.Linear(4, 3 * 16 * 16), nn.Unflatten(1, (3, 16, 16)), nn.BatchNorm2d(3))
        self.D = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 1))
        self.D_aug = nn.Identity()
        self.G_opt = torch.optim.Adam(self.G.parameters())
        self.D_opt = torch.optim.Adam(self.D.parameters())


class ToyPeer(LightweightGAN):
    """A peer without its package, which needs no step to know which pictures it was given."""

    name = "toy"

    def __init__(self, resolution: int, device: torch.device) -> None:
        self.resolution, self.device, self.gan, self.shown = resolution, device, Toy(), []

    def step(self, reals: Tensor, lazy: bool) -> None:
        self.shown.append(reals)
        loss = (self.gan.D(self.gan.G(torch.ones(8, 4))) - self.gan.D(reals)).mean()
        loss.backward()
        for optimizer in (self.gan.G_opt, self.gan.D_opt):
            optimizer.step()
            optimizer.zero_grad()


@pytest.fixture
def by_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contenders' clocks go on by a second with each look at them, however fast the machine is."""
    looks = itertools.count()
    clock = lambda: float(next(looks))
    monkeypatch.setattr(recipes, "time", SimpleNamespace(process_time=clock, perf_counter=clock))


def test_slices_in_turn_until_all_had_their_time(tmp_path: Path) -> None:
    times: list[tuple[str, float]] = []
    racers = [Clock("quick", tmp_path / "quick", 1, times), Clock("slow", tmp_path / "slow", 7, times)]
    compete(racers, seconds=20, slice_s=10)
    assert times == [("quick", 10), ("slow", 14), ("quick", 10), ("slow", 7)]


def test_presets_are_of_the_recipes_they_stand_for() -> None:
    assert all(bundled()[preset].recipe == name for name, preset in PRESETS.items())


def test_ours_trains_in_slices_through_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = open_pictures(fill(tmp_path / "data", [f"{i}.png" for i in range(8)]), 16, 1)
    monkeypatch.setitem(PRESETS, "dcgan", "first-look")
    torch.manual_seed(0)
    ours = Ours("dcgan", pictures, tmp_path, torch.device("cpu"))
    before = next(ours.draw(4)).clone()
    ours.train_for(0.05)
    first = ours.kimg
    ours.train_for(0.05)
    assert 0 < first < ours.kimg and ours.kimg * 1000 % ours.config.batch == 0
    assert ours.seconds >= 0.1 and not torch.equal(next(ours.draw(4)), before)
    assert [batch.shape for batch in ours.draw(40)] == [(32, 1, 16, 16), (8, 1, 16, 16)]


@pytest.mark.parametrize("kid, word", [(0.06, "met"), (0.08, "MISSED")])
def test_the_aim_compares_the_best_with_the_better_peer(
    kid: float, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    score = lambda name, kid: Score(name, 10.0, 1.0, kid, 0.1, 0.2)
    found = {"dcgan": kid, "lightweight-gan": 0.1, "stylegan2": 0.2, "stylegan2-pytorch": 0.3}
    show("set", [score(name, value) for name, value in found.items()])
    assert f"our best over the better peer: {kid / 0.1:.2f} in KID  aim <= 0.7: {word}" in capsys.readouterr().out


def test_other_work_on_the_machine_takes_no_time_from_ours(tmp_path: Path) -> None:
    pictures = open_pictures(fill(tmp_path / "data", [f"{i}.png" for i in range(8)]), 16, 1)
    (ours,) = contenders(["dcgan"], pictures, tmp_path, torch.device("cpu"))
    clock, waits = ours.clock, iter([0.0, 0.0])
    assert clock is time.process_time
    ours.clock = lambda: clock() + next(waits, 1e6)  # all but its first two looks come when the time is over
    ours.train_for(1000)
    assert ours.kimg * 1000 == ours.config.batch and ours.seconds > 1e5


@pytest.mark.usefixtures("by_looks")
def test_measures_on_the_way_and_shows_what_was_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = fill(tmp_path / "data", [f"{i}.png" for i in range(20)])
    common = ["--data", f"grey={data}", "--grey", "grey", "--only", "dcgan", "--resolution", "16", "--samples", "12"]
    written = ["--sheet", str(tmp_path / "s.png"), "--json", str(tmp_path / "s.json")]
    recipes.main([*common, "--seconds", "12", "3", *written])
    first, second = json.loads((tmp_path / "s.json").read_text())["grey"]
    assert first["seconds"] < second["seconds"] and 0 < first["kimg"] < second["kimg"]
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (SHOWN * 16, 2 * 16)
    printed = capsys.readouterr().out
    assert printed.index("grey, 3 s") < printed.index("grey, 12 s")


@pytest.mark.usefixtures("by_looks")
def test_a_kept_race_goes_on(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", [f"{i}.png" for i in range(20)])
    common = ["--data", f"grey={data}", "--grey", "grey", "--only", "dcgan", "--resolution", "16", "--samples", "12"]
    read = lambda: json.loads((tmp_path / "s.json").read_text())["grey"]
    again = lambda *seconds: recipes.main([
        *common, "--folder", str(tmp_path / "race"), "--json", str(tmp_path / "s.json"), "--seconds", *seconds,
    ])
    again("3")
    first = read()
    again("3")
    assert read() == first
    again("3", "12")
    assert read()[0] == first[0] and read()[1]["kimg"] > first[0]["kimg"] and read()[1]["seconds"] >= 12
    pictures = open_pictures(data, 16, 1)
    (later,) = contenders(["dcgan"], pictures, tmp_path / "race" / "grey", torch.device("cpu"))
    states = later.run.states()[-1] / "networks.safetensors"
    kept = load_file(states)
    assert all(torch.equal(value, kept[f"ema.G.{name}"]) for name, value in later.recipe.ema["G"].state_dict().items())


@pytest.mark.usefixtures("by_looks")
def test_another_seed_is_another_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = fill(tmp_path / "data", [f"{i}.png" for i in range(20)])
    monkeypatch.setitem(PEERS, "toy", ToyPeer)
    pictures, device = open_pictures(data, 16, 3), torch.device("cpu")
    first, other = (
        contenders(["dcgan", "toy"], pictures, tmp_path / str(seed), device, seed) for seed in (0, 1)
    )
    assert not torch.equal(next(first[0].draw(4)), next(other[0].draw(4)))
    assert (first[0].config.seed, other[0].config.seed) == (0, 1)
    assert not torch.equal(next(first[1].reals)[0], next(other[1].reals)[0])
    common = ["--data", f"set={data}", "--only", "dcgan", "--resolution", "16", "--samples", "12", "--seconds", "3"]
    for seed in "01":
        recipes.main([*common, "--folder", str(tmp_path / "race"), "--seed", seed])
    assert {path.name for path in (tmp_path / "race").iterdir()} == {"set", "set-1"}


def test_a_peer_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = open_pictures(fill(tmp_path / "data", [f"{i}.png" for i in range(32)]), 16, 1)
    monkeypatch.setitem(PEERS, "toy", ToyPeer)

    def racer(folder: str) -> recipes.Theirs:
        (found,) = contenders(["toy"], pictures, tmp_path / folder, torch.device("cpu"))
        found.clock = iter(range(1000)).__next__  # a second from look to look: n seconds are n - 1 steps
        return found

    whole, first = racer("whole"), racer("parts")
    whole.train_for(7)
    first.train_for(4)
    later = racer("parts")
    later.train_for(4)
    given = first.peer.shown + later.peer.shown
    assert whole.kimg == later.kimg > first.kimg > 0
    assert all(torch.equal(a, b) for a, b in zip(given, whole.peer.shown, strict=True))
    for parts in zip(*([r.peer.gan, r.peer.gan.G_opt, r.peer.gan.D_opt] for r in (later, whole))):
        torch.testing.assert_close(*(part.state_dict() for part in parts), rtol=0, atol=0)
    drawn = torch.cat(list(later.draw(40)))
    assert drawn.shape == (40, 3, 16, 16) and torch.equal(drawn, torch.cat(list(whole.draw(40))))
    assert not torch.equal(drawn, torch.cat(list(first.draw(40))))


def test_what_cannot_be_raced(capsys: pytest.CaptureFixture[str]) -> None:
    other = ["--data", "a=b", "--only", "dcgen"]
    for words, message in ((["--data", "folder"], "has no name"), (other, "no contender named 'dcgen'")):
        with pytest.raises(SystemExit):
            recipes.main(words)
        assert message in capsys.readouterr().err
