import os
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import studio.footage
from studio.errors import VideoError
from studio.footage import SUFFIXES, Reading, film_frame, opened, survey
from tests.film_files import corners, make_film, noise_of, solid

LEVELS = [10 + 7 * i for i in range(30)]


def level_film(path: Path, **facts: object) -> Path:
    return make_film(path, [solid(level) for level in LEVELS], **facts)


def levels_of(path: Path) -> list[int]:
    return [int(frame.pixels.mean().round()) for frame in Reading(survey(path))]


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (".m4v", ".gif")])
def test_every_frame_in_order(tmp_path: Path, suffix: str) -> None:
    rate = Fraction(25)
    path = level_film(tmp_path / f"film{suffix}", rate=rate, time_base=1 / rate)
    footage = survey(path)
    assert (footage.frames, footage.rate, footage.size, footage.tracks, footage.lacking_s) == (30, 25, (48, 64), 0, 0)
    frames = list(Reading(footage))
    assert [float(f.time * footage.time_base) for f in frames] == pytest.approx([i / 25 for i in range(30)], abs=0.001)
    assert float(sum(f.duration for f in frames) * footage.time_base) == pytest.approx(30 / 25, abs=0.002)
    for frame, level in zip(frames, LEVELS, strict=True):
        assert frame.pixels.shape == (48, 64, 3) and abs(frame.pixels.mean() - level) < 3.4


