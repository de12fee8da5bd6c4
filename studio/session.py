"""A treatment as one file: the original's very bytes, every layer, the mask in hand, and the steps that led here.

It is a zip without compression: session.json, original, layers/*.png, masks/*.png. What is read is a stranger's:
names, sizes and counts are checked, pictures come in by the same door as all others, and nothing is unpacked to
the disk.
"""

import dataclasses
import hashlib
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from studio.errors import ImageError, SettingError, StudioError
from studio.files import whole_file
from studio.history import MAX_STEPS, History
from studio.images import encode, open_picture
from studio.layers import MAX_LAYERS, Layer, Treatment
from studio.masks import PackedMask, encode_mask, read_mask
from studio.raster.opening import Picture

SUFFIX = ".atelier"
FORM = 1
MAX_BYTES = 4 << 30  # of a session's file
MAX_JSON_BYTES = 8 << 20
MAX_LAYER_BYTES = 2 << 30  # of all layers of all states, in memory
MAX_PARTS = 8 * MAX_STEPS  # pictures within
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Session:
    """A picture's file as it came, its name, and the treatment's states."""

    name: str
    data: bytes
    history: History[Treatment]
    note: str = ""  # the operator's

    @property
    def sha256(self) -> str:
        """Of the original's file."""
        return hashlib.sha256(self.data).hexdigest()

    def done(self, state: Treatment) -> "Session":
        """A step further. The oldest steps are forgotten where their layers would take too much room.

        Raises SettingError where the state's own would.
        """
        if (size := _layer_bytes([state])) > MAX_LAYER_BYTES:
            found = f"the layers take {size / 1e9:.1f} GB, over the limit of {MAX_LAYER_BYTES / 1e9:.1f}"
            raise SettingError(f"{found}; save the result, and begin anew on it")
        history = self.history.done(state)
        while _layer_bytes(history.states) > MAX_LAYER_BYTES:
            history = dataclasses.replace(history, past=history.past[1:])
        return dataclasses.replace(self, history=history)

    def undo(self) -> "Session":
        return dataclasses.replace(self, history=self.history.undo())

    def redo(self) -> "Session":
        return dataclasses.replace(self, history=self.history.redo())


def begin(name: str, data: bytes) -> Session:
    """A session on a picture's file. Raises ImageError for what is no picture."""
    return Session(name, data, History(Treatment(open_picture(data))))


def save_session(path: Path, session: Session) -> None:
    """Write a session, all or nothing. Raises DiskError; the session at hand and the file before stay as they are."""
    original = session.history.present.original
    layers: dict[str, Layer] = {}
    masks: dict[str, PackedMask] = {}

    def described(state: Treatment) -> dict[str, Any]:
        stack = []
        for layer in state.layers:
            layers[layer.sha256] = layer
            place = {"top": layer.top, "left": layer.left}
            stack.append({"pixels": layer.sha256, **place, "made": dict(layer.made), "hidden": layer.hidden})
        mask = None
        if state.mask is not None:
            mask = hashlib.sha256(repr(state.mask.size).encode() + state.mask.data).hexdigest()
            masks[mask] = state.mask
        return {"layers": stack, "mask": mask}

    history = session.history
    states = [described(state) for state in history.states]
    facts = {
        "form": FORM, "name": session.name, "sha256": session.sha256, "note": session.note, "states": states,
        "present": len(history.past),
    }
    with whole_file(path) as beside, zipfile.ZipFile(beside, "w") as file:  # PNG is compressed already
        file.writestr("session.json", json.dumps(facts, ensure_ascii=False, allow_nan=False))
        file.writestr("original", session.data)
        for name, layer in layers.items():
            picture = dataclasses.replace(original, pixels=layer.pixels, icc=b"", exif=b"")
            file.writestr(f"layers/{name}.png", encode(picture, "PNG"))
        for name, mask in masks.items():
            file.writestr(f"masks/{name}.png", encode_mask(mask.unpack()))


def load_session(source: Path | BinaryIO) -> Session:
    """A session as it was saved. Raises ImageError for a file that is none, is damaged, or was made to do harm."""
    try:
        with zipfile.ZipFile(source) as file:
            return _Reader(file).session()
    except StudioError:
        raise
    except FileNotFoundError:
        raise ImageError(f"there is no session {source}; check the name") from None
    except Exception as error:  # a stranger's zip meets any exception there is
        raise _bad(" ".join(str(error).split())[:80] or type(error).__name__) from error


