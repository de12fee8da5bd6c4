"""A training that starts from weights keeps what fits, and says so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from studio.checkpoint import load_network
from studio.errors import CheckpointError, RunError, SettingError, UnknownName
from studio.nn.layers import upsample
from studio.runfolder import RunFolder
from tests.train.conftest import SMALL, call
from train.finetune import Taken, describe, take_over
from train.state import named_networks


@pytest.fixture
def trained(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run of stylegan2 at 16 px without classes, after two steps."""
    call(capsys, "stylegan2", "--data", data, "--run", tmp_path / "trained", "--device", "cpu", *words_of(lr=0.01))
    return tmp_path / "trained"


def words_of(**settings: object) -> list[str]:
    return [f"--{key.replace('_', '-')}={value}" for key, value in {**SMALL["stylegan2"], **settings}.items()]


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(run).states()[-1] / "networks.safetensors")


def test_a_run_brings_all_three_networks_as_they_are(trained: Path, make: Callable) -> None:
    recipe = make("r3gan", seed=5)  # of the same networks
    taken = take_over(recipe, str(trained))
    found = tensors(trained)
    mine = {
        f"{key}.{name}": t
        for key, network in named_networks(recipe).items()
        for name, t in network.state_dict().items()
    }
    assert mine.keys() == found.keys() and all(torch.equal(mine[name], found[name]) for name in mine)
    assert {name: (part.share, part.anew, part.partly) for name, part in taken.items()} == {
        "G": (1.0, [], []),
        "D": (1.0, [], []),
    }


def test_a_model_brings_its_running_mean_and_no_discriminator(
    save_tiny: Callable, tmp_path: Path, make: Callable
) -> None:
    folder = save_tiny(tmp_path / "tiny")
    recipe = make("stylegan2", channel_base=128, channel_max=16)
    before = recipe.networks["D"].state_dict()["b4.fc.weight"].clone()
    taken = take_over(recipe, str(folder))
    wanted = load_network(folder).state_dict()
    for network in (recipe.networks["G"], recipe.ema["G"]):
        assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())
    assert torch.equal(recipe.networks["D"].state_dict()["b4.fc.weight"], before)
    assert describe(taken, str(folder))["says"] == [
        "G keeps 100.0% of its weights from tiny", "D begins anew: tiny brings nothing that fits it",
    ]


def test_a_larger_model_begins_with_the_smaller_picture_enlarged(trained: Path, make: Callable) -> None:
    small, large = make("stylegan2"), make("stylegan2", resolution=32)
    take_over(small, str(trained))
    taken = take_over(large, str(trained))
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    drawn = large.ema["G"].generate(z)
    bias = large.ema["G"].synthesis_network.b32.torgb.bias
    assert torch.allclose(drawn, upsample(small.ema["G"].generate(z)) + bias[:, None, None], atol=1e-5)
    assert {name.split(".")[1] for name in taken["G"].anew} == {"b32"} and 0.3 < taken["G"].share < 0.9
    assert (
        "synthesis_network.b32.conv0" in taken["G"].sentence("G", "trained")
        and "b16.fromrgb.bias" not in taken["D"].kept
    )


def test_classes_are_added_to_what_is_known(trained: Path, make: Callable) -> None:
    """What a class adds is new; the part of the first layer that reads z is kept."""
    recipe = make("stylegan2", classes=True)
    taken = take_over(recipe, str(trained))
    first, found = recipe.networks["G"].mapping_network.fc0.weight, tensors(trained)["G.mapping_network.fc0.weight"]
    assert first.shape == (8, 16) and torch.equal(first[:, :8], found) and (first[:, 8:] != 0).all()
    assert taken["G"].partly == ["mapping_network.fc0.weight"]
    assert taken["G"].anew == ["mapping_network.embed.weight", "mapping_network.embed.bias"]
    assert (
        taken["G"].sentence("G", "x").endswith("; has grown: mapping_network.fc0; begins anew: mapping_network.embed")
    )