def test_a_gif(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.gif", [solid(0), solid(255), solid(0)], [0, 7, 30], time_base=Fraction(1, 100))
    footage = survey(path)
    assert [(f.pixels.max(), f.time) for f in Reading(footage)] == [(0, 0), (255, 7), (0, 30)]


TIMES = [0, 20, 40, 50, 60, 100, 200, 203, 400]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_each_frame_keeps_its_own_time(tmp_path: Path, suffix: str) -> None:
    path = make_film(tmp_path / f"film{suffix}", [solid(20 * i) for i in range(9)], TIMES)
    footage = survey(path)
    frames = list(Reading(footage))
    assert [float(f.time * footage.time_base) for f in frames] == pytest.approx([t / 600 for t in TIMES], abs=0.0006)
    assert [f.duration for f in frames[:-1]] == [b.time - a.time for a, b in zip(frames, frames[1:])]


def test_the_usual_rate_is_that_of_the_frames_if_the_header_lies(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.webm", [solid(0)] * 21, [60 * i for i in range(21)], rate=Fraction(60))
    assert float(survey(path).rate) == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(
    "turn, expected",  # corners in the order of reading, from red green / blue white as they are stored
    [
        ((1, 0, 0, 1), "rgbw"), ((-1, 0, 0, 1), "grwb"), ((-1, 0, 0, -1), "wbgr"), ((1, 0, 0, -1), "bwrg"),
        ((0, 1, 1, 0), "rbgw"), ((0, 1, -1, 0), "brwg"), ((0, -1, -1, 0), "wgbr"), ((0, -1, 1, 0), "gwrb"),
    ],
)
def test_frames_are_upright(tmp_path: Path, turn: tuple[int, ...], expected: str) -> None:
    path = make_film(tmp_path / "film.mp4", [corners()] * 3, turn=turn, aspect=Fraction(2))
    footage = survey(path)
    turned = turn[0] == 0
    assert footage.size == ((64, 48) if turned else (48, 64))
    assert footage.aspect == (Fraction(1, 2) if turned else 2)
    for frame in Reading(footage):
        assert frame.pixels.shape == (*footage.size, 3)
        height, width = footage.size
        found = ""
        for y in (height // 4, 3 * height // 4):
            for x in (width // 4, 3 * width // 4):
                found += {(255, 0, 0): "r", (0, 255, 0): "g", (0, 0, 255): "b"}.get(
                    tuple(((frame.pixels[y, x] > 128) * 255).tolist()), "w"
                )
        assert found == expected


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size, matrix, named", [((48, 64), 1, True), ((48, 64), 5, False), ((720, 1280), 1, False)])
def test_colours(tmp_path: Path, size: tuple[int, int], matrix: int, named: bool, full: bool) -> None:
    """The same colour comes back from either matrix and range; a film that names none has that of its size."""
    colour = np.array([200, 60, 30])
    kr, kb = {1: (0.2126, 0.0722), 5: (0.299, 0.114)}[matrix]
    r, g, b = colour / 255
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    planes = [y * 255, u * 255 + 128, v * 255 + 128] if full else [16 + 219 * y, 128 + 224 * u, 128 + 224 * v]
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = 2 if full else 1
        if named:
            stream.codec_context.colorspace = matrix
        frame = av.VideoFrame(size[1], size[0], "yuv420p")
        frame.color_range = 2 if full else 1
        for plane, level in zip(frame.planes, planes):
            plane.update(bytes([round(level)]) * plane.buffer_size)
        frame.pts = 0
        film.mux(stream.encode(frame))
        film.mux(stream.encode())
    found = film_frame(path).pixels.astype(int)
    assert np.abs(found - colour).max() <= 4  # 13 or more with the other matrix


def test_transparent_is_white(tmp_path: Path) -> None:
    picture = np.zeros((48, 64, 4), np.uint8)
    picture[:, 32:] = 255, 0, 0, 255
    path = make_film(tmp_path / "film.mkv", [picture] * 2, codec="ffv1", pix_fmt="bgra")
    footage = survey(path)
    frame = next(iter(Reading(footage))).pixels
    assert footage.transparent and (frame[:, :32] == 255).all() and (frame[:, 32:] == (255, 0, 0)).all()


def test_an_opaque_gif_is_not_called_transparent(tmp_path: Path) -> None:
    assert not survey(make_film(tmp_path / "film.gif", [solid(255)] * 2)).transparent


@pytest.mark.parametrize("sound_from", [0, 24_000])
def test_a_film_that_begins_late_counts_from_its_beginning(tmp_path: Path, sound_from: int) -> None:
    facts = dict(sound=noise_of(1), sound_codec="libopus", sound_from=48_000 + sound_from)
    path = make_film(tmp_path / "film.mkv", [solid(0)] * 5, [900 + 20 * i for i in range(5)], **facts)
    footage = survey(path)
    assert float(footage.start) == pytest.approx(1 if sound_from == 0 else 1.5, abs=0.02)
    first = next(iter(Reading(footage)))
    assert float(first.time * footage.time_base) == pytest.approx(0.5 if sound_from == 0 else 0, abs=0.02)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_one_frame(tmp_path: Path, suffix: str) -> None:
    rate, levels = Fraction(10), [0, 255] * 10
    path = make_film(tmp_path / f"film{suffix}", [solid(n) for n in levels], rate=rate, time_base=Fraction(1, 100))
    for at_s, level in [(-1, 0), (0, 0), (0.05, 0), (0.151, 255), (1.501, 255), (1.601, 0), (1.95, 255), (100, 255)]:
        assert abs(int(film_frame(path, at_s).pixels[0, 0, 0]) - level) <= 2, at_s


def test_reading_may_begin_anywhere(tmp_path: Path) -> None:
    path = level_film(tmp_path / "film.mp4")
    frames = list(Reading(survey(path), 0.5))
    assert [int(f.pixels.mean().round()) for f in frames] == pytest.approx(LEVELS[15:], abs=1)


def test_frames_are_not_gathered(tmp_path: Path) -> None:
    """One is held until its successor tells how long it shows."""
    seen: list[weakref.ref] = []
    for frame in Reading(survey(level_film(tmp_path / "film.mp4"))):
        seen.append(weakref.ref(frame))
        del frame
        assert sum(frame() is not None for frame in seen) <= 2
    assert len(seen) == 30


def test_a_film_that_is_cut_short(tmp_path: Path) -> None:
    whole = level_film(tmp_path / "whole.mp4", options={"movflags": "+faststart"}, rate=Fraction(10), sound=noise_of(3))
    data = whole.read_bytes()
    part = tmp_path / "part.mp4"
    # sound lies between the pictures: about half of both is there
    part.write_bytes(data[: int(len(data) * 0.6)])
    footage = survey(part)
    frames = list(Reading(footage))
    assert 10 < len(frames) < 25 and 0.5 < footage.lacking_s < 2
    for frame in frames:  # of the last ones, some may lack the frame that they build on
        level = LEVELS[round(frame.time * footage.time_base * 10)]
        assert abs(frame.pixels.mean() - level) < 2


def test_a_film_whose_midst_is_damaged(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(30)]
    data = bytearray(make_film(tmp_path / "film.mp4", frames, codec="mpeg4").read_bytes())
    with av.open(str(tmp_path / "film.mp4")) as film:
        middle = [packet.pos for packet in film.demux(video=0) if packet.size][15]
    data[middle : middle + 3000] = bytes(3000)
    (tmp_path / "film.mp4").write_bytes(data)
    reading = Reading(survey(tmp_path / "film.mp4"))
    count = len(list(reading))
    assert reading.lost > 0 and 15 <= count < 30


def test_no_film(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a film")
    (tmp_path / "empty.mp4").touch()
    for name in ("text.mp4", "empty.mp4"):
        with pytest.raises(VideoError, match=f"{name} is no film of .mp4, .*; copy it again or convert it to .mp4$"):
            survey(tmp_path / name)
    with pytest.raises(VideoError, match="is a folder; give one film$"):
        survey(tmp_path)
    with pytest.raises(VideoError, match="^there is no film .*none.mp4; check the name$"):
        survey(tmp_path / "none.mp4")


def test_a_film_without_its_index(tmp_path: Path) -> None:
    """As a camera leaves it whose battery died."""
    data = level_film(tmp_path / "film.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(VideoError, match="cut.mp4 is no film .* cut short"):
        survey(tmp_path / "cut.mp4")


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as film:
        voice = film.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(noise_of(0.1), format="s16", layout="mono")
        frame.sample_rate = 48_000
        film.mux(voice.encode(frame))
        film.mux(voice.encode())
    with pytest.raises(VideoError, match="song.mp4 has no moving pictures; give a film that has$"):
        survey(path)


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"])
def test_lists_of_other_files_are_not_followed(tmp_path: Path, text: str) -> None:
    secret = level_film(tmp_path / "secret.mp4")
    for name in ("list.mp4", "list.m3u8"):
        (tmp_path / name).write_text(text.format(secret.name))
        with pytest.raises(VideoError, match="is no film of"):
            survey(tmp_path / name)


def test_names_are_files_whatever_they_look_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-film.mp4", "concat:film.mp4", "100%d.mp4", "书.mp4"):
        os.replace(level_film(tmp_path / "plain.mp4"), name)
        assert survey(Path(name)).frames == 30


def test_a_codec_that_is_not_let_in(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.avi", [solid(0)] * 2, codec="cinepak", pix_fmt="rgb24")
    with pytest.raises(
        VideoError,
        match="film.avi are (coded as cinepak|of an unknown kind), which is not read here; convert it to .mp4$",
    ):
        survey(path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = level_film(tmp_path / "film.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(studio.footage, "MAX_PIXELS", 3000)
        with pytest.raises(
            VideoError,
            match="^a frame of .*film.mp4 has 64 x 48 = 0.003072 megapixels, over the limit of 0.003; make",
        ):
            survey(path)
    with monkeypatch.context() as patch:
        patch.setattr(studio.footage, "MAX_FRAMES", 29)
        with pytest.raises(VideoError, match="film.mp4 has more than 29 frames; cut it into shorter films$"):
            survey(path)
    with monkeypatch.context() as patch:
        patch.setattr(studio.footage, "MAX_SECONDS", 0)
        with pytest.raises(VideoError, match="film.mp4 lasts 0.0 hours, over the limit of 0; cut it$"):
            survey(path)


def test_a_frame_in_the_midst_that_is_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams may change their size. What fits is scaled to the first one's, what does not is lost."""
    parts = [
        make_film(tmp_path / f"{side}.mkv", [solid(side, side, side)] * 3, codec="mjpeg", pix_fmt="yuvj420p")
        for side in (64, 128)
    ]
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as film:
        stream, time = None, 0
        for part in parts:
            with av.open(str(part)) as source:
                stream = stream or film.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream = stream
                        packet.pts = packet.dts = time
                        time += 33
                        film.mux(packet)
    frames = list(Reading(survey(path)))
    assert [f.pixels.shape for f in frames] == [(64, 64, 3)] * 6
    assert [int(f.pixels.mean().round()) for f in frames] == pytest.approx([64] * 3 + [128] * 3, abs=2)
    monkeypatch.setattr(studio.footage, "MAX_PIXELS", 64 * 64)
    reading = Reading(survey(path))
    assert len(list(reading)) == 3 and reading.lost == 3


def test_hostile_bytes(tmp_path: Path) -> None:
    """Whatever is broken: a VideoError or frames, and nothing else."""
    random = np.random.default_rng(0)
    for suffix in (".mp4", ".webm", ".gif"):
        data = level_film(tmp_path / f"film{suffix}").read_bytes()
        path = tmp_path / f"broken{suffix}"
        for _ in range(40):
            broken = bytearray(data)
            for at in random.integers(0, len(data), random.integers(1, 30)):
                broken[at] = random.integers(256)
            path.write_bytes(broken[: random.integers(1, len(data))] if random.random() < 0.3 else broken)
            try:
                frames = list(Reading(survey(path)))
            except VideoError:
                continue
            assert frames and all(a.time < b.time for a, b in zip(frames, frames[1:]))


def test_what_is_opened_is_closed(tmp_path: Path) -> None:
    path = level_film(tmp_path / "film.mp4")
    with opened(path) as film:
        pass
    assert not film.input_was_opened
