from pathlib import Path

import pytest

from studio.errors import RunError
from studio.runfolder import RunFolder
from studio.timeline import sample_at, timeline


def test_samples_come_in_the_order_of_training(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert timeline(run) == []
    run.samples.mkdir()
    for name in ("10000.000.jpg", "0000.000.jpg", "0004.096.jpg", ".0001.000.jpg.tmp", "notes.txt", "0002.000.png"):
        (run.samples / name).write_bytes(b"")
    assert [sample.kimg for sample in timeline(run)] == [0.0, 4.096, 10000.0]
    assert sample_at(run, -1).path.name == "10000.000.jpg"
    assert sample_at(run, 1).kimg == 4.096


def test_a_place_outside_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "ink")
    with pytest.raises(RunError, match="ink has drawn no sample yet"):
        sample_at(run, 0)
    run.samples.mkdir(parents=True)
    (run.samples / "0000.000.jpg").write_bytes(b"")
    with pytest.raises(RunError, match=r"sample 1 is outside 0\.\.0"):
        sample_at(run, 1)
