import dataclasses
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import studio.film
import studio.painting
from studio.engine import Engine
from studio.errors import Cancelled, SettingError, StudioError, VideoError
from studio.film import FilmResult, FilmSettings, stylize_film
from studio.flow import inside, warped_difference
from studio.footage import Reading, survey
from studio.library import Library
from studio.provenance import AI_GENERATED, read_film
from studio.raster.opening import Picture
from studio.style import Stylist, read_provenance
from studio.styling import StyleSettings
from tests.film import decode
from tests.film_files import make_film, noise_of, solid, sound_of, sound_packets
from tests.scenes import Scene
from tests.tiny_style import blobs, picture, save_style

STYLE, OTHER = picture(blobs(64, 80, seed=9)), picture(blobs(60, 60, seed=7))
SCENE = Scene(size=(48, 64), noise=0.02)
EVERY_KIND = pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
RATE = Fraction(20)


@pytest.fixture(scope="module")
def stylist(tmp_path_factory: pytest.TempPathFactory) -> Stylist:
    root = tmp_path_factory.mktemp("models")
    save_style(root / "style")
    return Stylist(Engine(Library((root,)), "cpu"))


def film_of(path: Path, count: int = 12, scene: Scene = SCENE, **facts: object) -> Path:
    return make_film(path, [scene.frame(t) for t in range(count)], **{"rate": RATE, **facts})


def paint(
    stylist: Stylist, source: Path, out: Path, settings: StyleSettings = StyleSettings(), **options: object
) -> FilmResult:
    return stylize_film(stylist, source, [STYLE], settings, out, **options)


def frames_of(path: Path) -> list[np.ndarray]:
    return [frame.pixels.astype(int) for frame in Reading(survey(path))]


@EVERY_KIND
@pytest.mark.parametrize("source", ["in.mp4", "in.webm", "in.mov", "in.gif"])
def test_frames_rate_and_length_are_the_same(tmp_path: Path, stylist: Stylist, source: str, suffix: str) -> None:
    path, out = film_of(tmp_path / source), tmp_path / f"out{suffix}"
    heard: list[tuple[int, int]] = []
    result = paint(stylist, path, out, progress=lambda *numbers: heard.append(numbers))
    before, after = survey(path), survey(out)
    assert (after.frames, after.size, after.rate) == (12, (48, 64), RATE)
    length = lambda f: [float(frame.time * f.time_base) for frame in Reading(f)] + [float(f.last * f.time_base)]
    assert length(after) == pytest.approx(length(before), abs=0.0011)
    assert result == FilmResult(out, 12, pytest.approx(0.6, abs=0.002), False, result.notes) and len(result.notes) == 1
    assert heard == [(i, 12) for i in range(1, 13)]
    changed = [np.abs(a - b).mean() for a, b in zip(frames_of(path), frames_of(out), strict=True)]
    assert min(changed) > 8


@EVERY_KIND
def test_each_frame_keeps_its_own_time(tmp_path: Path, stylist: Stylist, suffix: str) -> None:
    times = [0, 20, 40, 53, 66, 100, 200, 213, 400]  # in 1/600 s
    path = make_film(tmp_path / "in.mp4", [SCENE.frame(t) for t in range(9)], times)
    out = tmp_path / f"out{suffix}"
    paint(stylist, path, out)
    tick = {".mp4": 0.0001, ".webm": 0.0006, ".gif": 0.0051}[suffix]
    footage = survey(out)
    assert [float(f.time * footage.time_base) for f in Reading(footage)] == pytest.approx(
        [t / 600 for t in times], abs=tick
    )


def test_a_fast_burst_in_a_gif_is_played_as_fast_as_a_gif_can(tmp_path: Path, stylist: Stylist) -> None:
    path = make_film(tmp_path / "in.mp4", [SCENE.frame(t) for t in range(6)], [0, 5, 10, 15, 300, 600])
    paint(stylist, path, tmp_path / "out.gif")
    assert [frame.time for frame in Reading(survey(tmp_path / "out.gif"))] == [0, 2, 4, 6, 50, 100]


def test_sound_goes_with_it(tmp_path: Path, stylist: Stylist) -> None:
    path = film_of(tmp_path / "in.mp4", sound=noise_of(0.6))
    result = paint(stylist, path, tmp_path / "out.mp4")
    assert result.notes == ("the sound is copied",)
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(path)
    assert "encoded again, from aac to opus" in paint(stylist, path, tmp_path / "out.webm").notes[0]
    assert "a GIF has no sound" in paint(stylist, path, tmp_path / "out.gif").notes[0]


