from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from studio.footage import survey
from studio.sound import Sound
from studio.video import FrameWriter, film_at, film_kind
from tests.film_files import SOUND_RATE, make_film, noise_of, solid, sound_of, sound_packets
from tests.test_video import solid as grey

VIDEO = [solid(100)] * 20
SECONDS = 2.0


def carry(source: Path, out: Path, until: Fraction | None = None) -> str:
    """A film with the sound of another; says what was said."""
    kind = film_kind(out, 10)
    with film_at(out, kind, {}) as film:
        writer = FrameWriter(film, kind, (48, 64), Fraction(10), Fraction(1, 100))
        with Sound(survey(source), film, kind) as sound:
            for i in range(20):
                sound.until(Fraction(i, 10))
                writer.write(grey((100,), 48, 64), 10 * i)
            if until is None:
                sound.until(None)
            writer.finish(200)
            sound.finish()
            return sound.said


def source_film(path: Path, channels: int = 1, **facts: object) -> Path:
    return make_film(path, VIDEO, rate=Fraction(10), sound=noise_of(SECONDS, channels), **facts)


def lag(found: np.ndarray, wanted: np.ndarray) -> int:
    """By how many samples what was found is late."""
    size = 1 << 17
    spectrum = np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size))
    best = int(np.argmax(np.fft.irfft(spectrum)))
    return best if best < size // 2 else best - size


@pytest.mark.parametrize(
    "name, codec, out",
    [
        ("in.mp4", "aac", "out.mp4"), ("in.mov", "aac", "out.mp4"), ("in.mkv", "ac3", "out.mp4"),
        ("in.mkv", "libopus", "out.mp4"), ("in.webm", "libopus", "out.webm"), ("in.mkv", "flac", "out.mp4"),
        ("in.mp4", "libopus", "out.webm"),
    ],
)
def test_sound_is_copied(tmp_path: Path, name: str, codec: str, out: str) -> None:
    source = source_film(tmp_path / name, sound_codec=codec)
    assert carry(source, tmp_path / out) == "the sound is copied"
    assert sound_packets(tmp_path / out) == sound_packets(source)
    (before, rate, start), (after, same_rate, same_start) = sound_of(source), sound_of(tmp_path / out)
    assert rate == same_rate and abs(same_start - start) < 0.001
    assert abs(lag(after[0], before[0])) <= 48  # 1 ms: what a webm counts


@pytest.mark.parametrize(
    "name, codec, rate, out, said",
    [
        ("in.mov", "pcm_s16le", 44_100, "out.mp4", "the sound is encoded again, from pcm_s16le to aac"),
        ("in.mp4", "aac", 44_100, "out.webm", "the sound is encoded again, from aac to opus"),
        ("in.avi", "mp3", 48_000, "out.webm", "the sound is encoded again, from mp3 to opus"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_is_encoded_where_it_cannot_be_copied(
    tmp_path: Path, name: str, codec: str, rate: int, out: str, said: str, channels: int
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV writes no {codec}")
    source = source_film(tmp_path / name, channels, sound_codec=codec, sound_rate=rate)
    assert carry(source, tmp_path / out) == said
    (before, found_rate, start), (after, encoded_rate, encoded_start) = sound_of(source), sound_of(tmp_path / out)
    assert found_rate == rate and encoded_rate == SOUND_RATE and after.shape[0] == channels
    assert after.shape[1] / SOUND_RATE == pytest.approx(before.shape[1] / rate, abs=0.05)
    places = np.arange(before.shape[1] * SOUND_RATE // rate) * rate / SOUND_RATE
    for wanted, found in zip(before, after):
        wanted = np.interp(places, np.arange(len(wanted)), wanted)
        late = lag(found, wanted) / SOUND_RATE + encoded_start - start
        assert abs(late) < 0.01
        shift = lag(found, wanted)
        found = np.roll(found, -shift)[4800:48000]
        assert np.corrcoef(found, wanted[4800:48000])[0, 1] > 0.95


def test_more_than_two_channels_become_two(tmp_path: Path) -> None:
    path = tmp_path / "in.mov"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        voice = film.add_stream("pcm_s16le", rate=SOUND_RATE)
        voice.layout = "5.1"
        film.mux(stream.encode(av.VideoFrame.from_ndarray(solid(9), format="rgb24")))
        film.mux(stream.encode())
        frame = av.AudioFrame.from_ndarray(noise_of(0.5, 6).T.reshape(1, -1).copy(), format="s16", layout="5.1")
        frame.sample_rate, frame.pts = SOUND_RATE, 0
        film.mux(voice.encode(frame))
        film.mux(voice.encode())
    assert carry(path, tmp_path / "out.mp4") == "the sound is encoded again, from pcm_s16le to aac"
    sound, _, _ = sound_of(tmp_path / "out.mp4")
    assert len(sound) == 2 and sound.std() > 0.01


def test_every_track(tmp_path: Path) -> None:
    source = source_film(tmp_path / "in.mp4", tracks=2)
    assert carry(source, tmp_path / "out.mp4") == "the sound is copied"
    for track in (0, 1):
        assert sound_packets(tmp_path / "out.mp4", track) == sound_packets(source, track)


def test_the_language_is_kept(tmp_path: Path) -> None:
    plain, path = source_film(tmp_path / "plain.mp4"), tmp_path / "in.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as film:
        streams = {s.index: film.add_stream_from_template(s) for s in source.streams}
        streams[1].metadata["language"] = "fra"
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                film.mux(packet)
    carry(path, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert film.streams.audio[0].language == "fra"


def test_a_gif_is_silent(tmp_path: Path) -> None:
    source = source_film(tmp_path / "in.mp4")
    assert carry(source, tmp_path / "out.gif") == "a GIF has no sound; choose .mp4 or .webm to keep it"


def test_no_sound(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mp4", VIDEO)
    assert carry(source, tmp_path / "out.mp4") == "there is no sound"
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert not film.streams.audio


@pytest.mark.parametrize("name, out", [("in.mp4", "out.mp4"), ("in.mp4", "out.webm")])
def test_sound_ends_where_asking_for_it_does(tmp_path: Path, name: str, out: str) -> None:
    kind = film_kind(tmp_path / out, 10)
    source = source_film(tmp_path / name)
    with film_at(tmp_path / out, kind, {}) as film:
        writer = FrameWriter(film, kind, (48, 64), Fraction(10), Fraction(1, 100))
        with Sound(survey(source), film, kind) as sound:
            sound.until(Fraction(1))
            writer.write(grey((100,), 48, 64), 0)
            writer.finish(100)
            sound.finish()
    found, rate, _ = sound_of(tmp_path / out)
    assert found.shape[1] / rate == pytest.approx(1, abs=0.05)


def test_pictures_and_sound_begin_together_as_before(tmp_path: Path) -> None:
    """In a film whose clock begins at a second, with sound half a second after the pictures."""
    facts = dict(sound=noise_of(1), sound_codec="libopus", sound_from=3 * SOUND_RATE // 2)
    source = make_film(tmp_path / "in.mkv", [solid(0)] * 10, [600 + 60 * i for i in range(10)], **facts)
    carry(source, tmp_path / "out.webm")
    assert sound_of(tmp_path / "out.webm")[2] == pytest.approx(0.5, abs=0.03)
