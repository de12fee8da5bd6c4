import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from studio.checkpoint import load_network, read_info
from studio.errors import CheckpointError, RunError
from studio.runfolder import RunFolder
from tests.train.conftest import flags
from train.commands import main
from train.export import export, latest, record_metrics, restore


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> RunFolder:
    """Trained for 16 pictures, with classes. Shared: only to be read."""
    folder = tmp_path_factory.mktemp("runs") / "brush"
    words = ["stylegan2", "--data", str(data), "--run", str(folder), "--device", "cpu", "--classes"]
    assert main([*words, *flags(kimg=0.016)]) == 0
    return RunFolder(folder)


def test_a_checkpoint_is_the_running_mean(run: RunFolder, tmp_path: Path) -> None:
    """To the 11 bits of fp16, and it loads strictly."""
    G = load_network(export(run, tmp_path / "out"))
    states = load_file(run.states()[-1] / "networks.safetensors")
    mean = {name.removeprefix("ema.G."): value for name, value in states.items() if name.startswith("ema.G.")}
    assert mean.keys() == G.state_dict().keys()
    for name, value in G.state_dict().items():
        assert torch.allclose(value, mean[name], rtol=2**-11, atol=1e-7), name
    assert any(not torch.equal(mean[name], states[f"G.{name}"]) for name in mean)
    assert G.config.classes == 2


def test_the_card_says_what_is_known(run: RunFolder, tmp_path: Path, data: Path) -> None:
    folder = export(run, tmp_path / "out", title="Brush", data_licence="CC0", licence="Apache-2.0")
    info = read_info(folder)
    assert (info.model, info.title, info.kimg, info.data_licence) == ("stylegan2", "Brush", 0.016, "CC0")
    assert info.data == f"16 pictures from {data.name}"
    assert info.training["pictures"] == 16 and info.training["settings"]["z_dim"] == 8
    assert info.training["images_per_s"] == run.progress()[-1]["images_per_s"] > 0
    card = (folder / "README.md").read_text()
    for text in (
        "# Brush",
        "32 x 32 px, grey",
        "| licence of the pictures | CC0 |",
        "| licence of the weights | Apache-2.0 |",
        f"| trained on | 16 pictures from {data.name} |",
        "(samples.jpg)",
        "AI-generated",
        "arXiv:1912.04958",
    ):
        assert text in card
    with Image.open(io.BytesIO((folder / "samples.jpg").read_bytes())) as grid:
        assert (grid.format, grid.size) == ("JPEG", (256, 256))


def test_the_command(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run.path), "--out", str(out), "--data-note", "Strokes.", "--no-grid", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"checkpoint": str(out)}
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "model.json", "model.safetensors"]
    assert "samples.jpg" not in (out / "README.md").read_text() and read_info(out).data == "Strokes."
    assert main(["export", str(tmp_path), "--out", str(out)]) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_measured_figures_are_added_to_the_card(run: RunFolder, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "out")
    assert "## Measured" not in (folder / "README.md").read_text()
    record_metrics(folder, {"Lite0-KID": 0.25})
    record_metrics(folder, {"Lite0-FID": 3.5, "command": "python -m train evaluate x"})
    card = (folder / "README.md").read_text()
    measured = "Measured with `python -m train evaluate x`."
    for text in ("| Lite0-KID | 0.25 |", "| Lite0-FID | 3.5 |", measured, "(samples.jpg)"):
        assert text in card
    assert "| command |" not in card and read_info(folder).metrics["Lite0-KID"] == 0.25
    load_network(folder)


def test_restoring_needs_no_pictures(run: RunFolder) -> None:
    recipe, position = restore(run)
    assert (position.step, position.images) == (4, 16) and recipe.classes == 2
    G, settings = latest(run)
    assert settings["batch"] == 4
    assert torch.equal(G.w_avg, load_file(run.states()[-1] / "networks.safetensors")["ema.G.mapping_network.w_avg"])


def test_a_run_without_a_state(run: RunFolder, tmp_path: Path) -> None:
    for name in ("config.json", "dataset.json"):
        (tmp_path / name).write_bytes((run.path / name).read_bytes())
    with pytest.raises(RunError, match="has no saved state yet; wait for its first tick"):
        export(RunFolder(tmp_path), tmp_path / "out")
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(RunError, match="does not say how many pictures"):
        export(RunFolder(tmp_path), tmp_path / "out")
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(RunError, match="has no dataset.json"):
        export(RunFolder(tmp_path), tmp_path / "out")


def test_other_files_are_not_overwritten(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="holds files that are no checkpoint"):
        export(run, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