def test_the_command_says_what_was_kept_and_keeps_a_record(
    trained: Path, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "stylegan2", "--data", data, "--run", tmp_path / "x", "--device", "cpu", *words_of(), "--classes", "--init",
        trained,
    ]
    out = call(capsys, *words, "--freeze-d", 1)
    assert out.startswith("G keeps ") and "\nD keeps " in out
    record = json.loads((tmp_path / "x/init.json").read_text())
    assert record["init"] == "trained" and record["says"] == out.splitlines()[:2]
    before, after = tensors(trained), tensors(tmp_path / "x")
    still = [torch.equal(before[f"D.{name}"], after[f"D.{name}"]) for name in ("b16.conv0.weight", "b8.conv0.weight")]
    assert still == [True, False]
    # a resume takes nothing over again
    call(capsys, "resume", tmp_path / "x", "--kimg", 0.012, "--device", "cpu")
    assert not torch.equal(
        tensors(tmp_path / "x")["G.synthesis_network.b4.const"], before["G.synthesis_network.b4.const"]
    )
    call(capsys, "export", tmp_path / "x", "--out", tmp_path / "m", "--no-grid")
    stored = json.loads((tmp_path / "m/model.json").read_text())["training"]["settings"]["init"]
    assert stored == "trained"  # where it lay is nobody's business


def test_what_cannot_be_started_from(trained: Path, make: Callable, save_tiny: Callable, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tiny")
    with pytest.raises(
        SettingError, match="freeze_d=1 keeps layers of D that .*trained does not bring .b32.fromrgb, b32"
    ):
        take_over(make("stylegan2", init="x", freeze_d=1, resolution=32), str(trained))
    with pytest.raises(UnknownName, match="no model named 'gone'; installed: "):
        take_over(make("dcgan"), "gone")
    with pytest.raises(
        CheckpointError, match="tiny is a model of the kind 'stylegan2', and this recipe trains 'dcgan'"
    ):
        take_over(make("dcgan"), str(folder))
    with pytest.raises(
        CheckpointError, match="nothing in .*trained fits this recipe's networks; choose a model of its"
    ):
        take_over(make("dcgan"), str(trained))
    with pytest.raises(
        SettingError, match="freeze_d=1 keeps layers of D that .*tiny does not bring .b16.fromrgb, b16.conv0"
    ):
        take_over(make("stylegan2", init="x", freeze_d=1, channel_base=128, channel_max=16), str(folder))
    (RunFolder(trained).states()[-1] / "networks.safetensors").write_bytes(b"half")
    with pytest.raises(RunError, match="networks.safetensors is damaged .*; choose another run or model"):
        take_over(make("stylegan2"), str(trained))


def test_a_bias_that_fits_by_chance_is_no_start(
    tmp_path: Path, data: Path, make: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    """A vae and a dcgan both end in a layer called `picture`, with one number a channel."""
    words = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL["vae"].items()]
    call(capsys, "vae", "--data", data, "--run", tmp_path / "vae", "--device", "cpu", *words)
    assert (
        "ema.G.picture.bias" in tensors(tmp_path / "vae")
        and "picture.bias" in make("dcgan").networks["G"].state_dict()
    )
    with pytest.raises(CheckpointError, match="nothing in .*vae fits this recipe's networks"):
        take_over(make("dcgan"), str(tmp_path / "vae"))


def test_a_refused_start_leaves_no_run(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stylegan2", "--data", data, "--run", tmp_path / "x", "--device", "cpu", "--init", "gone"]
    assert call(capsys, *words, code=2).startswith("no model named 'gone'; installed: ")
    assert not (tmp_path / "x").exists()


def test_many_layers_are_counted() -> None:
    names = [f"b{i}.weight" for i in range(9)]
    said = Taken(["a"], [], names, 0.5).sentence("G", "x")
    assert said == "G keeps 50.0% of its weights from x; begins anew: b0, b1, b2, b3, b4, b5 and 3 more"
