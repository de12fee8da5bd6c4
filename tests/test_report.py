import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import DiskError
from studio.layers import Treatment, pixels_sha256
from studio.report import compare, facts, page, write_report
from studio.restore import Restorer, RestoreSettings
from tests.tiny_restore import TinyEngine
from tests.tiny_style import blobs, picture

FILES = {"original": {"name": "old.tif", "sha256": "1" * 64}, "result": {"name": "out.tif", "sha256": "2" * 64}}
WHEN = datetime(2025, 1, 31, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def treatment() -> Treatment:
    mask = np.zeros((60, 80), bool)
    mask[20:22, 10:50], mask[40:45, 60:65] = True, True
    photo = picture(blobs(60, 80, dtype=np.uint16), icc=b"profile", dpi=(300, 300))
    return Treatment(photo).with_layer(Restorer(TinyEngine()).fill(photo, mask, RestoreSettings(method="ns")))


def test_every_figure(treatment: Treatment) -> None:
    result = treatment.flatten()
    values, changes = facts(treatment, result, files=FILES, note="varnish left", date=WHEN)
    assert values["date"] == "2025-01-31T12:00:00Z" and values["note"] == "varnish left"
    assert values["mask"] == {"area_px": 105, "area_share": 105 / 4800, "pieces": 2, "widest_px": 5}
    assert values["changed"] == {"inside_px": int(changes.inside.sum()), "outside_px": 0}
    assert 100 <= values["changed"]["inside_px"] <= 105
    assert values["original"]["sha256"] == "1" * 64 and values["result"]["name"] == "out.tif"
    hashes = [values[which]["pixels_sha256"] for which in ("original", "result")]
    assert hashes == [pixels_sha256(treatment.original), pixels_sha256(result)] and hashes[0] != hashes[1]
    assert values["original"]["bits"] == 16 and values["original"]["resolution"] == "300.0 x 300.0 dpi"
    assert all(values["kept"].values())
    assert values["layers"][0]["method"] == "ns" and values["layers"][0]["sha256"] == treatment.layers[0].sha256


def test_a_pixel_outside_the_mask_is_found_and_shown(treatment: Treatment) -> None:
    result = dataclasses.replace(treatment.flatten(), icc=b"")
    result.pixels[3, 4, 1] ^= 1
    values, changes = facts(treatment, result, files=FILES)
    assert values["changed"]["outside_px"] == 1 and np.argwhere(changes.outside).tolist() == [[3, 4]]
    assert changes.map[3, 4].tolist() == [200, 30, 30] and changes.map[0, 0].tolist() == [232, 230, 225]
    assert not values["kept"]["icc"]
    assert "1 pixels outside the mask differ." in page(values, {})
    result.pixels[3, 4, 1] ^= 1
    good = page(facts(treatment, result, files=FILES)[0], {})
    assert "No pixel outside the mask was changed." in good


def test_a_result_of_another_depth_differs_everywhere(treatment: Treatment) -> None:
    shallow = picture((treatment.flatten().pixels >> 8).astype(np.uint8))
    assert compare(treatment.original, shallow, treatment.filled()).outside.sum() == 4800 - 105


def test_the_folder_holds_page_json_mask_and_map(treatment: Treatment, tmp_path: Path) -> None:
    folder, result = tmp_path / "deep" / "report", treatment.flatten()
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("stays")
    values, changes = facts(treatment, result, files=FILES)
    write_report(folder, treatment, result, values, changes)
    assert json.loads((folder / "report.json").read_text()) == values
    assert np.array_equal(np.array(Image.open(folder / "mask.png")) > 0, treatment.filled())
    changed = np.array(Image.open(folder / "changed.png"))
    assert np.array_equal((changed == (22, 96, 160)).all(axis=2), changes.inside)
    text = (folder / "report.html").read_text()
    assert text.count("<img src=\"data:image/") == 3 and "http" not in text.replace("http-equiv", "")
    assert sorted(path.name for path in folder.iterdir()) == [
        "changed.png", "mask.png", "mine.txt", "report.html", "report.json"
    ]


def test_what_people_write_is_no_html(treatment: Treatment) -> None:
    files = {**FILES, "original": {"name": "<script>alert(1)</script>.png", "sha256": "1" * 64}}
    values, _ = facts(treatment, treatment.flatten(), files=files, note="<img src=x onerror=alert(1)>")
    text = page(values, {})
    assert "<script" not in text and "<img" not in text and "&lt;img src=x" in text


def test_a_folder_that_is_a_file(treatment: Treatment, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    values, changes = facts(treatment, treatment.original, files=FILES)
    with pytest.raises(DiskError):
        write_report(tmp_path / "report", treatment, treatment.original, values, changes)
