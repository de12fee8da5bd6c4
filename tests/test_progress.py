import json
from pathlib import Path

import numpy as np
import pytest

from studio.progress import Progress, thin
from studio.runfolder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def tick(step: int, **values: float) -> dict:
    return {"tick": step, "step": step, "kimg": step / 100, "loss": float(step), **values}


def append(run: RunFolder, text: str) -> None:
    with open(run.progress_path, "a", encoding="utf-8") as file:
        file.write(text)


def test_reads_on_from_where_it_was(run: RunFolder) -> None:
    progress = Progress(run)
    assert not progress.read() and progress.latest == {} and progress.names() == []
    run.append_progress(tick(1))
    assert progress.read() and progress.ticks == 1
    assert not progress.read()
    run.append_progress(tick(2, KID=0.5))
    assert progress.read()
    assert progress.series("loss") == ([0.01, 0.02], [1.0, 2.0])
    assert progress.series("KID") == ([0.02], [0.5])
    assert progress.names() == ["loss", "KID"]
    assert progress.latest == tick(2, KID=0.5)


def test_a_line_half_written_waits_for_its_end(run: RunFolder) -> None:
    progress, text = Progress(run), json.dumps(tick(1)) + "\n"
    append(run, text[:10])
    assert not progress.read() and progress.ticks == 0
    append(run, text[10:])
    assert progress.read() and progress.series("loss")[1] == [1.0]


def test_a_line_of_a_killed_trainer_is_left_out(run: RunFolder) -> None:
    progress = Progress(run)
    append(run, '{"tick": 1, "st')
    progress.read()
    run.append_progress(tick(2))
    progress.read()
    assert progress.series("loss")[1] == [2.0]


def test_a_resume_takes_later_ticks_and_warnings_back(run: RunFolder) -> None:
    progress = Progress(run)
    for step in (1, 2, 3, 4):
        run.append_progress(tick(step))
    run.append_progress({"warning": "collapse", "message": "!", "step": 2, "kimg": 0.02})
    run.append_progress({"warning": "overfitting", "message": "!", "step": 4, "kimg": 0.04})
    progress.read()
    assert [line["warning"] for line in progress.warnings] == ["collapse", "overfitting"]
    run.append_progress({"resumed": 2, "changed": {"lr": [0.2, 0.1]}})
    run.append_progress({**tick(3), "loss": 30.0})
    progress.read()
    assert progress.series("loss") == ([0.01, 0.02, 0.03], [1.0, 2.0, 30.0])
    assert [line["warning"] for line in progress.warnings] == ["collapse"]
    assert progress.changes == [(2, {"lr": [0.2, 0.1]})]
    assert progress.ticks == 3 and progress.latest["loss"] == 30.0
    # the same as the run folder itself says, which reads all at once
    assert [line["loss"] for line in run.progress()] == progress.series("loss")[1]


def test_a_file_that_was_cut_or_replaced_is_read_anew(run: RunFolder) -> None:
    progress = Progress(run)
    run.append_progress(tick(1))
    run.append_progress(tick(2))
    progress.read()
    run.progress_path.write_text(json.dumps(tick(7)) + "\n", encoding="utf-8")
    assert progress.read() and progress.series("loss")[1] == [7.0]
    run.progress_path.unlink()
    assert progress.read() and progress.ticks == 0
    assert not progress.read()


@pytest.mark.parametrize(
    "text",
    ["[1]", "nonsense", '{"step": "x", "kimg": 1}', '{"resumed": null}', "1" * 3_000_000, "\x00",
     '{"step": 1e300, "kimg": 1}', '{"step": 1%s, "kimg": 1}' % ("0" * 40), '{"resumed": 9%s}' % ("0" * 400)],
)
def test_lines_of_another_hand_do_no_harm(run: RunFolder, text: str) -> None:
    append(run, text + "\n" + json.dumps(tick(5)) + "\n")
    progress = Progress(run)
    progress.read()
    assert progress.series("loss")[1] == [5.0]


def test_a_hundred_thousand_ticks_become_few_points_and_a_spike_stays(run: RunFolder) -> None:
    lines = [tick(step) | {"loss": step % 7} for step in range(1, 100_001)]
    lines[77_777]["loss"], lines[33_333]["loss"] = 50.0, -50.0
    append(run, "".join(json.dumps(line) + "\n" for line in lines))
    progress = Progress(run)
    progress.read()
    kimg, values = progress.series("loss", 400)
    assert progress.ticks == 100_000 and 300 < len(values) <= 400 and kimg == sorted(kimg)
    assert max(values) == 50.0 and min(values) == -50.0
    assert (kimg[0], kimg[-1]) == (0.01, 1000.0)


def test_a_trend_shows_what_noise_hides(run: RunFolder) -> None:
    lines = [tick(step) | {"loss": step / 1000 + 5 * (-1) ** step} for step in range(1, 1001)]
    append(run, "".join(json.dumps(line) + "\n" for line in lines))
    progress = Progress(run)
    progress.read()
    kimg, means = progress.trend("loss", 10)
    assert kimg == [pytest.approx((100 * i + 50) / 100) for i in range(10)]
    assert means == [pytest.approx(i / 10 + 0.0505) for i in range(10)]
    assert progress.trend("loss", 500)[1] == [pytest.approx(i / 500 + 0.0015) for i in range(500)]
    assert progress.trend("loss", 501) == progress.trend("unknown", 1) == ([], [])


@pytest.mark.parametrize("n", [0, 1, 4, 5, 7, 100, 1001])
@pytest.mark.parametrize("points", [4, 5, 10])
def test_thinning_keeps_ends_and_extremes_within_its_number(n: int, points: int) -> None:
    values = np.sin(np.arange(n) * 1.7)
    places = thin(values, points)
    assert len(places) <= points and sorted(set(places.tolist())) == places.tolist()
    if n:
        assert {0, n - 1} <= set(places.tolist())
        assert values.max() in values[places] and values.min() in values[places]
