"""Films from outside, through PyAV: frame by frame, so that a film's length costs no memory, and as strangers' files.

Only containers and decoders that play nothing but the file itself are let in:
others of FFmpeg's fetch from the network, or read whatever file a playlist names.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from studio.errors import VideoError
from studio.raster.opening import Picture
from studio.raster.pixels import turn_upright

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif")
MAX_PIXELS = 36_000_000  # a frame; 8K has 33 million
MAX_FRAMES = 1_000_000  # nine hours at 30 a second
MAX_SECONDS = 24 * 3600
USUAL_RATE = Fraction(25)  # of a film that does not tell

_VIDEO = (
    "h264 hevc vp8 vp9 av1 libdav1d libvpx libvpx-vp9 mpeg4 msmpeg4 msmpeg4v2 h263 mpeg1video mpeg2video mjpeg prores "
    "dnxhd gif png rawvideo ffv1"
).split()
_SOUND = (
    "aac mp3 mp3float ac3 eac3 alac flac opus libopus vorbis libvorbis amrnb amrwb pcm_s16le pcm_s16be pcm_s24le "
    "pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_u8 pcm_mulaw pcm_alaw"
).split()
_OPTIONS = {
    "format_whitelist": "mov,matroska,avi,gif",
    "codec_whitelist": ",".join(_VIDEO + _SOUND),
    "protocol_whitelist": "file",
}
_MATRICES = {  # of H.273, as swscale calls them; all others are BT.601
    1: Colorspace.ITU709, 4: Colorspace.FCC, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020,
}
_UNSPECIFIED = 2
_HDR = (16, 18)  # the transfer functions PQ and HLG
_HD = (1280, 576)  # players take what is wider or higher, and does not name its matrix, for HD
# Without these, pixels take the colour sample that is nearest, which makes stairs of coloured edges.
_FILTER = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
_ORIENTATIONS = {  # the signs of a display matrix, and EXIF's number for it
    (1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8,
}


@dataclass(frozen=True)
class Footage:
    """What a film's file holds."""

    path: Path
    size: tuple[int, int]  # height and width of its frames, upright
    frames: int  # as many as are in the file; those of a damaged one may not all be decodable
    lacking_s: float  # how much less there is than the header says
    rate: Fraction  # frames a second, on average
    time_base: Fraction  # s; the unit of its frames' times
    start: Fraction  # s; when the film begins, from where its frames' times count
    last: int  # how long the last frame shows
    aspect: Fraction  # width of a pixel by its height
    tracks: int  # of sound
    subtitles: int
    transparent: bool
    hdr: bool


@dataclass(frozen=True, eq=False)
class Frame:
    pixels: np.ndarray  # [H, W, 3] uint8, upright, over white
    time: int  # when it shows, in units of the footage's time_base
    duration: int  # for how long; at least 1


def survey(path: Path) -> Footage:
    """Look through a film, without decoding more than its first frame.

    Raises VideoError for a file that is no film, has no picture, or is larger or longer than allowed.
    """
    with opened(path) as film:
        stream = picture_stream(film, path)
        sounds = list(film.streams.audio)
        count, first, last, duration, end_s = 0, None, None, 0, Fraction(0)
        for packet in packets(film, stream, *sounds):
            at = packet.dts if packet.pts is None else packet.pts
            if packet.is_discard or at is None:
                continue
            end_s = max(end_s, (at + (packet.duration or 0)) * packet.time_base)
            if packet.stream.type == "video":
                count += 1
                if count > MAX_FRAMES:
                    raise VideoError(f"{path} has more than {MAX_FRAMES:,} frames; cut it into shorter films")
                first = at if first is None else min(first, at)
                if last is None or at > last:
                    last, duration = at, packet.duration or 0
        if last is None:
            raise _undecodable(path)
        start = max(Fraction(film.start_time or 0, av.time_base), Fraction(0))
        seconds = (last + duration - first) * stream.time_base
        if seconds > MAX_SECONDS:
            raise VideoError(
                f"{path} lasts {float(seconds) / 3600:.1f} hours, over the limit of {MAX_SECONDS // 3600}; cut it"
            )
        rate = _rate(count, seconds, stream.average_rate)
        promised_s = Fraction(film.duration or 0, av.time_base)
        # a frame or two of sound more or less is no damage
        lacking_s = promised_s - (end_s - start)
        lacking_s = float(lacking_s) if lacking_s > max(Fraction(1, 2), promised_s / 100) else 0.0
        duration = _last_duration(duration, first, last, count, stream.duration)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        time_base, subtitles = stream.time_base, len(film.streams.subtitles)
    frame, orientation = _first_frame(path)
    pixels = turn_upright(_Converter().pixels(frame, frame.height, frame.width), orientation)
    return Footage(
        path=path, size=pixels.shape[:2], frames=count, lacking_s=lacking_s, rate=rate, time_base=time_base,
        start=start, last=duration or max(round(1 / (rate * time_base)), 1),
        aspect=1 / aspect if orientation > 4 else aspect,
        tracks=len(sounds), subtitles=subtitles, transparent=_has_alpha(frame) and bool((_alpha(frame) < 255).any()),
        hdr=frame.color_trc in _HDR,
    )


