"""Films on disk, through PyAV. Frames pass through one by one, so that a film's length costs no memory.

The suffix chooses the kind: .mp4 (H.264, plays everywhere), .webm (VP9) or .gif (256 colours a frame).
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image
from torch import Tensor

from studio.errors import VideoError
from studio.files import whole_file
from studio.images import to_pil, to_uint8

DEFAULT_QUALITY = 70
_GIF_MAX_FPS = 50  # browsers play a delay below 2/100 s as 10/100 s
_BT709 = 1  # the matrix, primaries and transfer of HD video in H.273; a player that is not told guesses by size


@dataclass(frozen=True)
class FilmKind:
    """How one kind of film is written. `worst_crf` ends the encoder's own scale, on which 0 is without loss."""

    container: str
    encoder: str
    worst_crf: int = 0
    options: Mapping[str, str] = field(default_factory=dict)  # of the encoder
    container_options: Mapping[str, str] = field(default_factory=dict)


KINDS = {
    # the index goes to the front, so that a browser shows the first frame before it has the last
    ".mp4": FilmKind("mp4", "libx264", 51, container_options={"movflags": "+faststart"}),
    # a bit rate of 0 lets crf alone decide
    ".webm": FilmKind("webm", "libvpx-vp9", 63, {"b": "0", "cpu-used": "4", "row-mt": "1"}),
    ".gif": FilmKind("gif", "gif"),
}


def film_kind(path: Path, fps: float) -> FilmKind:
    """The kind that a film's name asks for. Raises VideoError for a suffix or a rate that cannot be written."""
    known = ", ".join(KINDS)
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise VideoError(f"{path.name!r} is no name for a film; let it end in {known}")
    if kind.container == "gif" and fps > _GIF_MAX_FPS:
        raise VideoError(f"fps={fps:g} is faster than the {_GIF_MAX_FPS} of a GIF; lower it or choose .mp4")
    if kind.encoder not in av.codecs_available:
        raise VideoError(f"this PyAV lacks {kind.encoder}, which writes {path.suffix}; choose another of {known}")
    return kind


def write_film(
    path: Path, frames: Iterable[Tensor], fps: float, metadata: Mapping[str, str], quality: int = DEFAULT_QUALITY
) -> int:
    """Write a film, all or nothing, and return its number of frames. Raises VideoError or DiskError.

    frames: each [C, H, W] in [-1, 1], C 1 or 3, all of one shape; taken one at a time. mp4 and webm have even sides:
    an odd one grows by repeating its last line of pixels. fps: frames a second. metadata: texts for the container, by
    names that it knows, such as comment and description. quality: 1 (small) .. 100 (best), which a GIF leaves unused.
    """
    kind = film_kind(path, fps)
    rate = Fraction(fps).limit_denominator(1001)  # keeps the rates of television: 23.976, 29.97 and 59.94
    count = 0
    with film_at(path, kind, metadata) as film:
        for frame in frames:
            if count == 0:
                writer = FrameWriter(film, kind, tuple(frame.shape[1:]), rate, 1 / rate, quality)
            writer.write(frame, count)
            count += 1
        if count == 0:
            raise VideoError(f"{path} would be a film without a frame; ask for at least one")
        writer.finish(count)
    return count


@contextlib.contextmanager
def film_at(path: Path, kind: FilmKind, metadata: Mapping[str, str]) -> Iterator[OutputContainer]:
    """A film to write, which is at `path` when the block ends well; until then, and otherwise, what was there stays.

    Raises VideoError for what FFmpeg refuses, and DiskError.
    """
    try:
        with whole_file(path) as file:
            with av.open(str(file), "w", format=kind.container, options=dict(kind.container_options)) as film:
                film.metadata.update(metadata)
                yield film
            if kind.container == "gif":
                _insert_comments(file, metadata)
    except av.FFmpegError as error:
        reason = f"{path} cannot be written as {path.suffix} ({error.strerror})"
        raise VideoError(f"{reason}; try another size or kind") from error