class _Reader:
    """What is in a session's file, read once each."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        names = [item.filename for item in file.infolist()]
        if len(names) > MAX_PARTS or len(set(names)) < len(names):
            raise _bad(f"it has {len(names)} parts, or one twice; the limit is {MAX_PARTS}")
        if any(item.compress_type != zipfile.ZIP_STORED for item in file.infolist()):
            raise _bad("it is compressed")  # then no part is larger than the file
        if sum(item.file_size for item in file.infolist()) > MAX_BYTES:
            raise _bad(f"it has over {MAX_BYTES >> 30} GiB")
        self.file = file
        self.original: Picture | None = None
        self._pixels: dict[str, Picture] = {}
        self._left_bytes = MAX_LAYER_BYTES
        self._masks: dict[str, PackedMask] = {}

    def session(self) -> Session:
        if self.file.getinfo("session.json").file_size > MAX_JSON_BYTES:
            raise _bad(f"its list is over {MAX_JSON_BYTES >> 20} MiB")
        facts = json.loads(self.file.read("session.json"))
        if facts["form"] != FORM:
            raise ImageError(f"the session has form {facts['form']!r}, this studio reads {FORM}; update it")
        data = self.file.read("original")
        if hashlib.sha256(data).hexdigest() != facts["sha256"]:
            raise _bad("its original is not the one that it names")
        self.original = open_picture(data)
        states = [self._state(state) for state in facts["states"]]
        at = facts["present"]
        if type(at) is not int or not 0 <= at < len(states) <= 2 * MAX_STEPS + 1:
            raise _bad("its steps cannot be counted")
        history = History(states[at], tuple(states[:at]), tuple(states[at + 1 :]))
        return Session(_text(facts["name"], 255), data, history, _text(facts["note"], 10_000))

    def _state(self, state: dict[str, Any]) -> Treatment:
        if len(state["layers"]) > MAX_LAYERS:
            raise _bad(f"it has over {MAX_LAYERS} layers")
        layers = tuple(self._layer(**layer) for layer in state["layers"])
        mask = None if state["mask"] is None else self._mask(state["mask"])
        return Treatment(self.original, layers, mask)

    def _layer(self, pixels: str, top: int, left: int, made: dict[str, Any], hidden: bool) -> Layer:
        if pixels not in self._pixels:
            self._pixels[pixels] = self._open_layer(self._part("layers", pixels))
        shape, whole = self._pixels[pixels].pixels.shape, self.original.pixels.shape
        if type(top) is not int or type(left) is not int or type(hidden) is not bool or not isinstance(made, dict):
            raise _bad("a layer is not described")
        fits = 0 <= top <= whole[0] - shape[0] and 0 <= left <= whole[1] - shape[1]
        alike = (shape[2], self._pixels[pixels].pixels.dtype) == (
            2 if whole[2] < 3 else 4, self.original.pixels.dtype
        )
        layer = Layer(top, left, self._pixels[pixels].pixels, made, hidden)
        if not fits or not alike or layer.sha256 != pixels:
            raise _bad("a layer does not fit its picture")
        return layer

    def _mask(self, name: str) -> PackedMask:
        if name not in self._masks:
            self._masks[name] = PackedMask.of(read_mask(self._part("masks", name), self.original.size).mask)
        return self._masks[name]

    def _open_layer(self, data: bytes) -> Picture:
        channels = 2 if self.original.pixels.shape[2] < 3 else 4
        most = self._left_bytes // (channels * self.original.pixels.itemsize)
        picture = open_picture(data, max_pixels=min(most, self.original.size[0] * self.original.size[1]))
        self._left_bytes -= picture.pixels.nbytes
        return picture

    def _part(self, folder: str, name: str) -> bytes:
        if not _HASH.fullmatch(name):
            raise _bad("a part has no proper name")
        return self.file.read(f"{folder}/{name}.png")


def _layer_bytes(states: Iterable[Treatment]) -> int:
    return sum({id(layer.pixels): layer.pixels.nbytes for state in states for layer in state.layers}.values())


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise _bad(f"a text is missing or over {most} characters")
    return value


def _bad(why: str) -> ImageError:
    return ImageError(f"the session cannot be opened ({why}); take a file that was saved here, as it was saved")
