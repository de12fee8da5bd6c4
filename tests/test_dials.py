import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from studio.dials import SEARCH, read_dials, write_dials
from studio.latent.directions import Dials

SHA = "ab" * 32
DIALS = Dials(torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1e-20]]), torch.tensor([0.9, 0.125]))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of SHA, in a home that is not there yet."""
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "dials" / f"{SHA}.safetensors"


def rewrite(place: Path, search: str = SEARCH, **tensors: Tensor) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    save_file({"directions": DIALS.directions, "effects": DIALS.effects, **tensors}, place, {"search": search})


def test_there_and_back(place: Path) -> None:
    assert read_dials(SHA, 3) is None
    write_dials(SHA, DIALS)
    assert os.listdir(place.parent) == [place.name]
    found = read_dials(SHA, 3)
    assert found.directions.equal(DIALS.directions) and found.effects.equal(DIALS.effects)
    assert read_dials("cd" * 32, 3) is None


def test_a_model_without_dials() -> None:
    write_dials(SHA, Dials(torch.zeros(0, 3), torch.zeros(0)))
    assert read_dials(SHA, 3).directions.shape == (0, 3)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100, bytes(2 << 20)])
def test_files_that_are_no_dials(place: Path, data: bytes) -> None:
    rewrite(place)
    assert read_dials(SHA, 3) is not None
    place.write_bytes(data)
    assert read_dials(SHA, 3) is None


@pytest.mark.parametrize(
    "change",
    [
        dict(search="0"),
        dict(more=torch.zeros(1)),
        dict(directions=torch.zeros(2, 4)),
        dict(directions=torch.zeros(3, 3)),
        dict(directions=torch.zeros(6)),
        dict(directions=torch.full((2, 3), float("nan"))),
        dict(directions=torch.zeros(9, 3), effects=torch.zeros(9)),
        dict(effects=torch.zeros(2, 1)),
        dict(effects=torch.tensor(0.5)),
        dict(effects=torch.tensor([0.5, float("inf")])),
        dict(effects=torch.tensor([0.5, -0.1])),
    ],
)
def test_dials_of_something_else(place: Path, change: dict) -> None:
    rewrite(place, **change)
    assert read_dials(SHA, 3) is None


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "file"))
    write_dials(SHA, DIALS)
    assert read_dials(SHA, 3) is None


def test_a_full_disk(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    write_dials(SHA, DIALS)
    assert read_dials(SHA, 3) is None and os.listdir(place.parent) == []
