import json
import math
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

from studio.errors import RunError
from studio.runfolder import RunFolder
from tests.train.conftest import exit_of
from train import loop
from train.loop import check_split, print_line, train, update_ema
from train.recipes import LoopConfig
from train.state import Position, load_state


class Pair:
    """A network and its running mean, as `update_ema` sees a recipe."""

    def __init__(self) -> None:
        self.networks, self.ema = {"G": nn.BatchNorm1d(2)}, {"G": nn.BatchNorm1d(2)}


def test_the_running_mean_moves_by_its_share_and_takes_buffers_over() -> None:
    pair = Pair()
    network, mean = pair.networks["G"], pair.ema["G"]
    counted = 2**24 + 1  # float32 would round it
    with torch.no_grad():
        network.weight.copy_(torch.tensor([5.0, -3.0]))
        mean.weight.copy_(torch.tensor([1.0, 1.0]))
        network.running_mean.copy_(torch.tensor([7.0, 8.0]))
        network.num_batches_tracked.fill_(counted)
    update_ema(pair, keep=0.75)
    assert torch.allclose(mean.weight, torch.tensor([2.0, 0.0]))
    assert mean.running_mean.tolist() == [7.0, 8.0]
    assert mean.num_batches_tracked.item() == counted and mean.num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize(
    ("ema_kimg", "ema_rampup", "keeps"),
    [
        (0.016, 1.0, [0.5, 2**-0.5, 2 ** (-1 / 3), 2**-0.25, 2**-0.25]),  # half-life: all so far, then 16 pictures
        (0.0, 1.0, [0.0] * 5),
        (1000.0, 0.5, [2 ** (-2 / n) for n in (1, 2, 3, 4, 5)]),
    ],
)
def test_half_life(
    tmp_path: Path, train_to: Callable, monkeypatch: pytest.MonkeyPatch, ema_kimg: float, ema_rampup: float,
    keeps: list,
) -> None:
    seen = []
    monkeypatch.setattr(loop, "update_ema", lambda recipe, keep: seen.append(keep))
    train_to(tmp_path, kimg=0.02, tick_kimg=1, ema_kimg=ema_kimg, ema_rampup=ema_rampup)
    assert seen == pytest.approx(keeps)


def test_a_run_leaves_its_lines_samples_and_end(tmp_path: Path, train_to: Callable) -> None:
    _, outcome = train_to(tmp_path, augment="ada", sample_ticks=2)
    run = RunFolder(tmp_path)
    assert (outcome.name, outcome.kimg) == ("done", 0.032)
    assert exit_of(tmp_path) == {"outcome": "done", "message": "done at 0.032 kimg", "kimg": 0.032}
    assert [p.name for p in run.states()] == ["0000.024", "0000.032"]
    lines = run.progress()
    ticks = [(line["tick"], line["step"], line["kimg"]) for line in lines]
    assert ticks == [(i, 2 * i, 0.008 * i) for i in (1, 2, 3, 4)]
    for line in lines:
        wanted = {"trained_s", "images_per_s", "eta_s", "memory_bytes", "loss_G", "loss_D"}
        wanted |= {"score_real", "ada_p", "ada_rt"}
        assert wanted <= set(line) and all(math.isfinite(value) for value in line.values())
    assert lines[-1]["eta_s"] == 0 and lines[0]["eta_s"] > 0 and lines[0]["memory_bytes"] > 1e7
    assert "r1" in lines[0] and "r1" not in lines[1]  # taken at step 0, and every 16th
    seconds = lines[1]["trained_s"] - lines[0]["trained_s"]
    assert lines[1]["images_per_s"] == pytest.approx(8 / seconds, rel=0.02)
    assert sorted(p.name for p in run.samples.iterdir()) == ["0000.000.jpg", "0000.016.jpg", "0000.032.jpg"]
    with Image.open(run.samples / "0000.032.jpg") as grid:
        assert (grid.format, grid.size, grid.mode) == ("JPEG", (256, 256), "L")


