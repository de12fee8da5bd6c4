from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import Cancelled, DataError, VideoError
from studio.stills import StillSettings, take_stills
from tests.film_files import make_film, solid


def scene(place: int) -> np.ndarray:
    """A picture like no other: a white bar at its own place, in black."""
    picture = solid(0)
    picture[:, 8 * place : 8 * place + 8] = 255
    return picture


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Eight scenes of a second each, ten frames a second; the last one is the first again."""
    places = [0, 1, 2, 3, 4, 5, 6, 0]
    return make_film(tmp_path / "a film.mp4", [scene(place) for place in places for _ in range(10)], rate=Fraction(10))


def test_takes_a_frame_every_second_and_none_twice(film: Path, tmp_path: Path) -> None:
    before, heard = film.read_bytes(), []
    found = take_stills(film, tmp_path / "out", progress=lambda done, total: heard.append((done, total)))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"a film-{second:09.2f}s.jpg" for second in range(7)]
    assert (found.taken, found.alike, found.complete) == (7, 1, True)
    for place, name in enumerate(names):
        with Image.open(tmp_path / "out" / name) as picture:
            grey = np.asarray(picture.convert("L"))
        assert grey.mean(axis=0).reshape(8, 8).mean(axis=1).argmax() == place
    assert film.read_bytes() == before and heard[-1] == (80, 80)


def test_settings(film: Path, tmp_path: Path) -> None:
    assert take_stills(film, tmp_path / "a", StillSettings(every_s=2.0)).taken == 4
    assert take_stills(film, tmp_path / "b", StillSettings(alike=True)).taken == 8
    few = take_stills(film, tmp_path / "c", StillSettings(most=3))
    assert (few.taken, few.complete) == (3, False)
    # half a second: each scene is seen twice, and taken once
    assert take_stills(film, tmp_path / "d", StillSettings(every_s=0.5)).alike == 9


def size_in(folder: Path) -> tuple[int, int]:
    with Image.open(next(folder.iterdir())) as picture:
        return picture.size


def test_wide_pixels_become_square_and_large_frames_small(tmp_path: Path) -> None:
    wide = make_film(tmp_path / "wide.mp4", [solid(90, 64, 64)], aspect=Fraction(2))
    take_stills(wide, tmp_path / "a")
    assert size_in(tmp_path / "a") == (128, 64)
    large = make_film(tmp_path / "large.mp4", [solid(90, 128, 256)])
    take_stills(large, tmp_path / "b", StillSettings(side=64))
    assert size_in(tmp_path / "b") == (128, 64)


def test_refusals(film: Path, tmp_path: Path) -> None:
    take_stills(film, tmp_path / "out")
    with pytest.raises(DataError, match="holds pictures of 'a film' already"):
        take_stills(film, tmp_path / "out")
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    with pytest.raises(VideoError, match="no film"):
        take_stills(tmp_path / "no.mp4", tmp_path / "x")
    with pytest.raises(Cancelled):
        take_stills(film, tmp_path / "y", cancelled=lambda: True)
