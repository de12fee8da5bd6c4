from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import Cancelled, RunError, VideoError
from studio.provenance import read_film
from studio.runfolder import RunFolder
from studio.trainfilm import TrainFilm, film_training
from tests.film import decode

SHORT = TrainFilm(seconds=1.0, hold=0.5, fps=8, caption=False)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Black, grey and white samples of 32 px."""
    run = RunFolder(tmp_path / "ink")
    run.samples.mkdir(parents=True)
    for kimg, level in ((0, 0), (2, 128), (4, 255)):
        Image.new("L", (32, 32), level).save(run.samples / f"{kimg:08.3f}.jpg", quality=95)
    return run


def levels(path: Path) -> list[float]:
    return [float(frame.mean()) for frame in decode(path).frames]


def test_goes_from_the_first_sample_to_the_latest_and_stays_there(run: RunFolder, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    out = tmp_path / "film.mp4"
    count = film_training(run, out, SHORT, progress=lambda done, total: heard.append((done, total)))
    found = levels(out)
    assert count == len(found) == 12 and heard == [(i, 12) for i in range(1, 13)]
    assert found == sorted(found) and len({round(level) for level in found[:8]}) == 8  # faded
    assert found[0] < 3 and min(found[7:]) > 252


def test_without_fading_every_frame_is_a_sample(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    film_training(run, out, SHORT.replace(fade=False))
    assert all(min(abs(level - near) for near in (0, 128, 255)) < 3 for level in levels(out))


def test_says_the_kimg_below_the_picture(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    film_training(run, out, SHORT.replace(caption=True, fade=False, hold=0.0))
    frames = decode(out).frames
    height, width = frames[0].shape[:2]
    assert width == 512 and height > width  # small grids are enlarged by whole numbers, and a strip is below
    first, last = (np.asarray(frame)[width:].astype(int) for frame in (frames[0], frames[-1]))
    assert first.max() > 200 and np.abs(first - last).max() > 100  # 0.0 and 4.0


def test_a_spoiled_sample_is_passed_over(run: RunFolder, tmp_path: Path) -> None:
    (run.samples / "0002.000.jpg").write_bytes(b"cut short")
    assert film_training(run, tmp_path / "film.mp4", SHORT) == 12


def test_the_film_says_what_made_it(run: RunFolder, tmp_path: Path) -> None:
    film_training(run, tmp_path / "film.mp4", SHORT)
    made = read_film(decode(tmp_path / "film.mp4").metadata)
    assert made is not None and (made.tool, made.model, made.settings["kimg"]) == ("train", "ink", 4.0)


def test_what_is_cancelled_leaves_nothing(run: RunFolder, tmp_path: Path) -> None:
    asked: list[int] = []
    with pytest.raises(Cancelled):
        film_training(run, tmp_path / "film.mp4", SHORT, cancelled=lambda: len(asked) > 3 or bool(asked.append(1)))
    assert [path.name for path in tmp_path.iterdir()] == ["ink"]


def test_refusals(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="'film.txt' is no name for a film"):
        film_training(run, tmp_path / "film.txt")
    for kimg in (2, 4):
        (run.samples / f"{kimg:08.3f}.jpg").unlink()
    with pytest.raises(RunError, match="ink has drawn 1 samples, and a film needs 2"):
        film_training(run, tmp_path / "film.mp4")
