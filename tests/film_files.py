"""Films made by hand through PyAV, as strangers might make them."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LOSSLESS = {"libx264": {"crf": "1"}, "libvpx-vp9": {"lossless": "1"}}
CODECS = {
    ".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4", ".gif": "gif",
}
SOUND_RATE = 48_000


def solid(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def corners(height: int = 48, width: int = 64) -> np.ndarray:
    """Red, green, blue and white, from the upper left one in the order of reading."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[: height // 2, : width // 2] = 255, 0, 0
    picture[: height // 2, width // 2 :] = 0, 255, 0
    picture[height // 2 :, : width // 2] = 0, 0, 255
    return picture


def noise_of(seconds: float, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Sound that is like itself at no other time: [channels, samples] int16."""
    samples = np.random.default_rng(seed).normal(0, 3000, (channels, round(seconds * SOUND_RATE)))
    # what is above a few kHz is lost in coding
    return np.apply_along_axis(lambda x: np.convolve(x, np.ones(16) / 4, "same"), 1, samples).astype(np.int16)


def make_film(
    path: Path, frames: Sequence[np.ndarray], times: Sequence[int] | None = None, *,
    time_base: Fraction = Fraction(1, 600), rate: Fraction = Fraction(30), codec: str = "", pix_fmt: str = "",
    turn: tuple[int, ...] = (), aspect: Fraction | None = None, sound: np.ndarray | None = None,
    sound_codec: str = "aac", sound_rate: int = SOUND_RATE, sound_from: int = 0, tracks: int = 1,
    options: dict[str, str] = {},
) -> Path:
    """Frames [H, W, 3] uint8 at times in units of time_base, evenly spaced at `rate` without;
    turn: a display matrix' a b c d.

    sound: [channels, samples] int16, from a sample on.
    """
    codec = codec or CODECS[path.suffix]
    times = times or [round(i / rate / time_base) for i in range(len(frames))]
    with av.open(str(path), "w", options=options) as film:
        stream = film.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt or {"gif": "gray"}.get(codec, "yuv420p")
        stream.codec_context.options = LOSSLESS.get(codec, {})
        stream.codec_context.time_base = time_base
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        voices = [film.add_stream(sound_codec, rate=sound_rate) for _ in range(tracks if sound is not None else 0)]
        for voice in voices:
            voice.layout = ("mono", "stereo")[len(sound) - 1]
        for picture, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            frame.pts, frame.time_base = time, time_base
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
        for voice in voices:
            for start in range(0, sound.shape[1], 1024):
                part = np.ascontiguousarray(sound[:, start : start + 1024].T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(part, format="s16", layout=voice.layout.name)
                frame.sample_rate, frame.pts, frame.time_base = sound_rate, sound_from + start, Fraction(1, sound_rate)
                film.mux(voice.encode(frame))
            film.mux(voice.encode())
    if turn:
        _write_matrix(path, turn)
    return path


def _write_matrix(path: Path, turn: tuple[int, ...]) -> None:
    """Into an mp4's first track header."""
    a, b, c, d = (n << 16 for n in turn)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def sound_packets(path: Path, track: int = 0) -> list[bytes]:
    """A track's coded sound."""
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(film.streams.audio[track]) if packet.size]


def sound_of(path: Path) -> tuple[np.ndarray, int, float]:
    """The first track: [channels, samples] float in [-1, 1], its samples a second, and when it begins, in s."""
    with av.open(str(path)) as film:
        frames = list(film.decode(film.streams.audio[0]))
        rate, channels = frames[0].sample_rate, frames[0].layout.nb_channels
        parts = []
        for frame in frames:
            part = frame.to_ndarray().astype(float) / (32768 if frame.format.name.startswith("s16") else 1)
            parts.append(part if frame.format.is_planar else part.reshape(-1, channels).T)
        return np.concatenate(parts, axis=1), rate, float(frames[0].time)
