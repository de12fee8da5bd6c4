import os
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

import studio.video
from studio.errors import DiskError, VideoError
from studio.provenance import Provenance, read_film
from studio.video import KINDS, film_kind, write_film
from tests.film import decode

EVERY_KIND = pytest.mark.parametrize("suffix", list(KINDS))
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (10, 200, 90), (128, 128, 128), (255, 255, 255), (0, 0, 0)]


def solid(colour: tuple[int, ...], height: int = 32, width: int = 32) -> Tensor:
    return (torch.tensor(colour).float() / 127.5 - 1)[:, None, None].expand(-1, height, width)


@EVERY_KIND
def test_every_frame_in_order_and_colour(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    assert write_film(path, map(solid, COLOURS), 25, {}, quality=100) == len(COLOURS)
    film = decode(path)
    assert len(film.frames) == len(COLOURS) and film.rate == 25
    assert film.times_s == pytest.approx([i / 25 for i in range(len(COLOURS))])
    for frame, colour in zip(film.frames, COLOURS):
        assert frame.shape == (32, 32, 3)
        assert np.abs(frame - colour).max() <= 4


@EVERY_KIND
def test_grey(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    write_film(path, [solid((level,)) for level in (0, 77, 200, 255)], 10, {}, quality=100)
    for frame, level in zip(decode(path).frames, (0, 77, 200, 255), strict=True):
        assert np.abs(frame - level).max() <= 2


def test_a_gif_of_grey_pictures_is_exact(tmp_path: Path) -> None:
    levels = torch.arange(256).reshape(1, 16, 16)
    write_film(tmp_path / "film.gif", [levels / 127.5 - 1, -levels / 127.5 + 1], 10, {})
    frames = decode(tmp_path / "film.gif").frames
    assert (frames[0][..., 0] == levels[0].numpy()).all() and (frames[1][..., 0] == 255 - levels[0].numpy()).all()


def test_the_best_quality_still_plays_everywhere(tmp_path: Path) -> None:
    """Without loss, H.264 takes the profile High 4:4:4 Predictive, which browsers refuse."""
    write_film(tmp_path / "film.mp4", map(solid, COLOURS), 25, {}, quality=100)
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert film.streams.video[0].profile == "High"


def test_a_browser_can_begin_before_it_has_all_of_an_mp4(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", map(solid, COLOURS), 25, {})
    film = (tmp_path / "film.mp4").read_bytes()
    assert 0 < film.index(b"moov") < film.index(b"mdat")


def test_a_gif_mixes_the_colours_it_lacks(tmp_path: Path) -> None:
    """256 flat colours would show as bands, each some levels off over a stretch."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    picture = torch.stack([x, y, (x * y).sin()])
    write_film(tmp_path / "film.gif", [picture], 10, {})
    shown = torch.from_numpy(decode(tmp_path / "film.gif").frames[0]).permute(2, 0, 1) / 127.5 - 1
    off = avg_pool2d((shown - picture)[None], 2)
    assert off.abs().mean() < 0.02  # 0.026 without mixing


def test_what_a_player_is_told_about_colour(tmp_path: Path) -> None:
    """A player that is not told takes small films for BT.601, and turns pure red to orange if they are not."""
    write_film(tmp_path / "film.mp4", [solid((255, 0, 0))], 25, {})
    with av.open(str(tmp_path / "film.mp4")) as film:
        context = film.streams.video[0].codec_context
        assert context.name == "h264" and context.pix_fmt == "yuv420p"
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)


@EVERY_KIND
def test_what_made_it_is_inside(tmp_path: Path, suffix: str) -> None:
    made = Provenance("walk", "tiny", settings={"seeds": list(range(300)), "note": "书法"})
    path = tmp_path / f"film{suffix}"
    write_film(path, map(solid, COLOURS), 25, made.film_metadata())
    film = decode(path)
    assert read_film(film.metadata) == made and len(film.frames) == len(COLOURS)
    # of a GIF's comments FFmpeg tells the last one
    said = path.read_bytes() if suffix == ".gif" else " ".join(film.metadata.values()).encode()
    assert b"AI-generated with Atelier" in said and b"trainedAlgorithmicMedia" in said


def test_other_programs_read_the_gif_and_repeat_it(tmp_path: Path) -> None:
    write_film(tmp_path / "film.gif", map(solid, COLOURS), 25, {"comment": "x" * 600, "description": "y"})
    with Image.open(tmp_path / "film.gif") as film:
        assert film.info["comment"] == b"y\n" + b"x" * 600 and film.info["loop"] == 0
        assert film.n_frames == len(COLOURS) and film.info["duration"] == 40


@pytest.mark.parametrize(
    "fps, rate",
    [(29.97, Fraction(2997, 100)), (23.976, Fraction(2997, 125)), (30, 30), (1, 1), (12.5, Fraction(25, 2))],
)
def test_rates(tmp_path: Path, fps: float, rate: Fraction) -> None:
    write_film(tmp_path / "film.mp4", [solid((i, 0, 0)) for i in range(10)], fps, {})
    film = decode(tmp_path / "film.mp4")
    assert film.rate == rate and len(film.frames) == 10


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sides_repeat_their_last_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    write_film(path, [solid((200, 200, 200), height=33, width=47)] * 2, 25, {}, quality=100)
    for frame in decode(path).frames:
        assert frame.shape == (34, 48, 3) and np.abs(frame - 200).max() <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_quality_is_paid_for_in_bytes(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    noise = torch.rand(3, 3, 64, 64) * 2 - 1
    sizes, errors = [], []
    for quality in (100, 60, 1):
        path = tmp_path / f"{quality}{suffix}"
        write_film(path, noise, 25, {}, quality)
        sizes.append(path.stat().st_size)
        errors.append(np.abs(decode(path).frames[0] - (noise[0].permute(1, 2, 0).numpy() + 1) * 127.5).mean())
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)
    assert sizes[0] > 3 * sizes[2]


@EVERY_KIND
def test_frames_are_not_gathered(tmp_path: Path, suffix: str) -> None:
    made: list[weakref.ref] = []

    def frames() -> Iterator[Tensor]:
        for i in range(40):
            alive = sum(frame() is not None for frame in made)
            assert alive <= 1
            frame = solid((i, i, i)).clone()
            made.append(weakref.ref(frame))
            yield frame
            del frame

    assert write_film(tmp_path / f"film{suffix}", frames(), 25, {}) == 40


@EVERY_KIND
@pytest.mark.parametrize("error", [KeyboardInterrupt, VideoError, RuntimeError])
def test_what_goes_wrong_leaves_the_old_film_alone(tmp_path: Path, suffix: str, error: type[BaseException]) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_bytes(b"the old film")

    def frames() -> Iterator[Tensor]:
        yield from map(solid, COLOURS)
        raise error("stop")

    with pytest.raises(error, match="stop"):
        write_film(path, frames(), 25, {})
    assert path.read_bytes() == b"the old film" and os.listdir(tmp_path) == [path.name]


@EVERY_KIND
def test_a_film_replaces_the_old_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_bytes(b"the old film")
    write_film(path, map(solid, COLOURS), 25, {})
    assert len(decode(path).frames) == len(COLOURS) and os.listdir(tmp_path) == [path.name]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
@EVERY_KIND
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    # the file that is written beside the film's place leads to a device that is always full
    monkeypatch.setattr(Path, "touch", lambda beside, *_, **__: beside.symlink_to("/dev/full"))
    path = tmp_path / f"film{suffix}"
    torch.manual_seed(0)
    with pytest.raises(DiskError, match=rf"^the disk of {path} is full; free some space and try again$"):
        write_film(path, torch.rand(60, 3, 64, 64) * 2 - 1, 25, {}, quality=100)
    assert os.listdir(tmp_path) == []


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="its folder does not exist; create it first"):
        write_film(tmp_path / "no" / "film.mp4", [solid((0, 0, 0))], 25, {})


@EVERY_KIND
def test_a_folder_of_that_name_is_found_before_a_frame_is_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    path.mkdir()
    asked = []
    with pytest.raises(DiskError, match="is a folder; give the name of a file in it$"):
        write_film(path, (asked.append(c) or solid(c) for c in COLOURS), 25, {})
    assert asked == [] and os.listdir(tmp_path) == [path.name]


@EVERY_KIND
def test_no_frames(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(VideoError, match="would be a film without a frame; ask for at least one$"):
        write_film(tmp_path / f"film{suffix}", [], 25, {})
    assert os.listdir(tmp_path) == []


def test_names_that_are_no_films() -> None:
    for name in ("film", "film.avi", "mp4"):
        with pytest.raises(VideoError, match=f"^'{name}' is no name for a film; let it end in .mp4, .webm, .gif$"):
            film_kind(Path("folder") / name, 25)
    assert film_kind(Path("FILM.MP4"), 25).container == "mp4"


def test_a_gif_has_its_limits() -> None:
    assert film_kind(Path("film.gif"), 50).container == "gif"
    with pytest.raises(VideoError, match="^fps=60 is faster than the 50 of a GIF; lower it or choose .mp4$"):
        film_kind(Path("film.gif"), 60)


def test_a_pyav_without_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio.video.av, "codecs_available", {"gif"})
    with pytest.raises(VideoError, match="^this PyAV lacks libx264, which writes .mp4; choose another of"):
        film_kind(Path("film.mp4"), 25)


def test_a_size_that_the_encoder_refuses(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"film.mp4 cannot be written as .mp4 \(.*\); try another size or kind$"):
        write_film(tmp_path / "film.mp4", [solid((0, 0, 0), height=2, width=40_000)], 25, {})
    assert os.listdir(tmp_path) == []