class Reading:
    """A film's frames, in order, once. Afterwards `lost` says how many parts of the file could not be decoded.

    Raises VideoError if not one can. A frame of another size than the first is scaled to that.
    """

    def __init__(self, footage: Footage, from_s: float = 0.0) -> None:
        self.footage, self.from_s = footage, from_s
        self.lost = 0

    def __iter__(self) -> Iterator[Frame]:
        """Frames that show at `from_s` or later."""
        footage = self.footage
        held: Frame | None = None
        for pixels, time in self._decoded():
            if held is not None and time is None:
                time = held.time + held.duration
            # how long a frame shows is when the next one does: what files say beside that is often wrong
            if held is not None:
                time = max(time, held.time + 1)
                if time * footage.time_base > self.from_s:
                    yield Frame(held.pixels, held.time, time - held.time)
            held = Frame(pixels, time or 0, footage.last)
        if held is None:
            raise _undecodable(footage.path)
        yield held

    def _decoded(self) -> Iterator[tuple[np.ndarray, int | None]]:
        footage, convert, orientation = self.footage, _Converter(), None
        start = round(footage.start / footage.time_base)
        with opened(footage.path) as film:
            stream = picture_stream(film, footage.path)
            if self.from_s > 0:
                with contextlib.suppress(av.FFmpegError):  # a GIF is read from its beginning
                    film.seek(start + int(self.from_s / footage.time_base), stream=stream)
            for frame in self._frames(film, stream):
                if orientation is None:
                    orientation = _orientation(frame)
                    height, width = footage.size[::-1] if orientation > 4 else footage.size
                time = None if frame.pts is None else frame.pts - start
                yield turn_upright(convert.pixels(frame, height, width), orientation), time

    def _frames(self, film: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        for packet in packets(film, stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self.lost += 1
        with contextlib.suppress(av.FFmpegError):  # what the decoder holds back, if reading ended early
            yield from stream.decode(None)


def film_frame(path: Path, at_s: float = 0.0) -> Picture:
    """The picture that a film shows at a time from its start; the last one after its end. Raises VideoError."""
    frame = next(iter(Reading(survey(path), max(at_s, 0.0))))
    return Picture(frame.pixels, "", 8, b"", b"")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A film's file, to be read. Raises VideoError."""
    if path.is_dir():
        raise VideoError(f"{path} is a folder; give one film")
    if not path.is_file():  # a pipe or device would never end
        raise VideoError(f"there is no film {path}; check the name")
    try:
        film = av.open(f"file:{path.resolve()}", options=dict(_OPTIONS), metadata_errors="replace")
    except PermissionError as error:
        raise VideoError(f"{path} cannot be read (no permission); give yourself the right to read it") from error
    except av.FFmpegError as error:
        kinds = ", ".join(SUFFIXES)
        reason = f"{path} is no film of {kinds}, or it is damaged or cut short ({error.strerror})"
        raise VideoError(f"{reason}; copy it again or convert it to .mp4") from error
    with film:
        yield film


def picture_stream(film: InputContainer, path: Path) -> VideoStream:
    """The first stream of moving pictures, its decoder told its limit. Raises VideoError."""
    for stream in film.streams.video:
        if stream.disposition & Disposition.attached_pic:  # the cover of a record
            continue
        context = stream.codec_context
        if context is None or context.name not in _VIDEO or not stream.time_base:
            what = "of an unknown kind" if context is None else f"coded as {context.name}"
            raise VideoError(f"the pictures of {path} are {what}, which is not read here; convert it to .mp4")
        if context.width * context.height > MAX_PIXELS:
            raise _too_large(path, context.width, context.height)
        # a frame in the midst may say that it is larger; decoders round sides up to whole blocks
        context.options = {"max_pixels": str(MAX_PIXELS * 5 // 4)}
        return stream
    raise VideoError(f"{path} has no moving pictures; give a film that has")


def packets(film: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """The streams' packets, and for each stream an empty one at its end.

    A damaged file ends where it cannot be read on.
    """
    with contextlib.suppress(av.FFmpegError):
        yield from film.demux(*streams)


def _first_frame(path: Path) -> tuple[av.VideoFrame, int]:
    """A film's first frame and how it is turned."""
    with opened(path) as film:
        stream = picture_stream(film, path)
        for packet in packets(film, stream):
            with contextlib.suppress(av.FFmpegError):
                for frame in packet.decode():
                    return frame, _orientation(frame)
    raise _undecodable(path)


def _orientation(frame: av.VideoFrame) -> int:
    """EXIF's number for how a frame is turned upright: phones write films as their sensor lies."""
    try:
        matrix = np.frombuffer(bytes(frame.side_data[SideDataType.DISPLAYMATRIX]), "<i4")
    except KeyError:
        return 1
    return _ORIENTATIONS.get(tuple(np.sign(matrix[[0, 1, 3, 4]]).tolist()), 1)


class _Converter:
    """From a decoder's frames to RGB."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def pixels(self, frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
        """[height, width, 3] uint8, over white where it is transparent."""
        kind = "rgba" if _has_alpha(frame) else "rgb24"
        matrix = frame.colorspace
        if matrix == _UNSPECIFIED and (frame.width >= _HD[0] or frame.height > _HD[1]):
            matrix = 1
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        turned = self._reformatter.reformat(
            frame, width, height, kind,
            src_colorspace=_MATRICES.get(matrix, Colorspace.ITU601),
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=_FILTER,
        )
        pixels = turned.to_ndarray()
        if kind == "rgb24":
            return pixels
        alpha = pixels[..., 3:].astype(np.uint16)
        return ((pixels[..., :3] * alpha + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)


def _has_alpha(frame: av.VideoFrame) -> bool:
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def _alpha(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgba")[..., 3]


def _rate(count: int, seconds: Fraction, said: Fraction | None) -> Fraction:
    """Frames a second: what the header says, unless its frames tell another story."""
    found = count / seconds if seconds > 0 else None
    if said and (found is None or abs(said / found - 1) < 0.02):
        return said
    return USUAL_RATE if found is None else found.limit_denominator(1001)


def _last_duration(said: int, first: int, last: int, count: int, total: int | None) -> int:
    """How long the last frame shows: to the end of the whole, where that is close to what the frame itself says.

    Packets are timed in the order they are decoded in: the length that the last one tells may be another's.
    """
    rest = first + (total or 0) - last
    usual = (last - first) / max(count - 1, 1)
    return rest if rest > 0 and abs(rest - said) <= 2 * usual else said


def _too_large(path: Path, width: int, height: int) -> VideoError:
    found, most = (f"{pixels / 1e6:.4g}" for pixels in (width * height, MAX_PIXELS))
    return VideoError(
        f"a frame of {path} has {width} x {height} = {found} megapixels, over the limit of {most}; make it smaller"
    )


def _undecodable(path: Path) -> VideoError:
    return VideoError(f"{path} holds no frame that can be decoded; copy it again or convert it to .mp4")