def test_a_frame_is_painted_as_a_picture_is(tmp_path: Path, stylist: Stylist) -> None:
    """The first one; those that follow are held."""
    path = film_of(tmp_path / "in.mkv", 1, codec="ffv1", pix_fmt="bgr0")
    paint(stylist, path, tmp_path / "out.mp4", film=FilmSettings(film_quality=100))
    wanted = stylist.stylize(picture(SCENE.frame(0)), [STYLE]).pixels.astype(int)
    assert np.abs(frames_of(tmp_path / "out.mp4")[0] - wanted).mean() < 3  # what yuv420p costs


def test_strength_0_returns_the_film(tmp_path: Path, stylist: Stylist) -> None:
    path = film_of(tmp_path / "in.mp4")
    paint(stylist, path, tmp_path / "out.mp4", StyleSettings(strength=0.0), film=FilmSettings(film_quality=100))
    for before, after in zip(frames_of(path), frames_of(tmp_path / "out.mp4"), strict=True):
        assert np.abs(before - after).mean() < 2


def test_a_steady_film_flickers_less(tmp_path: Path, stylist: Stylist) -> None:
    scene = Scene(size=(96, 128), noise=0.06)
    path = film_of(tmp_path / "in.mkv", 10, scene, codec="ffv1", pix_fmt="bgr0")
    found = []
    for steady in (0.0, 1.0):
        paint(stylist, path, tmp_path / "out.mp4", film=FilmSettings(steady=steady, film_quality=100))
        frames = [
            torch.from_numpy(f).permute(2, 0, 1)[None].float() / 127.5 - 1 for f in frames_of(tmp_path / "out.mp4")
        ]
        parts = [
            warped_difference(frames[t], frames[t - 1], scene.flow(t), inside(scene.flow(t)))
            for t in range(4, len(frames))
        ]
        found.append(float(torch.cat(parts).mean()))
    assert found[1] < 0.7 * found[0]


