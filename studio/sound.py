"""The sound of a film carried over into another one: as it is where that can hold it, otherwise encoded once more."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from studio.footage import Footage, opened, packets
from studio.video import FilmKind

# What browsers play in such a file. FFmpeg would put more into an mp4, which then is silent in most players.
COPIED = {"mp4": ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"), "webm": ("opus", "vorbis")}
ENCODERS = {"mp4": "aac", "webm": "libopus"}
BITS_PER_CHANNEL = 96_000  # a second, of what is encoded; more than is needed for nobody to hear it
RATE = 48_000  # samples a second


class Sound:
    """All tracks of a film's sound.

    They are read in a pass of their own: how the film interleaves them does not matter. To be created before the
    first picture is written. `said` is a sentence on what became of the tracks.
    """

    def __init__(self, footage: Footage, film: OutputContainer, kind: FilmKind) -> None:
        self._footage, self._film, self._kind = footage, film, kind
        self._tracks: dict[int, _Track] = {}
        self._open = contextlib.ExitStack()
        self._packets: Iterator[Packet] = iter(())
        if footage.tracks and kind.container in COPIED:
            self._packets = self._choose(self._open.enter_context(opened(footage.path)))
        self.said = self._say()
        self._next: Packet | None = next(self._packets, None)

    def __enter__(self) -> "Sound":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def until(self, seconds: Fraction | None) -> None:
        """Write what begins before that time from the start of the film; None: all there is."""
        while self._next is not None:
            packet = self._next
            start = None if packet.dts is None else packet.dts * packet.time_base - self._footage.start
            if seconds is not None and start is not None and start >= seconds:
                return
            self._tracks[packet.stream.index].take(packet)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write what encoders hold back, of what was taken."""
        for track in self._tracks.values():
            track.finish()

    def _choose(self, source: InputContainer) -> Iterator[Packet]:
        for stream in source.streams.audio:
            context = stream.codec_context
            if context is None or not stream.time_base:
                continue
            if context.codec.canonical_name in COPIED[self._kind.container]:
                self._tracks[stream.index] = _Copied(stream, self._film, self._footage.start)
            elif context.channels and context.sample_rate:
                self._tracks[stream.index] = _Encoded(
                    stream, self._film, self._footage.start, ENCODERS[self._kind.container]
                )
        chosen = [source.streams[index] for index in self._tracks]
        return packets(source, *chosen) if chosen else iter(())

    def _say(self) -> str:
        if not self._footage.tracks:
            return "there is no sound"
        if self._kind.container not in COPIED:
            return f"a {self._kind.container.upper()} has no sound; choose .mp4 or .webm to keep it"
        lost = self._footage.tracks - len(self._tracks)
        changed = sorted({track.name for track in self._tracks.values() if isinstance(track, _Encoded)})
        parts = ["the sound is copied"] if len(self._tracks) and not changed else []
        if changed:
            codec = ENCODERS[self._kind.container].removeprefix("lib")
            parts = [f"the sound is encoded again, from {', '.join(changed)} to {codec}"]
        if lost:
            parts.append(f"{lost} of {self._footage.tracks} tracks of sound cannot be decoded and are left out")
        return "; ".join(parts)


class _Track(Protocol):
    name: str  # of its codec

    def take(self, packet: Packet) -> None:
        """Write a packet of the film; the last one is empty."""

    def finish(self) -> None: ...


class _Copied:
    """A track whose packets pass as they are."""

    def __init__(self, source: AudioStream, film: OutputContainer, start: Fraction) -> None:
        self.name = source.codec_context.codec.canonical_name
        self._film, self._shift = film, round(start / source.time_base)
        self._stream = film.add_stream_from_template(source)
        self._last: int | None = None
        _keep_language(source, self._stream)

    def take(self, packet: Packet) -> None:
        if packet.dts is None or (self._last is not None and packet.dts <= self._last):
            return  # of a damaged file: a container takes rising times only
        self._last = packet.dts
        packet.dts -= self._shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - self._shift
        packet.stream = self._stream
        self._film.mux(packet)

    def finish(self) -> None:
        pass


class _Encoded:
    """A track that is decoded, brought to at most two channels, and encoded."""

    def __init__(self, source: AudioStream, film: OutputContainer, start: Fraction, encoder: str) -> None:
        self.name = source.codec_context.codec.canonical_name
        self._film, self._start = film, start
        self._stream = film.add_stream(encoder, rate=RATE)
        channels = min(source.codec_context.channels, 2)
        self._stream.layout = ("mono", "stereo")[channels - 1]
        self._stream.bit_rate = channels * BITS_PER_CHANNEL
        _keep_language(source, self._stream)

    def take(self, packet: Packet) -> None:
        frames = []
        with contextlib.suppress(av.FFmpegError):  # a damaged packet is a gap
            frames = packet.decode()
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(self._start / frame.time_base)
            self._film.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._film.mux(self._stream.encode())


def _keep_language(source: AudioStream, stream: AudioStream) -> None:
    if source.language:
        stream.metadata["language"] = source.language
