import errno
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import studio.session
from studio.errors import DiskError, ImageError, SettingError
from studio.images import encode
from studio.restore import Restorer, RestoreSettings
from studio.session import Session, begin, load_session, save_session
from tests.tiny_restore import TinyEngine
from tests.tiny_style import blobs, picture


def treated(dtype: type = np.uint8, channels: int = 3) -> Session:
    """Two fills, one of which was taken back, and a mask in hand."""
    session = begin("old.png", encode(picture(blobs(60, 70, dtype=dtype, channels=channels)), "PNG"))
    photo = session.history.present.original
    mask = np.zeros((60, 70), bool)
    mask[20:23, 5:60] = True
    session = session.done(session.history.present.with_mask(mask))
    for part in (mask, np.roll(mask, 20, axis=0)):
        layer = Restorer(TinyEngine()).fill(photo, part, RestoreSettings(method="ns"))
        session = session.done(session.history.present.with_layer(layer))
    return session.undo()


def packed(change: Callable[[dict], object], session: Session | None = None, parts: dict | None = None) -> io.BytesIO:
    """A session's file whose list was changed by a stranger, and some of its parts."""
    path = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "s.atelier"
        save_session(saved, session or treated())
        with zipfile.ZipFile(saved) as before, zipfile.ZipFile(path, "w") as after:
            for name in before.namelist():
                data = before.read(name)
                if name == "session.json":
                    facts = json.loads(data)
                    change(facts)
                    data = json.dumps(facts).encode()
                after.writestr(name, (parts or {}).get(name, data))
    path.seek(0)
    return path


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint16, 3), (np.uint16, 2), (np.uint8, 1)])
def test_every_state_comes_back_equal(tmp_path: Path, dtype: type, channels: int) -> None:
    session = treated(dtype, channels)
    save_session(tmp_path / "a.atelier", session)
    again = load_session(tmp_path / "a.atelier")
    assert [s.sha256 for s in again.history.states] == [s.sha256 for s in session.history.states]
    assert len(again.history.past) == 2 and len(again.history.future) == 1
    assert again.history.present.sha256 == session.history.present.sha256
    assert (again.data, again.name, again.sha256) == (session.data, "old.png", session.sha256)
    first, second = (s.redo().history.present.flatten().pixels for s in (session, again))
    assert np.array_equal(first, second)
    assert again.history.present.layers[0].made == session.history.present.layers[0].made


def test_undo_returns_to_equal_states() -> None:
    session = treated().redo()
    seen = [session.history.present.sha256]
    for _ in range(3):
        session = session.undo()
        seen.append(session.history.present.sha256)
    assert len(set(seen)) == 4
    for expected in reversed(seen[:-1]):
        session = session.redo()
        assert session.history.present.sha256 == expected


def test_a_full_disk_leaves_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, session = tmp_path / "a.atelier", treated()
    save_session(path, session)
    before = path.read_bytes()

    def full(self: zipfile.ZipFile, *words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(DiskError, match="is full; free some space"):
        save_session(path, session.undo())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_layers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    session = treated().redo()
    one = session.history.present.layers[0].pixels.nbytes
    monkeypatch.setattr(studio.session, "MAX_LAYER_BYTES", 2 * one + 5000)
    photo, diagonal = session.history.present.original, np.eye(60, 70, dtype=bool)
    extra = Restorer(TinyEngine()).fill(photo, diagonal, RestoreSettings(method="ns"))
    with pytest.raises(SettingError, match=r"over the limit of .*; save the result, and begin anew"):
        session.done(session.history.present.with_layer(extra))


def set_(*path: object) -> Callable[[dict], None]:
    *way, last, value = path

    def change(facts: dict) -> None:
        for step in way:
            facts = facts[step]
        facts[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_("form", 2),
        set_("sha256", "0" * 64),
        set_("present", 99),
        set_("present", -1),
        set_("present", True),
        set_("name", "x" * 300),
        set_("states", 2, "layers", 0, "top", 59),
        set_("states", 2, "layers", 0, "left", -1),
        set_("states", 2, "layers", 0, "top", 1.5),
        set_("states", 2, "layers", 0, "pixels", "../../etc/passwd"),
        set_("states", 2, "layers", 0, "pixels", "0" * 64),
        set_("states", 2, "layers", 0, "made", "text"),
        set_("states", 2, "mask", "0" * 64),
        set_("states", 2, "layers", 0, "extra", 1),
        set_("states", None),
    ],
)
def test_what_a_stranger_changed_is_refused(change: Callable[[dict], None]) -> None:
    with pytest.raises(ImageError, match=r"^the session (cannot be opened|has form)"):
        load_session(packed(change))


def test_a_layer_that_is_no_longer_what_it_was_is_refused() -> None:
    session = treated()
    layer = session.history.present.layers[0]
    name = f"layers/{layer.sha256}.png"
    other = encode(picture(np.zeros_like(layer.pixels)), "PNG")
    with pytest.raises(ImageError, match="a layer does not fit its picture"):
        load_session(packed(lambda facts: None, session, {name: other}))
    bomb = encode(picture(np.zeros((4000, 4000, 4), np.uint8)), "PNG")
    with pytest.raises(ImageError, match="megapixels"):
        load_session(packed(lambda facts: None, session, {name: bomb}))


def test_compressed_parts_and_what_is_no_session_are_refused(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("session.json", b" " * 10_000_000)
    with pytest.raises(ImageError, match=r"^the session cannot be opened \(it is compressed\); take a file"):
        load_session(bomb)
    for source in (io.BytesIO(b"no zip"), io.BytesIO(b"")):
        with pytest.raises(ImageError, match="^the session cannot be opened"):
            load_session(source)
    with pytest.raises(ImageError, match=r"^there is no session .*none.atelier; check the name$"):
        load_session(tmp_path / "none.atelier")
