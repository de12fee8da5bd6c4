import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import studio.walk
from studio.checkpoint import WEIGHTS
from studio.files import sha256
from studio.provenance import read_film
from studio.walk import WalkSettings
from tests.film import Film, decode

ROOT = Path(__file__).resolve().parents[2]
FAST = ["--seconds", "0.5", "--fps", "8", "--size", "32"]


def steps(film: Film) -> list[float]:
    """How far each frame is from the next, the last from the first."""
    frames = film.frames
    return [float(np.abs(a - b).mean()) for a, b in zip(frames, frames[1:] + frames[:1])]


@pytest.mark.parametrize("suffix, codec", [(".mp4", "h264"), (".webm", "vp9"), (".gif", "gif")])
def test_a_film(cli: Callable, models: Path, suffix: str, codec: str) -> None:
    path = Path("new/films") / f"walk{suffix}"
    options = ["--seconds", "1.21", "--fps", "10", "--psi", "0.5", "--size", "48"]
    answer = cli("walk", "colour", "--seeds", "1,5,9", *options, "--out", path, "--json")
    assert answer.code == 0 and answer.err == ""
    assert set(answer.values) == {"files", "frames", "seconds"}
    assert answer.values["files"] == [str(path)] and answer.values["frames"] == 12 and answer.values["seconds"] > 0
    assert os.listdir("new/films") == [path.name]
    film = decode(path)
    assert len(film.frames) == 12 and film.rate == 10 and film.frames[0].shape == (48, 48, 3) and film.codec == codec
    assert min(steps(film)) > 0.1  # it moves
    made = read_film(film.metadata)
    assert (made.tool, made.model, made.model_sha256) == ("walk", "colour", sha256(models / "colour" / WEIGHTS))
    settings = WalkSettings(model="colour", seeds=(1, 5, 9), seconds=1.21, fps=10, psi=0.5, size=48)
    assert WalkSettings.from_dict(made.settings) == settings
    assert b"AI-generated" in path.read_bytes()


def test_it_passes_through_the_pictures_that_generate_makes(cli: Callable) -> None:
    options = ["--psi", "0.9", "--noise", "none"]
    assert cli("generate", "colour", "--seeds", "1,5,9", *options, "--out", "a").code == 0
    film_options = ["--seconds", "9", "--fps", "1", "--size", "32", "--quality", "100"]
    assert cli("walk", "colour", "--seeds", "1,5,9", *options, *film_options, "--out", "a.gif").code == 0
    frames = decode(Path("a.gif")).frames
    for frame, seed in zip((frames[0], frames[4], frames[8]), (1, 5, 9)):
        key = np.asarray(Image.open(f"a/seed000{seed}.png")).astype(int)
        others = [np.abs(key - frames[i]).mean() for i in (2, 6)]
        assert np.abs(key - frame).mean() < 6 < 2 * 6 < min(others)  # 6: what 256 colours cost


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_loop_has_no_seam(cli: Callable, suffix: str) -> None:
    words = ["walk", "colour", "--seeds", "1,5,9", "--seconds", "2", "--fps", "24", "--size", "64", "--quality", "95"]
    assert cli(*words, "--loop", "--out", f"loop{suffix}").code == 0
    assert cli(*words, "--out", f"open{suffix}").code == 0
    loop, straight = decode(Path(f"loop{suffix}")), decode(Path(f"open{suffix}"))
    assert len(loop.frames) == len(straight.frames) == 48
    seam, beside = steps(loop)[-1], steps(loop)[:3] + steps(loop)[-4:-1]
    assert 0.5 * min(beside) < seam < 1.5 * max(beside)
    assert steps(straight)[-1] > 5 * max(steps(straight)[:-1])
    assert read_film(loop.metadata).settings["loop"] is True


def test_small_models_make_films_of_256_px(cli: Callable) -> None:
    assert cli("walk", "grey", "--seeds", "1,2", "--seconds", "0.2", "--fps", "10", "--out", "a.mp4").code == 0
    film = decode(Path("a.mp4"))
    assert film.frames[0].shape == (256, 256, 3)
    assert all(np.ptp(frame, axis=2).max() <= 2 for frame in film.frames)  # grey stays grey


def test_a_class(cli: Callable) -> None:
    films = []
    for label in ("0", "2"):
        assert cli("walk", "classes", "--seeds", "1,2", *FAST, "--label", label, "--out", f"{label}.mp4").code == 0
        films.append(decode(Path(f"{label}.mp4")).frames[0])
    assert np.abs(films[0] - films[1]).mean() > 1