class FrameWriter:
    """The pictures of a film on their way into it. Its streams of sound are added before the first one is written.

    size: height and width. rate: frames a second, on average. time_base: the unit of their times, in s; the container
    may round them to its own. quality as in `write_film`. aspect: width of a pixel by its height.
    """

    def __init__(
        self, film: OutputContainer, kind: FilmKind, size: tuple[int, int], rate: Fraction, time_base: Fraction,
        quality: int = DEFAULT_QUALITY, aspect: Fraction = Fraction(1),
    ) -> None:
        self.film, self.kind, self.time_base = film, kind, time_base
        self.stream = film.add_stream(kind.encoder, rate=rate, options=dict(kind.options))
        context = self.stream.codec_context
        context.time_base, context.sample_aspect_ratio = time_base, aspect
        if kind.worst_crf:
            # not 0: without loss H.264 takes a profile that browsers do not play
            context.options |= {"crf": str(max(1, round((100 - quality) / 100 * kind.worst_crf)))}
            for name in ("colorspace", "color_primaries", "color_trc"):
                setattr(context, name, _BT709)
            context.color_range = ColorRange.MPEG
            # before the sound, which may be written first: that opens all encoders
            context.pix_fmt, size = "yuv420p", tuple(n + n % 2 for n in size)
        context.height, context.width = size
        self._colours = VideoReformatter()
        self._first_time: int | None = None
        self._first_dts: int | None = None
        self._held: list[Packet] = []

    def write(self, picture: Tensor, time: int) -> None:
        """Show a picture [C, H, W] in [-1, 1], C 1 or 3, from a time on; times rise."""
        frame = _palette_frame(picture) if self.kind.container == "gif" else _yuv_frame(picture, self._colours)
        if self._first_time is None:
            self._first_time = time
            if self.kind.container == "gif":
                self.stream.pix_fmt = frame.format.name
        frame.pts, frame.time_base = time, self.time_base
        self._mux(self.stream.encode(frame))

    def finish(self, end: int) -> None:
        """Write what the encoder holds back; the last picture shows until `end`."""
        self._mux(self.stream.encode(), end)

    def _mux(self, packets: list[Packet], end: int | None = None) -> None:
        """Hand packets on, all but the last one, or all at the end."""
        waiting = [*self._held, *packets]
        self._held = [] if end is not None else waiting[-1:]
        if waiting and self._first_dts is None:
            self._first_dts = waiting[0].dts
        if waiting and end is not None:
            shown_last, decoded_last = max(waiting, key=lambda packet: packet.pts), waiting[-1]
            until = round(end * self.time_base / shown_last.time_base)
            shown_last.duration = until - shown_last.pts
            if decoded_last is not shown_last:  # an mp4's frame rate comes from the sum of all durations
                first = round(self._first_time * self.time_base / shown_last.time_base)
                decoded_last.duration = max(until - first - (decoded_last.dts - self._first_dts), 1)
        self.film.mux(waiting[: len(waiting) - len(self._held)])


def _yuv_frame(frame: Tensor, colours: VideoReformatter) -> av.VideoFrame:
    pixels = to_uint8(frame).permute(1, 2, 0).cpu().numpy()
    height, width, channels = pixels.shape
    pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return colours.reformat(
        av.VideoFrame.from_ndarray(rgb, format="rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def _palette_frame(frame: Tensor) -> av.VideoFrame:
    image = to_pil(frame)
    if image.mode == "L":
        return av.VideoFrame.from_ndarray(np.asarray(image), format="gray")
    # the octree takes 3 ms where the median cut takes 130 (256 px), and dithering hides that it is coarser
    rough = image.quantize(256, Image.Quantize.FASTOCTREE)
    image = image.quantize(palette=rough, dither=Image.Dither.FLOYDSTEINBERG)
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 4), np.uint8)  # ARGB
    palette[:, 0] = 255
    palette[: len(colours), 1:] = colours
    return av.VideoFrame.from_ndarray((np.asarray(image), palette), format="pal8")


def _insert_comments(file: Path, metadata: Mapping[str, str]) -> None:
    """Put the texts into a GIF as comments: FFmpeg reads them but writes none. Of several it keeps the last."""
    texts = [text.encode() for name, text in sorted(metadata.items(), key=lambda item: item[0] == "comment")]
    with open(file, "r+b") as film, tempfile.TemporaryFile(dir=file.parent) as rest:
        header = film.read(13)
        colours = 3 << ((header[10] & 7) + 1) if header[10] & 128 else 0
        film.seek(13 + colours)
        here = film.tell()
        shutil.copyfileobj(film, rest)
        film.seek(here)
        for text in texts:
            blocks = [text[i : i + 255] for i in range(0, len(text), 255)]
            film.write(b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00")
        rest.seek(0)
        shutil.copyfileobj(rest, film)