def test_frames_after_a_cut_know_nothing_of_what_was_before(tmp_path: Path, stylist: Stylist) -> None:
    dark = Scene(size=(48, 64), pan=(-1, 1), disc=(1, 0), noise=0.02)
    both = make_film(
        tmp_path / "both.mkv", [255 - SCENE.frame(t) // 3 for t in range(5)] + [dark.frame(t) for t in range(3)],
        codec="ffv1", pix_fmt="bgr0",
    )
    alone = make_film(tmp_path / "alone.mkv", [dark.frame(t) for t in range(3)], codec="ffv1", pix_fmt="bgr0")
    for path in (both, alone):
        paint(stylist, path, path.with_suffix(".mp4"), film=FilmSettings(film_quality=100))
    after, wanted = frames_of(tmp_path / "both.mp4")[5:], frames_of(tmp_path / "alone.mp4")
    assert [np.abs(a - b).mean() < 1.5 for a, b in zip(after, wanted)] == [True] * 3


@pytest.mark.parametrize(
    "size, expected", [((33, 47), (34, 48)), ((7, 5), (8, 6)), ((1, 1), (2, 2)), ((64, 17), (64, 18))]
)
def test_odd_sides(tmp_path: Path, stylist: Stylist, size: tuple[int, int], expected: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (*size, 3), np.uint8) for _ in range(3)]
    path = make_film(tmp_path / "in.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    for suffix, wanted in ((".mp4", expected), (".webm", expected), (".gif", size)):
        result = paint(stylist, path, tmp_path / f"out{suffix}")
        assert survey(result.path).size == wanted
        assert any("repeat their last line" in note for note in result.notes) == (wanted != size)


def test_another_size(tmp_path: Path, stylist: Stylist) -> None:
    path = film_of(tmp_path / "in.mp4", 3)
    paint(stylist, path, tmp_path / "out.mp4", StyleSettings(size=96))
    assert survey(tmp_path / "out.mp4").size == (72, 96)


def test_a_film_that_lies_on_its_side_is_written_upright(tmp_path: Path, stylist: Stylist) -> None:
    path = film_of(tmp_path / "in.mp4", 3, turn=(0, 1, -1, 0), aspect=Fraction(4, 3))
    paint(stylist, path, tmp_path / "out.mp4", StyleSettings(strength=0))
    after = survey(tmp_path / "out.mp4")
    assert (after.size, after.aspect) == ((64, 48), Fraction(3, 4))
    assert np.abs(frames_of(path)[0] - frames_of(tmp_path / "out.mp4")[0]).mean() < 4
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert next(film.decode(video=0)).rotation == 0


@EVERY_KIND
def test_what_made_it_is_inside(tmp_path: Path, stylist: Stylist, suffix: str) -> None:
    out, settings, sources = tmp_path / f"out{suffix}", StyleSettings(stroke=2.0, detail=0.5), [("wave.jpg", "ab" * 32)]
    paint(stylist, film_of(tmp_path / "in.mp4", 2), out, settings, sources=sources)
    made = read_film(decode(out).metadata)
    assert made is not None and made.tool == "style" and read_provenance(made) == (settings, sources)
    assert AI_GENERATED.encode() in out.read_bytes() or AI_GENERATED in decode(out).metadata["description"]


@EVERY_KIND
def test_cancelling_keeps_what_is_done(tmp_path: Path, stylist: Stylist, suffix: str) -> None:
    path, out, done = film_of(tmp_path / "in.mp4", sound=noise_of(0.6)), tmp_path / f"out{suffix}", []
    result = paint(stylist, path, out, progress=lambda *n: done.append(n), cancelled=lambda: len(done) == 5)
    assert result.cancelled and result.frames == 5 and result.seconds == pytest.approx(0.25)
    assert result.notes[-1] == f"stopped after 5 of 12 frames; {out} holds what was painted"
    film = decode(out)
    assert len(film.frames) == 5 and read_film(film.metadata) is not None
    if suffix != ".gif":
        sound, rate, _ = sound_of(out)
        assert sound.shape[1] / rate == pytest.approx(0.25, abs=0.04)


def test_cancelling_in_the_midst_of_a_frame(tmp_path: Path, stylist: Stylist, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large frame takes long: each of its tiles asks."""
    monkeypatch.setattr(studio.film, "TILE", 16)
    asked = []
    result = paint(
        stylist, film_of(tmp_path / "in.mp4"), tmp_path / "out.mp4",
        cancelled=lambda: len(asked) > 40 or asked.append(0),
    )
    assert result.cancelled and 0 < result.frames < 12 and len(decode(result.path).frames) == result.frames


def test_cancelling_before_the_first_frame_leaves_nothing(tmp_path: Path, stylist: Stylist) -> None:
    (tmp_path / "out.mp4").write_bytes(b"the old film")
    with pytest.raises(Cancelled):
        paint(stylist, film_of(tmp_path / "in.mp4"), tmp_path / "out.mp4", cancelled=lambda: True)
    assert (tmp_path / "out.mp4").read_bytes() == b"the old film" and len(os.listdir(tmp_path)) == 2


@EVERY_KIND
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_goes_wrong_leaves_the_old_film_alone(
    tmp_path: Path, stylist: Stylist, suffix: str, error: type[BaseException]
) -> None:
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"the old film")

    def progress(done: int, total: int) -> None:
        if done == 3:
            raise error

    with pytest.raises(error):
        paint(stylist, film_of(tmp_path / "in.mp4", sound=noise_of(0.6)), out, progress=progress)
    assert out.read_bytes() == b"the old film" and sorted(os.listdir(tmp_path)) == ["in.mp4", out.name]


def test_a_film_is_never_written_over_itself(tmp_path: Path, stylist: Stylist) -> None:
    path = film_of(tmp_path / "in.mp4")
    before = path.read_bytes()
    (tmp_path / "link.mp4").hardlink_to(path)
    for out in (path, tmp_path / ".." / tmp_path.name / "in.mp4", tmp_path / "link.mp4"):
        with pytest.raises(SettingError, match="is the film to be painted; give the result another name$"):
            paint(stylist, path, out)
    assert path.read_bytes() == before


def test_a_film_that_is_cut_short_is_painted_as_far_as_it_goes(tmp_path: Path, stylist: Stylist) -> None:
    whole = film_of(tmp_path / "whole.mp4", 40, sound=noise_of(2), options={"movflags": "+faststart"})
    part = tmp_path / "part.mp4"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = paint(stylist, part, tmp_path / "out.mp4")
    assert 5 < result.frames < 35 and len(decode(result.path).frames) == result.frames
    assert any(
        "part.mp4 is cut short: " in note and "s that it announces are not in it" in note for note in result.notes
    )


def test_what_cannot_be_painted_is_said_before_anything_is(tmp_path: Path, stylist: Stylist) -> None:
    path, out = film_of(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    (tmp_path / "text.mp4").write_text("no film")
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: paint(stylist, tmp_path / "text.mp4", out), "text.mp4 is no film of"),
        (
            lambda: paint(stylist, path, tmp_path / "out.avi"),
            "'out.avi' is no name for a film; let it end in .mp4, .webm, .gif$",
        ),
        (lambda: paint(stylist, path, tmp_path), "is no name for a film"),
        (lambda: paint(stylist, path, tmp_path / "no" / "out.mp4"), "its folder does not exist; create it first$"),
        (lambda: stylize_film(stylist, path, [], StyleSettings(), out), "^0 styles; choose 1 to 4"),
        (
            lambda: paint(stylist, path, out, StyleSettings(size=20_000)),
            "^size=20000 makes 20000 x 15000 = 300 megapixels",
        ),
        (
            lambda: paint(stylist, path, out, StyleSettings(size=8000)),
            "^size=8000 makes 8000 x 6000 = 48 megapixels, over the limit of 36",
        ),
        (
            lambda: paint(stylist, path, out, masks=[picture(solid(255, 10, 10))]),
            "the mask has 10 x 10 px and the picture 64 x 48",
        ),
    ]
    for act, sentence in cases:
        with pytest.raises(StudioError, match=sentence):
            act()
    fast = film_of(tmp_path / "fast.mp4", rate=Fraction(60))
    with pytest.raises(VideoError, match="^fps=60 is faster than the 50 of a GIF; lower it or choose .mp4$"):
        paint(stylist, fast, tmp_path / "out.gif")
    assert sorted(os.listdir(tmp_path)) == ["fast.mp4", "in.mp4", "text.mp4"]


def test_what_a_mask_keeps_stays(tmp_path: Path, stylist: Stylist) -> None:
    path = film_of(tmp_path / "in.mkv", 6, codec="ffv1", pix_fmt="bgr0")
    mask = np.zeros((48, 64, 1), np.uint8)
    mask[:, :32] = 255
    paint(stylist, path, tmp_path / "out.mp4", masks=[picture(mask)], film=FilmSettings(film_quality=100))
    for before, after in zip(frames_of(path), frames_of(tmp_path / "out.mp4"), strict=True):
        assert np.abs(before - after)[:, 36:].mean() < 4 < 8 < np.abs(before - after)[:, :28].mean()


def test_two_styles_in_two_regions(tmp_path: Path, stylist: Stylist) -> None:
    """Each region is held for itself: what one style painted never shows in the other."""
    path = film_of(tmp_path / "in.mkv", 4, codec="ffv1", pix_fmt="bgr0")
    left = np.zeros((48, 64, 1), np.uint8)
    left[:, :32] = 255
    masks = [picture(left), picture(255 - left)]
    stylize_film(stylist, path, [STYLE, OTHER], StyleSettings(), tmp_path / "both.mp4", masks=masks)
    for style, name, part in ((STYLE, "left", np.s_[:, 4:24]), (OTHER, "right", np.s_[:, 40:60])):
        stylize_film(stylist, path, [style], StyleSettings(), tmp_path / f"{name}.mp4")
        for both, alone in zip(frames_of(tmp_path / "both.mp4"), frames_of(tmp_path / f"{name}.mp4"), strict=True):
            assert np.abs(both - alone)[part].mean() < 4


def test_notes_on_what_is_lost(tmp_path: Path, stylist: Stylist) -> None:
    clear = np.zeros((48, 64, 4), np.uint8)
    path = make_film(tmp_path / "in.mkv", [clear] * 2, codec="ffv1", pix_fmt="bgra")
    assert "what was transparent is white" in paint(stylist, path, tmp_path / "out.mp4").notes
    footage = dataclasses.replace(survey(path), hdr=True, subtitles=1, transparent=False, lacking_s=1.5)
    notes = studio.film._notes(footage, 3, (48, 64), studio.film.film_kind(tmp_path / "out.mp4", 1))
    assert len(notes) == 4 and f"3 damaged parts of {path} could not be decoded and are left out" in notes


def test_large_frames_are_painted_in_tiles(tmp_path: Path, stylist: Stylist, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a size that is painted in several steps, a film is as large and as steady."""
    monkeypatch.setattr(studio.painting, "BASE_SIDE", 24)
    monkeypatch.setattr(studio.film, "TILE", 32)
    path = film_of(tmp_path / "in.mp4", 4)
    result = paint(stylist, path, tmp_path / "out.mp4")
    assert result.frames == 4 and survey(result.path).size == (48, 64)
