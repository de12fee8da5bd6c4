import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from studio.errors import DiskError, RunError
from studio.runfolder import RunFolder
from train import state
from train.state import Position, drop_state, load_state, save_state


@pytest.fixture
def saved(tmp_path: Path, train_to: Callable) -> Path:
    """A state at 0.008 kimg."""
    train_to(tmp_path, kimg=0.008)
    return tmp_path / "state" / "0000.008"


def refused(path: Path, recipe: object) -> str:
    with pytest.raises(RunError) as caught:
        load_state(path, recipe)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence
    return sentence


def test_a_state_that_goes_is_gone_at_once(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer killed in the middle of it leaves no half of one that a resume would choose."""
    monkeypatch.setattr(state.shutil, "rmtree", lambda path, ignore_errors: (path / "state.json").unlink())
    drop_state(saved)
    assert RunFolder(saved.parents[1]).states() == []
    assert [path.name for path in saved.parent.iterdir()] == [".0000.008.gone"]  # which the next state sweeps away


def test_what_is_in_a_state(saved: Path) -> None:
    meta = json.loads((saved / "state.json").read_text())
    assert {k: meta[k] for k in ("version", "step", "images")} == {"version": 1, "step": 2, "images": 8}
    networks, moments = (load_file(saved / f"{name}.safetensors") for name in ("networks", "optimizers"))
    assert {name.split(".")[0] for name in networks} == {"G", "D", "ema"}
    weights = [k for k in networks if k.startswith("D.")]
    assert {f"{k}.{moment}" for k in weights for moment in ("step", "exp_avg", "exp_avg_sq")} <= set(moments)


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    """A count of batches past 2^24 would be rounded by a way through float32."""

    class Counting:
        def __init__(self) -> None:
            self.networks, self.ema = {"G": nn.BatchNorm2d(2)}, {"G": nn.BatchNorm2d(2)}
            self.optimizers: dict = {}

        def scalars(self) -> dict[str, float]:
            return {}

        def load_scalars(self, values: dict[str, float]) -> None:
            assert values == {}

    one, other = Counting(), Counting()
    one.networks["G"].num_batches_tracked.fill_(2**24 + 1)
    one.ema["G"].num_batches_tracked.fill_(2**53 + 1)
    one.ema["G"].running_var.fill_(0.25)
    load_state(save_state(RunFolder(tmp_path), one, Position(1, 4, 0.0)), other)
    counts = [networks["G"].num_batches_tracked for networks in (other.networks, other.ema)]
    assert [(count.item(), count.dtype) for count in counts] == [(2**24 + 1, torch.int64), (2**53 + 1, torch.int64)]
    assert other.ema["G"].running_var.tolist() == [0.25, 0.25]


def test_the_newest_two_stay(tmp_path: Path, build: Callable) -> None:
    recipe, _, _ = build()
    run = RunFolder(tmp_path)
    for step in (1, 2, 3):
        save_state(run, recipe, Position(step, step * 4, 1.5))
    assert [p.name for p in run.states()] == ["0000.008", "0000.012"]
    assert load_state(run.states()[-1], recipe) == Position(3, 12, 1.5)


def test_what_a_killed_trainer_left_is_cleared(tmp_path: Path, build: Callable) -> None:
    left = tmp_path / "state" / ".0000.004.x1y2"
    left.mkdir(parents=True)
    (left / "networks.safetensors").write_bytes(b"half")
    save_state(RunFolder(tmp_path), build()[0], Position(2, 8, 0.0))
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["0000.008"]


def test_a_full_disk_leaves_the_last_state(saved: Path, build: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: dict, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    recipe, run = build()[0], RunFolder(saved.parents[1])
    monkeypatch.setattr(state, "save_file", full)
    for images in (8, 12):  # over the last state, and beside it
        with pytest.raises(DiskError, match="is full; free some space and try again$"):
            save_state(run, recipe, Position(3, images, 0.0))
    assert [p.name for p in saved.parent.iterdir()] == ["0000.008"]
    assert load_state(saved, recipe).step == 2


@pytest.mark.parametrize("name", ["networks", "optimizers"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_a_damaged_state(saved: Path, build: Callable, name: str, damage: str) -> None:
    file = saved / f"{name}.safetensors"
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(content[:-100] if damage == "cut" else b"")
    sentence = refused(saved, build()[0])
    assert "is damaged (" in sentence and sentence.endswith("delete this folder to resume from the one before")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"step": None}, "has no valid 'step'; delete this folder"),
        ({"scalars": [1]}, "has no valid 'scalars'"),
        ({"trained_s": "x"}, "has no valid 'trained_s'"),
        ({"version": 2}, "has version 2, and this trainer reads 1"),
    ],
)
def test_a_damaged_position(saved: Path, build: Callable, change: dict, says: str) -> None:
    path = saved / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert says in refused(saved, build()[0])


def test_a_position_that_is_gone_or_cut(saved: Path, build: Callable) -> None:
    (saved / "state.json").write_text('{"step": 2')
    assert "is not valid JSON" in refused(saved, build()[0])
    (saved / "state.json").unlink()
    assert "has no state.json; delete this folder to resume from the one before" in refused(saved, build()[0])


def test_a_state_of_another_network(saved: Path, build: Callable) -> None:
    sentence = refused(saved, build(channel_max=16)[0])
    assert "does not fit this recipe's G (size mismatch" in sentence and sentence.endswith("was config.json edited?")


def test_moments_of_an_unknown_parameter(saved: Path, build: Callable) -> None:
    file = saved / "optimizers.safetensors"
    save_file({**load_file(file), "G.odd.weight.exp_avg": torch.zeros(2)}, file)
    assert "has moments of an unknown parameter 'odd.weight'" in refused(saved, build()[0])