def test_a_tick_that_was_saved_but_not_told_is_told_by_the_resume(
    tmp_path: Path, train_to: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the state and its line, a run would miss that tick in its charts for ever."""
    tell = RunFolder.append_progress

    def killed(run: RunFolder, line: dict) -> None:
        if line.get("tick") == 3:
            raise KeyboardInterrupt
        tell(run, line)

    monkeypatch.setattr(RunFolder, "append_progress", killed)
    with pytest.raises(KeyboardInterrupt):
        train_to(tmp_path)
    monkeypatch.undo()
    run = RunFolder(tmp_path)
    assert run.kimg() == 0.024 and [line["tick"] for line in run.progress()] == [1, 2]
    train_to(tmp_path)
    lines = run.progress()
    assert [(line["tick"], line["step"]) for line in lines] == [(1, 2), (2, 4), (3, 6), (4, 8)]
    assert lines[2].keys() == lines[1].keys()
    train_to(tmp_path, kimg=0.04)
    assert [line["tick"] for line in run.progress()] == [1, 2, 3, 4, 5]  # what was told is not told again


def test_time_for_samples_counts(tmp_path: Path, train_to: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ETA that leaves them out would promise too much."""
    write = loop._write_samples
    monkeypatch.setattr(loop, "_write_samples", lambda *a: (write(*a), time.sleep(0.3)))
    train_to(tmp_path, sample_ticks=1)
    assert RunFolder(tmp_path).progress()[-1]["trained_s"] > 0.9


def test_rounds_add_up_to_one_step(build: Callable, accelerator: Accelerator) -> None:
    """The mean over two rounds is the gradient of the whole batch."""
    gradients = []
    for rounds in (1, 2):
        recipe, _, _ = build(augment="none", r1_gamma=1.0, mbstd_group=1)
        phase = recipe.phases[-1]
        torch.manual_seed(0)
        reals, labels = torch.rand(4, 1, 32, 32), torch.zeros(4, dtype=torch.long)
        batches = [loop.Batch(*pair) for pair in zip(reals.chunk(rounds), labels.chunk(rounds))]
        logged = loop.take_step(phase, recipe, batches, accelerator)
        parts = [p.grad.flatten() for p in recipe.networks["D"].parameters() if p.grad is not None]
        gradients.append((torch.cat(parts), logged))
    assert torch.allclose(gradients[0][0], gradients[1][0], atol=1e-6)
    assert torch.allclose(gradients[0][1]["r1"], gradients[1][1]["r1"])


def test_a_batch_that_cannot_be_split() -> None:
    with pytest.raises(RunError, match="batch=8 cannot be split over 2 processes in 3 rounds; give a multiple of 6$"):
        check_split(LoopConfig(batch=8, accumulate=3), 2)
    check_split(LoopConfig(batch=12, accumulate=3), 2)


def test_a_batch_that_changed_in_mid_run(tmp_path: Path, train_to: Callable) -> None:
    """12 pictures are no multiple of 8: 20, 28 and 36 follow, with ticks at the first ones past 16 and 32."""
    train_to(tmp_path, kimg=0.012, tick_kimg=0.016)
    assert train_to(tmp_path, kimg=0.036, tick_kimg=0.016, batch=8)[1].kimg == 0.036
    lines = RunFolder(tmp_path).progress()
    assert [(line["step"], line["kimg"]) for line in lines] == [(3, 0.012), (4, 0.02), (6, 0.036)]
    assert [line["eta_s"] > 0 for line in lines] == [False, True, False]


def test_mirror_shows_half_of_the_pictures_mirrored(
    tmp_path: Path, build: Callable, accelerator: Accelerator
) -> None:
    recipe, config, pictures = build(mirror=True, batch=16, kimg=0.016)
    shown = []
    d_loss = recipe.d_loss
    recipe.phases[-2] = loop.Phase("D", "D", lambda batch: (shown.append(batch.reals), d_loss(batch))[1])
    train(recipe, config, pictures, RunFolder(tmp_path), accelerator, lambda line: None)
    reals = pictures.load(list(range(16))).float() / 127.5 - 1
    straight = sum(any(torch.equal(x, real) for real in reals) for x in shown[0])
    mirrored = sum(any(torch.equal(x.flip(2), real) for real in reals) for x in shown[0])
    assert straight + mirrored == 16 and 2 <= mirrored <= 14


def test_stop_saves_and_ends(tmp_path: Path, build: Callable, accelerator: Accelerator) -> None:
    recipe, config, pictures = build()
    run = RunFolder(tmp_path)
    outcome = train(recipe, config, pictures, run, accelerator, lambda line: run.request_stop())
    assert (outcome.name, outcome.kimg) == ("stopped", 0.008)  # the very next step did not happen
    assert exit_of(tmp_path)["outcome"] == "stopped"
    assert [p.name for p in run.states()] == ["0000.008"]


def test_pause_saves_and_waits_until_it_is_withdrawn(
    tmp_path: Path, build: Callable, train_to: Callable, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PAUSE_POLL_S", 0.02)
    recipe, config, pictures = build(tick_kimg=0.016)
    run, ended = RunFolder(tmp_path / "paused"), []
    run.path.mkdir()
    run.request_pause()
    work = lambda: ended.append(train(recipe, config, pictures, run, accelerator, lambda line: None))
    thread = threading.Thread(target=work)
    thread.start()
    while not run.states():
        time.sleep(0.02)
    time.sleep(0.3)
    assert thread.is_alive() and run.progress() == [] and [p.name for p in run.states()] == ["0000.000"]
    run.clear_requests()
    thread.join(60)
    assert ended[0].name == "done"
    plain, _ = train_to(tmp_path / "plain", tick_kimg=0.016)
    assert all(torch.equal(a, b) for a, b in zip(recipe.networks["G"].parameters(), plain.networks["G"].parameters()))
    assert run.progress()[-1]["trained_s"] < 60


def test_stop_ends_a_pause(tmp_path: Path, train_to: Callable) -> None:
    run = RunFolder(tmp_path)
    run.request_pause()
    run.request_stop()
    assert train_to(tmp_path)[1].name == "stopped"


def spoilt(recipe: object, at: int, what: Callable) -> None:
    """Let `what` happen to the recipe at the end of step `at`."""
    end = recipe.end_step
    recipe.end_step = lambda step, reduce: (end(step, reduce), what(recipe) if step == at else None)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, build: Callable, accelerator: Accelerator) -> None:
    recipe, config, pictures = build(augment="ada")
    spoilt(recipe, 5, lambda r: r.networks["D"].b4.out.bias.data.fill_(math.nan))
    with pytest.raises(RunError) as caught:
        train(recipe, config, pictures, RunFolder(tmp_path), accelerator, lambda line: None)
    assert str(caught.value) == (
        "loss_G became nan at 0.024 kimg; the last good state is state/0000.016; lower --lr or raise --r1-gamma: "
        f"python -m train resume {tmp_path} --lr 0.005"
    )
    assert [p.name for p in RunFolder(tmp_path).states()] == ["0000.008", "0000.016"]
    fresh, _, _ = build(augment="ada")
    assert load_state(tmp_path / "state/0000.016", fresh).step == 4
    assert all(p.isfinite().all() for p in fresh.networks["D"].parameters())


def test_a_weight_that_breaks_in_the_last_step_is_not_saved(
    tmp_path: Path, build: Callable, accelerator: Accelerator
) -> None:
    """The losses of the tick are finite still; a state with the weight in it would be no good one."""
    recipe, config, pictures = build()
    spoilt(recipe, 4, lambda r: r.networks["D"].b4.out.bias.data.fill_(math.inf))
    with pytest.raises(RunError, match=r"^D.b4.out.bias became inf at 0.016 kimg; .* good state is state/0000.008;"):
        train(recipe, config, pictures, RunFolder(tmp_path), accelerator, lambda line: None)


@pytest.mark.parametrize("request_name", ["request_stop", "request_pause"])
def test_stop_and_pause_save_no_broken_state(
    tmp_path: Path, build: Callable, accelerator: Accelerator, request_name: str
) -> None:
    recipe, config, pictures = build(augment="ada")
    run = RunFolder(tmp_path)
    spoilt(recipe, 2, lambda r: r.networks["D"].b4.out.bias.data.fill_(math.nan))
    spoilt(recipe, 3, lambda r: getattr(run, request_name)())
    with pytest.raises(RunError, match="became nan at 0.012 kimg; no state was saved before"):
        train(recipe, config.replace(tick_kimg=0.1), pictures, run, accelerator, lambda line: None)
    assert run.states() == []


def test_an_absurd_rate_is_noticed(tmp_path: Path, build: Callable, accelerator: Accelerator) -> None:
    recipe, config, pictures = build(augment="none")
    for group in recipe.optimizers["D"].param_groups:
        group["lr"] = 1e20
    says = "became (nan|inf) at 0.008 kimg; no state was saved before; lower --lr .* and start again$"
    with pytest.raises(RunError, match=says):
        train(recipe, config, pictures, RunFolder(tmp_path), accelerator, lambda line: None)


def test_pace_after_a_resume_is_of_this_machine(tmp_path: Path, train_to: Callable) -> None:
    """Time spent before, perhaps on a slower machine, says nothing about what is left."""
    train_to(tmp_path, kimg=0.008)
    state = tmp_path / "state/0000.008/state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "trained_s": 1e6}))
    train_to(tmp_path)
    line = RunFolder(tmp_path).progress()[-1]
    assert line["trained_s"] > 1e6 and line["images_per_s"] > 0.1


def test_only_what_a_recipe_has_is_advised(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Plain(LoopConfig):
        lr: float = 0.5

    sentence = loop._diverged("loss_G", math.inf, Plain(), Position(2, 8), RunFolder(tmp_path))
    assert sentence == "loss_G became inf at 0.008 kimg; no state was saved before; lower --lr and start again"
    RunFolder(tmp_path).state_path(0.004).mkdir(parents=True)
    sentence = loop._diverged("loss_G", math.inf, LoopConfig(), Position(2, 8), RunFolder(tmp_path))
    assert sentence.endswith(f"; choose gentler settings: python -m train resume {tmp_path}")


def test_a_finished_run_is_done_at_once(tmp_path: Path, train_to: Callable) -> None:
    train_to(tmp_path, kimg=0.008)
    shutil.rmtree(tmp_path / "samples")
    recipe, outcome = train_to(tmp_path, kimg=0.008)
    assert (outcome.name, outcome.kimg, len(RunFolder(tmp_path).progress())) == ("done", 0.008, 1)


def test_the_terminals_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = {"tick": 3, "kimg": 12.0, "images_per_s": 20.5, "eta_s": 3720.0, "memory_bytes": 3 << 29}
    line |= {"loss_G": 0.5, "r1": 9.0}
    print_line(line, 1000.0, as_json=False)
    assert capsys.readouterr().out == (
        "tick 3     12.0/1000 kimg  20.5 img/s  loss_G 0.500  1.50 GiB  01 h 02 min left\n"
    )
    print_line({**line, "eta_s": 2.5 * 86400}, 1000.0, as_json=False)
    assert capsys.readouterr().out.endswith("2.5 days left\n")
    changed = {"resumed": 7, "changed": {"lr": [0.002, 0.001], "r1_gamma": [None, 3.0]}}
    print_line(changed, 1000.0, as_json=False)
    assert capsys.readouterr().out == "changed from step 7 on: lr 0.002 -> 0.001, r1_gamma none -> 3.0\n"
    print_line(line, 1000.0, as_json=True)
    assert json.loads(capsys.readouterr().out) == line
