from pathlib import Path

import pytest
import torch

from studio.checkpoint import load_network, read_info
from studio.errors import RunError
from studio.runfolder import RunFolder
from tests.train.conftest import flags
from train.commands import main
from train.snapshots import best, export_snapshot, snapshots


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> RunFolder:
    """Five ticks of 8 pictures, of which every second was kept. Shared: only to be read."""
    folder = tmp_path_factory.mktemp("runs") / "brush"
    words = ["stylegan2", "--data", str(data), "--run", str(folder), "--device", "cpu"]
    assert main([*words, *flags(kimg=0.04, keep_ticks=2)]) == 0
    return RunFolder(folder)


def weight(folder: Path) -> torch.Tensor:
    return torch.cat([p.flatten() for p in load_network(folder).parameters()])


def test_states_and_kept_models_can_be_opened(run: RunFolder, tmp_path: Path) -> None:
    assert snapshots(RunFolder(tmp_path / "gone")) == ()
    assert snapshots(run) == (0.016, 0.032, 0.04)  # kept, kept and a state, a state
    assert sorted(p.name for p in (run.path / "snapshots").iterdir()) == ["0000.016", "0000.032"]
    made = {kimg: weight(export_snapshot(run, tmp_path / f"{kimg}", kimg)) for kimg in snapshots(run)}
    assert not torch.equal(made[0.016], made[0.032]) and not torch.equal(made[0.032], made[0.04])
    assert torch.equal(made[0.032], weight(run.path / "snapshots" / "0000.032"))
    assert torch.equal(weight(export_snapshot(run, tmp_path / "newest")), made[0.04])
    assert read_info(tmp_path / "0.016").kimg == 0.016


def test_a_kept_model_goes_out_under_its_words(run: RunFolder, tmp_path: Path) -> None:
    words = dict(data_licence="CC0", data_note="ink on paper", licence="MIT", note="slowly")
    folder = export_snapshot(run, tmp_path / "out", 0.016, title="Early brush", **words)
    info = read_info(folder)
    assert (info.title, info.data, info.data_licence, info.licence) == ("Early brush", "ink on paper", "CC0", "MIT")
    assert info.training["note"] == "slowly"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.count("# Early brush") == 1 and "samples.jpg" in card and (folder / "samples.jpg").exists()
    assert read_info(run.path / "snapshots" / "0000.016").title == "brush at 0.016 kimg"


def test_the_best_is_among_them(run: RunFolder, tmp_path: Path) -> None:
    assert best(run) is None
    other = RunFolder(tmp_path / "run")
    other.path.mkdir()
    export_snapshot(run, other.path / "best", 0.016)
    assert best(other) == 0.016 and snapshots(other) == (0.016,)


def test_a_model_that_was_not_kept(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="kept no model at 0.02 kimg; there are: 0.016, 0.032, 0.04"):
        export_snapshot(run, tmp_path / "out", 0.02)
    assert not (tmp_path / "out").exists()