def test_better_quality_takes_more_bytes(cli: Callable) -> None:
    sizes = []
    for quality in ("1", "70", "100"):
        words = ["walk", "colour", "--seeds", "1,2", *FAST, "--quality", quality]
        assert cli(*words, "--out", f"{quality}.mp4").code == 0
        sizes.append(os.path.getsize(f"{quality}.mp4"))
    assert sizes == sorted(set(sizes))


def test_for_people_and_from_a_folder(cli: Callable, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "grey", tmp_path / "elsewhere" / "mine")
    answer = cli("walk", tmp_path / "elsewhere" / "mine", "--seeds", "1-3", *FAST, "--out", "a.mp4")
    assert answer.out.startswith("wrote a.mp4: 4 frames in ") and answer.out.count("\n") == 1
    made = read_film(decode(Path("a.mp4")).metadata)
    assert made.model == made.settings["model"] == "mine"
    assert str(tmp_path).encode() not in Path("a.mp4").read_bytes()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["nobody"], "no model named 'nobody'; installed: classes, colour, grey"),
        (["grey", "--seeds", "4"], "seeds has 1 values; a walk passes through 2..1000"),
        (["grey", "--seeds", "0-1000"], "seeds='0-1000' are more than 1000, the most at once; ask for fewer"),
        (["grey", "--seeds", "1,x"], "seeds='x' is no seed and no range of seeds; write them like 0-15,20"),
        (["grey", "--seconds", "0"], "seconds=0.0 is outside 0.1..600 s (length of the film)"),
        (
            ["grey", "--seconds", "nan"],
            "seconds=nan is not a finite number; give a number in 0.1..600 s (length of the film)",
        ),
        (["grey", "--fps", "121"], "fps=121.0 is outside 1..120 (frames a second)"),
        (["grey", "--fps", "60", "--out", "a.gif"], "fps=60 is faster than the 50 of a GIF; lower it or choose .mp4"),
        (["grey", "--size", "99"], "size=99 is odd, which films cannot be; choose 98 or 100"),
        (["grey", "--quality", "0"], "quality=0 is outside 1..100 (of mp4 and webm, 100 best)"),
        (["grey", "--quality", "101"], "quality=101 is outside 1..100 (of mp4 and webm, 100 best)"),
        (["grey", "--noise", "random"], "noise='random' is not one of const, none"),
        (["classes", "--label", "3"], "label=3 is outside 0..2, the classes of 'classes'; choose one of these"),
        (["grey", "--label", "1"], "label=1 is given, and 'grey' has no classes; leave the label out"),
        (["grey", "--out", "a.avi"], "'a.avi' is no name for a film; let it end in .mp4, .webm, .gif"),
        (["grey", "--out", "."], "'' is no name for a film; let it end in .mp4, .webm, .gif"),
        (
            ["grey", "--device", "cuda:99"],
            "this machine has no device 'cuda:99'; use --device cpu, or auto to let the studio choose",
        ),
    ],
)
def test_bad_input(cli: Callable, words: list[str], sentence: str) -> None:
    words = ["walk", "--seeds", "1,2", "--out", "a.mp4", *words]  # of two flags the later one counts
    assert cli(*words).error == sentence
    assert cli(*words, "--json").values == {"error": sentence}
    assert os.listdir() == []


def test_places_that_no_film_can_take(cli: Callable) -> None:
    Path("file").touch()
    Path("a.mp4").mkdir()
    words = ["walk", "grey", "--seeds", "1,2", *FAST, "--out"]
    assert cli(*words, "file/a.mp4").error == "file is a file, not a folder; choose another name"
    assert cli(*words, "a.mp4").error == "a.mp4 is a folder; give the name of a file in it"
    assert sorted(os.listdir()) == ["a.mp4", "file"]


def test_an_interrupted_film_leaves_the_old_one(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.mp4").write_bytes(b"the old film")
    calls = []

    def interrupted(picture: object, side: int) -> object:
        calls.append(side)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return picture

    monkeypatch.setattr(studio.walk, "resize", interrupted)
    error = cli("walk", "grey", "--seeds", "1,2", *FAST, "--out", "a.mp4").error
    assert error == "interrupted; finished files stay, nothing unfinished is left"
    assert os.listdir() == ["a.mp4"] and Path("a.mp4").read_bytes() == b"the old film"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for one process")
def test_ctrl_c_in_a_real_process(cli: Callable, tmp_path: Path) -> None:
    out = str(tmp_path / "here" / "a.mp4")
    words = ["walk", "grey", "--seeds", "1,2", "--seconds", "600", "--fps", "120", "--out", out]
    run = subprocess.Popen(
        [sys.executable, "-m", "studio", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 120
        while not os.listdir():  # until the film has begun
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)[1]
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 2 and said == "error: interrupted; finished files stay, nothing unfinished is left\n"
    assert os.listdir() == []
