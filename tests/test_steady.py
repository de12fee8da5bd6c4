from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import studio.steady
from studio.flow import inside, warp, warped_difference
from studio.painting import Look
from studio.steady import CUT, Hold, Motion, Sight, SteadyLooks, Watch, apart, histogram
from tests.scenes import Scene, texture

SCENE = Scene(noise=0.02)
S = 1 / 30  # from frame to frame


def flickering(scene: Scene, t: int) -> Tensor:
    """A painting of the frame [1, 3, H, W] whose strokes lie otherwise each time."""
    strokes = torch.nn.functional.interpolate(
        torch.randn(1, 3, *(n // 3 for n in scene.size), generator=torch.Generator().manual_seed(t)), scene.size,
        mode="bilinear",
    )
    return (scene.clean(t) * 0.7 + 0.15 * strokes).clamp(-1, 1)


def play(
    scene: Scene, count: int, paint: Callable[[Scene, int], Tensor] = flickering, amount: float = 1.0
) -> tuple[list, list]:
    """Paintings as they were made and as they are held."""
    watch, hold = Watch(), Hold(amount)
    made = [paint(scene, t) for t in range(count)]
    return made, [hold.steady(x, watch.see(scene.frame(t)).motion, S) for t, x in enumerate(made)]


def flicker(scene: Scene, pictures: list[Tensor], start: int = 6) -> float:
    """With the flow that is known to be true."""
    found = [
        warped_difference(pictures[t], pictures[t - 1], scene.flow(t), inside(scene.flow(t)))
        for t in range(start, len(pictures))
    ]
    return float(torch.cat(found).mean())


@pytest.mark.parametrize("scene", [SCENE, Scene(pan=(0, 0), zoom=1.01, noise=0.02)])
def test_it_flickers_less(scene: Scene) -> None:
    made, held = play(scene, 14)
    assert flicker(scene, held) < 0.4 * flicker(scene, made)


def test_an_amount_of_none_changes_nothing() -> None:
    made, held = play(SCENE, 3, amount=0)
    assert all(torch.equal(a, b) for a, b in zip(made, held))
    assert flicker(SCENE, play(SCENE, 10)[1]) < flicker(SCENE, play(SCENE, 10, amount=0.5)[1])


def test_what_comes_into_view_is_as_it_was_painted() -> None:
    """The disc is held, and of it nothing stays behind."""
    scene = Scene(disc=(-5, 1), pan=(1, 0), noise=0.02)
    made, held = play(scene, 9)
    ghosts = []
    for t in range(3, 9):
        there = scene.uncovered(t)
        change, before = (held[t] - made[t]) * there, (warp(held[t - 1], scene.flow(t)) - made[t]) * there
        ghosts.append(float((change * before).sum() / (before * before).sum()))
    assert np.mean(ghosts) < 0.03


def test_pictures_stay_as_crisp() -> None:
    made, held = play(SCENE, 20)
    detail = lambda x: float(x.diff(dim=2).square().mean() + x.diff(dim=3).square().mean()) ** 0.5
    assert detail(held[-1]) == pytest.approx(detail(made[-1]), rel=0.2)


def test_a_picture_that_stands_still_stays_what_it_is() -> None:
    """Neither blurred nor sharpened, however often it is held."""
    still, painting = Scene(pan=(0, 0)), texture()[:, :, :96, :128]
    _, held = play(still, 60, lambda scene, t: painting)
    assert (held[-1] - painting).abs().mean() < 0.005


def test_a_longer_time_holds_less() -> None:
    motion = Motion(torch.zeros(1, 2, 96, 128), torch.ones(1, 1, 96, 128))
    black, white = -torch.ones(1, 3, 96, 128), torch.ones(1, 3, 96, 128)
    for seconds in (0.02, 0.2, 1.0):
        hold = Hold()
        hold.steady(black, None, 0)
        found = hold.steady(white, motion, seconds).mean().item()
        assert found == pytest.approx(1 - 2 * np.exp(-seconds / studio.steady.HOLD_S), abs=1e-4)


def test_motion_is_for_the_size_of_the_painting() -> None:
    """It is looked for in a smaller copy of the frame."""
    motion = Motion(torch.full((1, 2, 48, 64), -2.0), torch.ones(1, 1, 48, 64))
    painting = texture()[:, :, :192, :192]  # four times as high, three times as wide
    hold = Hold()
    hold.steady(painting, None, 0)
    found = hold.steady(torch.roll(painting, (8, 6), (2, 3)), motion, 1e-6)
    assert (found - torch.roll(painting, (8, 6), (2, 3)))[:, :, 12:-12, 12:-12].abs().mean() < 0.01


def test_strips_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = play(SCENE, 4)
    monkeypatch.setattr(studio.steady, "STRIP", 20)
    _, strips = play(SCENE, 4)
    assert torch.allclose(whole[-1], strips[-1], atol=1e-5)


def test_histograms() -> None:
    black, white = np.zeros((50, 70, 3), np.uint8), np.full((50, 70, 3), 255, np.uint8)
    half = np.concatenate([black, white])
    assert histogram(half).sum() == pytest.approx(1) and histogram(black)[0] == 1 and histogram(white)[-1] == 1
    assert apart(histogram(black), histogram(white)) == 1 and apart(histogram(black), histogram(black)) == 0
    assert apart(histogram(black), histogram(half)) == pytest.approx(0.5, abs=0.03)


def test_a_cut_is_seen_and_a_pan_is_none() -> None:
    watch = Watch()
    assert watch.see(SCENE.frame(0)).motion is None
    for t in (1, 2, 3):
        assert watch.see(SCENE.frame(t)).motion is not None
    other = 255 - SCENE.frame(4) // 2
    assert apart(histogram(other), histogram(SCENE.frame(3))) > CUT
    assert watch.see(other).motion is None


def test_a_cut_between_pictures_of_the_same_colours_is_seen() -> None:
    watch = Watch()
    watch.see(SCENE.frame(0))
    mirrored = np.ascontiguousarray(SCENE.frame(1)[:, ::-1])
    assert apart(histogram(mirrored), histogram(SCENE.frame(0))) < CUT
    assert watch.see(mirrored).motion is None


def look(value: float) -> tuple[Look, ...]:
    x = torch.full((1, 3), value)
    return (Look(x, x, x, x, x, x, ([(x, x)],)),)


def value(looks: tuple[Look, ...]) -> float:
    assert torch.equal(looks[0].mean, looks[0].statistics[0][0][1])
    return looks[0].mean[0, 0].item()


def sight(level: int = 0, share: float = 0.0, cut: bool = False) -> Sight:
    """Of a frame that has the share of its colours in another place."""
    colours = np.zeros(512)
    colours[level], colours[511] = 1 - share, share
    return Sight(colours, None if cut else Motion(torch.zeros(1, 2, 8, 8), torch.ones(1, 1, 8, 8)))


def test_looks_follow_slowly() -> None:
    looks, wanted = SteadyLooks(), iter([0.0] + [1.0] * 100)
    found = [value(looks.follow(sight(), S, lambda: look(next(wanted)))) for _ in range(60)]
    assert found[:8] == [0] * 8  # measured anew at the ninth only
    steps = np.diff(found[7:])
    assert (steps > 0).all() and steps.max() < 0.07
    # half a second later 1/e of the way is left
    assert found[7 + 15] == pytest.approx(1 - np.exp(-1), abs=0.01)


def test_looks_begin_anew_with_a_scene() -> None:
    looks = SteadyLooks()
    assert value(looks.follow(sight(cut=True), 0, lambda: look(1.0))) == 1
    assert value(looks.follow(sight(cut=True), S, lambda: look(5.0))) == 5


def test_looks_keep_up_with_a_fade() -> None:
    """From the dark: a look is as far behind as the colours are, and no farther."""
    looks = SteadyLooks()
    looks.follow(sight(cut=True), 0, lambda: look(0.0))
    for share in np.linspace(0.1, 1, 10):
        behind = share - value(looks.follow(sight(share=share), S, lambda: look(share)))
        assert behind < CUT
    for _ in range(10):
        behind = 1 - value(looks.follow(sight(share=1.0), S, lambda: look(1.0)))
    assert behind < 0.12
