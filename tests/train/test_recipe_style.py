from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from studio.checkpoint import load_network, read_info
from studio.errors import SettingError
from studio.library import BUNDLED
from studio.runfolder import RunFolder
from tests.train.conftest import png
from train.export import export, restore
from train.loop import take_step
from train.recipes import Batch
from train.recipes.style import STYLE_SIDE, StyleRecipe, StyleSettings, jitter
from train.run import build_recipe, start

TINY = {"resolution": 64, "batch": 4, "widths": (4, 4, 8, 8), "blocks": 1, "experts": 2, "style_holdout": 0.0}


@pytest.fixture(scope="module")
def pictures_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        (folder / f"{i}.png").write_bytes(png(i, (80, 64), "RGB"))
    return folder


@pytest.fixture
def build(pictures_folder: Path, accelerator: Accelerator) -> Callable[..., StyleRecipe]:
    def make(**changes: object) -> StyleRecipe:
        config = StyleSettings(**{**TINY, "styles": str(pictures_folder), **changes})
        return build_recipe(StyleRecipe, config, StyleRecipe.open_data(config, pictures_folder), accelerator.device)

    return make


def batch(recipe: StyleRecipe) -> Batch:
    return Batch(recipe.contents.load([0, 1, 2, 3]).float() / 127.5 - 1, torch.zeros(4, dtype=torch.long))


def test_two_steps_move_every_parameter_and_leave_the_vgg(build: Callable, accelerator: Accelerator) -> None:
    recipe = build()
    G = recipe.networks["G"]
    learned = lambda: [(key, name, p) for key, net in recipe.networks.items() for name, p in net.named_parameters()]
    before = [p.detach().clone() for _, _, p in learned()]
    for _ in range(2):
        for phase in recipe.phases:
            values = take_step(phase, recipe, [batch(recipe)], accelerator)
            assert all(value.isfinite() for value in values.values())
    still = {(key, name) for (key, name, p), old in zip(learned(), before) if torch.equal(p, old)}
    assert still <= {("D", "judge.bias")}  # paintings push it up as much as fakes push it down, within the margin
    assert recipe.shown == []
    published = load_network(BUNDLED / "vgg")
    assert all(torch.equal(mine, other) for mine, other in zip(G.vgg.buffers(), published.buffers()))


def test_half_precision_has_nearly_the_same_losses(pictures_folder: Path, build: Callable) -> None:
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        recipe = build()
        recipe.dtype = dtype
        torch.manual_seed(7)
        values = recipe.g_loss(batch(recipe))[1]
        losses.append(torch.stack([values[name].float() for name in sorted(values)]).detach())
    assert torch.allclose(*losses, rtol=0.1, atol=0.02) and not torch.equal(*losses)


def test_style_vectors_are_centred_on_the_paintings(build: Callable) -> None:
    recipe = build()
    torch.manual_seed(3)
    G = recipe.networks["G"]
    scaled = (G.vector(recipe.draw_styles(24, 1)[0]) - G.vector_mean) * G.vector_scale
    assert scaled.mean(dim=0).abs().mean() < 0.5 and scaled.abs().mean() < 2


def test_paintings_for_d_are_those_of_the_styles(build: Callable, tmp_path: Path) -> None:
    for level in (20, 90, 160, 230):
        Image.new("RGB", (80, 80), (level,) * 3).save(tmp_path / f"{level}.png")
    styles, paintings = build(styles=str(tmp_path)).draw_styles(6, 2)
    assert styles.shape == (6, 3, 64, 64) and paintings.shape == (12, 3, 64, 64)
    levels = styles.mean(dim=(1, 2, 3))
    assert len(levels.round(decimals=2).unique()) > 1
    torch.testing.assert_close(paintings.mean(dim=(1, 2, 3)), levels.repeat_interleave(2), atol=1e-4, rtol=0)


def test_d_learns_to_tell_paintings_from_fakes(build: Callable, accelerator: Accelerator) -> None:
    recipe = build(d_lr=0.004)
    scores = []
    for _ in range(12):
        recipe.g_loss(batch(recipe))
        values = take_step(recipe.phases[1], recipe, [batch(recipe)], accelerator)
        scores.append(float(values["score_real"] - values["score_fake"]))
    assert abs(scores[0]) < 0.2 and scores[-1] > scores[0] + 0.3


def test_learning_lowers_the_loss(build: Callable, accelerator: Accelerator) -> None:
    recipe = build(lr=0.003)
    fixed = batch(recipe)
    losses = []
    for step in range(24):
        torch.manual_seed(0)  # the same crops and styles each time
        losses.append(float(take_step(recipe.phases[0], recipe, [fixed], accelerator)["loss_G"]))
    assert losses[-1] < 0.85 * losses[0]


def test_the_samples_are_a_matrix(build: Callable) -> None:
    samples = build().sample()
    assert len(samples) == 64
    assert (samples[0] == 0).all()
    assert samples.abs().max() <= 1


def test_a_run_is_exported_without_its_pictures(tmp_path: Path, pictures_folder: Path) -> None:
    config = StyleSettings(**TINY, styles=str(pictures_folder), kimg=0.008, tick_kimg=0.008, holdout=0.0)
    run = RunFolder(tmp_path / "run")
    assert start("style", config, pictures_folder, run, "cpu", lambda line: None).name == "done"
    recipe, position = restore(run)
    assert position.images == 8 and recipe.model()[0] == "style"
    assert len(recipe.sample()) == 64  # of the bundled pictures

    folder = export(run, tmp_path / "out", title="brush")
    network = load_network(folder)
    mean = recipe.ema["G"].state_dict()
    assert all(
        torch.allclose(value, mean[name], rtol=2**-11, atol=1e-6) for name, value in network.state_dict().items()
    )
    assert read_info(folder).training["settings"]["styles"] == pictures_folder.name
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: image-to-image" in card and "stylize PHOTO PAINTING --model brush" in card


def test_what_cannot_be_trained_is_refused(build: Callable, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="styles is missing; give a folder"):
        build(styles="")
    with pytest.raises(SettingError, match="resolution=100 is no multiple of 8"):
        StyleSettings(resolution=100)
    with pytest.raises(SettingError, match="batch=5 is no multiple of photos_a_style=2"):
        StyleSettings(batch=5)


def test_jitter_turns_hues_and_leaves_greys() -> None:
    torch.manual_seed(0)
    grey = torch.full([16, 3, 2, 2], 0.25)
    torch.testing.assert_close(jitter(grey), grey, atol=1e-5, rtol=0)
    red = torch.tensor([0.5, -0.2, -0.2])[None, :, None, None].expand(200, 3, 1, 1)
    turned = (jitter(red) - red).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert turned.float().mean().item() == pytest.approx(0.5, abs=0.12)


def test_style_squares_are_large_enough_to_crop_from() -> None:
    assert STYLE_SIDE >= 4 * StyleSettings().resolution
