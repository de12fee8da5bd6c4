"""A page's steps as a session's file, and such a file as steps: pictures on the desk, and settings that name them."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.errors import SettingError, StudioError
from studio.history import History
from studio.layers import Layer, Treatment
from studio.masks import PackedMask, encode_mask
from studio.session import Session, load_session, save_session
from studio.ui.components.live import Answer
from studio.ui.desks import Desks, Kept
from studio.ui.handlers.restore_controls import RestoreControls
from studio.ui.handlers.restore_files import encode_layer, open_original, read_layer, read_mask_of
from studio.ui.shelf import called

MOST_BEFORE, MOST_AFTER = 50, 50  # steps


@dataclass(frozen=True)
class Steps:
    """The settings of each step, and which of them is the present one."""

    states: tuple[RestoreControls, ...] = ()
    present: int = 0

    @classmethod
    def read(cls, data: Any, present: RestoreControls) -> "Steps":
        """Of a page's {past, future}: those of the same picture, each unlike the one before. Raises SettingError."""
        past, future = (data.get(key) for key in ("past", "future")) if isinstance(data, Mapping) else (None, None)
        if not isinstance(past, list) or not isinstance(future, list):
            raise SettingError("the steps are no lists of settings; reload the page")
        before = _distinct([RestoreControls.from_dict(state) for state in past[-MOST_BEFORE:]], present)
        after = _distinct([RestoreControls.from_dict(state) for state in future[:MOST_AFTER]], present)
        while before and _look(before[-1]) == _look(present):
            before.pop()
        while after and _look(after[0]) == _look(present):
            after.pop(0)
        return cls((*before, present, *after), len(before))


def _distinct(states: list[RestoreControls], present: RestoreControls) -> list[RestoreControls]:
    found: list[RestoreControls] = []
    for state in states:
        if state.work == present.work and not (found and _look(found[-1]) == _look(state)):
            found.append(state)
    return found


def _look(state: RestoreControls) -> tuple[object, ...]:
    return state.mask, state.layers, state.hidden


def save_steps(desks: Desks, desk: str, steps: Steps, path: Path) -> None:
    """Write a session of every step whose files are there. Raises MissingFile where the present one's are not."""
    present = steps.states[steps.present]
    kept = desks.find(desk, present.work)
    original = open_original(kept)
    layers: dict[str, Layer] = {}

    def treatment(state: RestoreControls) -> Treatment:
        for name in state.stack:
            if name not in layers:
                layers[name] = read_layer(desks.find(desk, name), original)
        stack = tuple(dataclasses.replace(layers[name], hidden=name in state.hidden) for name in state.stack)
        mask = PackedMask.of(read_mask_of(desks, desk, state.mask, original)) if state.mask else None
        return Treatment(original, stack, mask)

    def treatments(states: tuple[RestoreControls, ...]) -> tuple[Treatment, ...]:
        found = []
        for state in states:
            try:
                found.append(treatment(state))
            except StudioError:
                continue  # a step long ago, whose files have made room
        return tuple(found)

    past, future = treatments(steps.states[: steps.present]), treatments(steps.states[steps.present + 1 :])
    history = History(treatment(present), past, future)
    save_session(path, Session(kept.name, kept.path.read_bytes(), history, present.note))


def open_steps(desks: Desks, desk: str, kept: Kept) -> Answer:
    """A session's pictures put on the desk: {kind: session, states: [settings], present, files}.

    Raises ImageError.
    """
    with called(kept) as path:
        session = load_session(path)
    files: dict[str, Kept] = {}

    def put(key: str, data: bytes, name: str) -> str:
        files[key] = desks.write(desk, data, name)
        return files[key].id

    work = put("", session.data, session.name)

    def layer_file(layer: Layer) -> str:
        key = layer.sha256 + json.dumps(dict(layer.made), sort_keys=True)
        return files[key].id if key in files else put(key, encode_layer(layer), "layer.png")

    def mask_file(mask: PackedMask | None) -> str:
        if mask is None:
            return ""
        key = repr(mask)
        return files[key].id if key in files else put(key, encode_mask(mask.unpack()), "mask.png")

    states = []
    for state in session.history.states:
        layers = [layer_file(layer) for layer in state.layers]
        hidden = [name for name, layer in zip(layers, state.layers) if layer.hidden]
        step = {"work": work, "mask": mask_file(state.mask), "layers": layers, "hidden": hidden, "note": session.note}
        states.append(step)
    listed = [{"id": file.id, "name": file.name, "bytes": file.bytes} for file in files.values()]
    facts = {"id": kept.id, "name": kept.name, "kind": "session"}
    return {**facts, "states": states, "present": len(session.history.past), "files": listed}
