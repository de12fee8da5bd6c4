"""What the train tab's page may ask for, and what a stranger who asks for other things is told."""

import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.errors import DataError, RunError, SettingError, StudioError
from studio.files import write_json
from studio.job import read_job
from studio.library import Library
from studio.runfolder import RunFolder
from studio.ui.handlers import train_runs
from studio.ui.handlers.train import TrainHandlers
from studio.ui.handlers.train_pictures import MAX_ARRIVING
from studio.ui.handlers.train_runs import MOMENTS, POINTS, TREND
from studio.ui.i18n import messages
from studio.ui.services import Services
from studio.ui.tabs import train as tab
from tests.ui.visitor import SECRET, Visitor, opened, photo, save_film
from train.offer import Offer

UPLOAD = "b2" * 16
DCGAN = {"recipe": "dcgan", "settings": {"resolution": 16, "width": 8, "kimg": 2.0}}


@pytest.fixture
def handlers(
    tmp_path: Path, save_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TrainHandlers]:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    save_tiny(tmp_path / "home" / "models" / "tiny")
    services = Services.on(Library((tmp_path / "home" / "models",)), "cpu", trainer=Offer(), paths=True)
    yield TrainHandlers(services)
    services.close()


def gather(handlers: TrainHandlers, files: dict[str, bytes], upload: str = UPLOAD) -> dict[str, Any]:
    texts = {"desk": SECRET, "upload": upload, "name": "flowers", "names": json.dumps(list(files))}
    return handlers.pictures.gather(SimpleNamespace(data=texts, files=[("piece", data) for data in files.values()]))


def gathered(handlers: TrainHandlers, **more: Any) -> dict[str, Any]:
    return handlers.pictures.gathered({"desk": SECRET, "upload": UPLOAD, "name": "flowers", **more})


def bring(handlers: TrainHandlers, files: dict[str, bytes]) -> dict[str, Any]:
    gather(handlers, files)
    return gathered(handlers)["source"]


def flowers(count: int = 4) -> dict[str, bytes]:
    return {f"flowers/{'roses' if i % 2 else 'tulips'}/{i}.png": photo(24, 32, seed=i) for i in range(count)}


def finish(handlers: TrainHandlers, **asked: Any) -> Any:
    """Begin a job, wait for it, and return its result: JSON as values, another file as bytes."""
    report = handlers.work.begin({"desk": SECRET, **asked})
    deadline = time.monotonic() + 60
    while report["state"] in ("waiting", "running") and time.monotonic() < deadline:
        time.sleep(0.02)
        report = handlers.watch({"desk": SECRET, "shown": 0})
    assert report["state"] == "done", report
    content = Visitor(handlers).take(report["file"])
    handlers.stop({"desk": SECRET})
    return json.loads(content) if report["file"]["name"] == "result.json" else content


def make_run(handlers: TrainHandlers, name: str = "night", ticks: int = 3) -> RunFolder:
    """A run as a trainer leaves it, without a model in it."""
    run = RunFolder(handlers.services.jobs.root / name)
    run.samples.mkdir(parents=True)
    settings = {"resolution": 16, "kimg": 8.0}
    write_json(run.config_path, {"version": 1, "recipe": "dcgan", "data": "/far/flowers", "settings": settings})
    write_json(run.path / "dataset.json", {"pictures": 40, "classes": []})
    for i in range(1, ticks + 1):
        line = {"tick": i, "step": 10 * i, "kimg": float(i), "loss_G": 1.0 / i, "images_per_s": 20.0, "eta_s": 60.0}
        run.append_progress(line | {"memory_bytes": 5, "trained_s": 50.0 * i})
        Image.fromarray(np.full((64, 64, 3), 40 * i, np.uint8)).save(run.samples / f"{i:08.3f}.jpg", quality=95)
    run.write_exit("done", "done at 8 kimg", 8.0)
    return run


# ---- pictures


def test_a_dropped_folder_keeps_its_subfolders(handlers: TrainHandlers) -> None:
    files = flowers()
    names = list(files)
    gather(handlers, {name: files[name] for name in names[:3]})
    gather(handlers, {name: files[name] for name in names[3:]} | {"flowers/notes.txt": b"words"})
    assert gathered(handlers) == {"source": {"set": "flowers"}, "skipped": 1}
    root = handlers.pictures.root
    kept = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")}
    assert kept == files
    assert bring(handlers, files) == {"set": "flowers 2"}
    assert [one["name"] for one in handlers.pictures.sets({})["sets"]] == ["flowers 2", "flowers"]


@pytest.mark.parametrize("name", ["../escaped.png", "/etc/escaped.png", "a/../../escaped.png", "C:\\escaped.png"])
def test_no_path_leads_out_of_the_folder(handlers: TrainHandlers, name: str) -> None:
    with pytest.raises(DataError, match="is no path within a folder"):
        gather(handlers, {"flowers/1.png": photo(), name: photo()})
    assert list(handlers.pictures.root.rglob("*.png")) == []
    with pytest.raises(DataError, match="did not arrive; drop them again"):
        gathered(handlers)


def test_what_is_no_folder_of_pictures(handlers: TrainHandlers) -> None:
    gather(handlers, {"flowers/1.png": b"no picture", "flowers/2.txt": b""})
    with pytest.raises(DataError, match="no picture came with it"):
        gathered(handlers)
    assert list(handlers.pictures.root.iterdir()) == []
    with pytest.raises(SettingError, match="did not arrive with their names"):
        handlers.pictures.gather(
            SimpleNamespace(data={"desk": SECRET, "upload": UPLOAD, "names": "[]"}, files=[("a", b"")])
        )
    with pytest.raises(SettingError, match="32 hexadecimal digits"):
        gather(handlers, flowers(), upload="../../x")


def test_a_transfer_that_was_stopped_leaves_nothing(handlers: TrainHandlers) -> None:
    gather(handlers, flowers())
    assert gathered(handlers, stopped=True) == {}
    assert list(handlers.pictures.root.iterdir()) == []
    for i in range(MAX_ARRIVING + 3):
        gather(handlers, flowers(2), upload=f"{i:032x}")
    assert len(list(handlers.pictures.root.iterdir())) == MAX_ARRIVING


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return file.getvalue()


def test_a_zip_is_kept_as_it_is(handlers: TrainHandlers) -> None:
    visitor = Visitor(handlers.pictures)
    packed = zipped(flowers())
    assert visitor.send(packed, "my flowers.zip", "zip")["source"] == {"set": "my flowers.zip"}
    assert (handlers.pictures.root / "my flowers.zip").read_bytes() == packed
    report = finish(handlers, job="look", source={"set": "my flowers.zip"}, resolution=16)
    assert report["classes"] == {"flowers": 4} or report["pictures"] == 4
    with pytest.raises(DataError, match=r"^bad\.zip is not a readable zip"):
        visitor.send(b"PK no zip", "bad.zip", "zip")


def test_a_film_becomes_pictures(handlers: TrainHandlers, tmp_path: Path) -> None:
    content = save_film(tmp_path / "dance.mp4").read_bytes()
    film = Visitor(handlers.pictures).send(content, "dance.mp4", "film")["film"]
    assert (film["name"], film["seconds"]) == ("dance.mp4", 1.0)
    found = finish(handlers, job="frames", file=film["id"], every_s=0.3)
    assert found["source"] == {"set": "dance"}
    taken = len(list((handlers.pictures.root / "dance").iterdir()))
    assert taken + found["skipped"] == 4  # at 0, 0.3, 0.6 and 0.9 s
    with pytest.raises(SettingError, match=r"every_s=0\.0 is outside"):
        handlers.work.begin({"desk": SECRET, "job": "frames", "file": film["id"], "every_s": 0.0})


def test_the_doctor_speaks_with_pictures(handlers: TrainHandlers) -> None:
    same = photo(24, 32, seed=9)
    source = bring(handlers, {**flowers(), "flowers/roses/again.png": same, "flowers/roses/once.png": same})
    report = finish(handlers, job="look", source=source, resolution=32)
    assert (report["pictures"], report["classes"], report["name"]) == (6, {"roses": 4, "tulips": 2}, "flowers")
    findings = {finding["kind"]: finding for finding in report["findings"]}
    assert findings["copies"]["count"] == 1
    assert findings["small"]["grave"] and findings["small"]["count"] == 6
    assert opened(findings["copies"]["thumbs"][0]["picture"]).shape == (24, 32, 3)
    with pytest.raises(SettingError, match="resolution=33 is none of"):
        handlers.work.begin({"desk": SECRET, "job": "look", "source": source, "resolution": 33})


def test_sources_that_are_not_there(handlers: TrainHandlers, tmp_path: Path) -> None:
    look = lambda source: handlers.pictures.path({"source": source})
    with pytest.raises(DataError, match="no pictures called '../models' any more"):
        look({"set": "../models"})
    with pytest.raises(DataError, match="no whole path"):
        look({"path": "pictures"})
    with pytest.raises(SettingError, match="no pictures are chosen"):
        look(None)
    assert look({"path": str(tmp_path)}) == tmp_path


# ---- recipes


def test_the_network_sees_squares(handlers: TrainHandlers) -> None:
    source = bring(handlers, flowers())
    wish = {"recipe": "dcgan", "settings": {"resolution": 16, "augment": "diff"}}
    found = handlers.recipes.preview({"source": source, **wish, "seed": 0})
    assert len(found["names"]) == 4 and found["changes"]
    assert opened(found["cropped"][0]).shape == (16, 16, 3)
    plain = handlers.recipes.preview(
        {"source": source, **wish, "settings": {"resolution": 16, "augment": "none"}, "seed": 0}
    )
    assert not plain["changes"]
    assert plain["cropped"] == found["cropped"]


def test_what_the_doctor_found_goes_with_the_run(handlers: TrainHandlers) -> None:
    source = bring(handlers, flowers())
    handlers.recipes.start({**DCGAN, "source": source, "name": "unseen"})
    finish(handlers, job="look", source=source, resolution=32)
    handlers.recipes.start({**DCGAN, "source": source, "name": "seen"})
    unseen, seen = (handlers.services.jobs.run(name).examined_path for name in ("unseen", "seen"))
    found = json.loads(seen.read_text())
    assert not unseen.exists() and found["resolution"] == 32 and {"widths", "copies", "findings"} <= set(found)


def test_the_command_that_is_shown_is_the_one_that_runs(handlers: TrainHandlers) -> None:
    source = bring(handlers, flowers())
    asked = {**DCGAN, "source": source, "name": "my night"}
    command = handlers.recipes.check(asked)["command"]
    data, run = handlers.pictures.root / "flowers", handlers.services.jobs.root / "my night"
    assert command == (
        f"python -m train dcgan --data {data} --kimg 2.0 --resolution 16 --width 8 --run '{run}' --device cpu"
    )
    assert handlers.recipes.start(asked) == {"run": "my night"}
    assert handlers.services.jobs.command("my night") == command
    with pytest.raises(RunError, match="a run named 'my night' exists"):
        handlers.recipes.start(asked)
    assert "--data PICTURES" in handlers.recipes.check(DCGAN)["command"]


def test_every_setting_has_words_of_the_pages_own(handlers: TrainHandlers) -> None:
    """Those that are missing here the reader would see in English alone."""
    offered = {field["name"] for recipe in handlers.recipes.described() for field in recipe["fields"]}
    offered |= {field["name"] for field in handlers.recipes.watched()}
    assert offered == set(tab.SETTINGS) and len(tab.SETTINGS) == len(offered)
    keys = {f"train.{part}_{name}" for name in tab.SETTINGS for part in ("setting", "about")}
    assert keys <= set(messages("en")) and keys <= set(messages("zh-CN"))
    assert [recipe["name"] for recipe in handlers.recipes.described()] == list(tab.METHODS)
    assert {f"train.method_{name}" for name in tab.METHODS} <= set(messages("zh-CN"))
    labels = {name: messages("en")[f"train.setting_{name}"] for name in tab.SETTINGS}
    assert [name for name, label in labels.items() if "_" in label or label == name] == []


def test_how_pictures_fit_is_seen_and_said(handlers: TrainHandlers) -> None:
    source = bring(handlers, flowers())
    look = lambda fit: handlers.recipes.preview({**DCGAN, "settings": {"fit": fit}, "source": source, "seed": 0})
    seen = {fit: look(fit)["cropped"] for fit in ("crop", "pad", "squeeze")}
    assert len({json.dumps(pictures) for pictures in seen.values()}) == 3
    command = handlers.recipes.check({"recipe": "dcgan", "settings": {"fit": "pad"}, "source": source})["command"]
    assert "--fit pad" in command
    with pytest.raises(SettingError, match="fit='stretch' is not one of crop, pad, squeeze"):
        look("stretch")


@pytest.mark.parametrize("name", ["../escaped", "a/b", "", ".hidden", "con", "x" * 90])
def test_a_runs_name_is_never_a_path(handlers: TrainHandlers, name: str) -> None:
    source = bring(handlers, flowers())
    with pytest.raises(SettingError, match="cannot be a run's name|has no name"):
        handlers.recipes.start({**DCGAN, "source": source, "name": name})
    assert handlers.services.jobs.names() == []


@pytest.mark.parametrize(
    "wish, sentence",
    [
        ({"recipe": "stylgan"}, "no recipe named 'stylgan'; known:"),
        ({"settings": {"resolution": 48}}, "resolution=48 is not one of 16"),
        ({"settings": {"width": "wide"}}, "width='wide' is not a whole number"),
        ({"watching": {"patience": -1}}, "patience=-1 is outside 0..1000"),
        ({"settings": None}, "the settings are a NoneType"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_sentence(
    handlers: TrainHandlers, wish: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StudioError, match=sentence):
        handlers.recipes.check({**DCGAN, **wish})


def test_a_training_may_begin_from_a_run_or_a_model(handlers: TrainHandlers) -> None:
    run = make_run(handlers)
    run.state_path(8).mkdir(parents=True)
    assert handlers.recipes.origins({}) == {"models": ["tiny"], "runs": ["night"]}
    wish = {"recipe": "dcgan", "settings": {"init": "run/night"}}
    assert f"--init {run.path}" in handlers.recipes.check(wish)["command"]
    with pytest.raises(RunError, match="no run named '../models'"):
        handlers.recipes.check({"recipe": "dcgan", "settings": {"init": "run/../models"}})


def test_presets_are_kept_brought_and_deleted(handlers: TrainHandlers) -> None:
    bundled = [preset["name"] for preset in handlers.recipes.presets({})["presets"]]
    assert tab.SMALL in bundled
    assert {name.replace("-", "_") for name in bundled} == set(tab.PRESETS)
    kept = handlers.recipes.save_preset({**DCGAN, "preset": "mine"})
    assert json.loads(kept["file"])["settings"] == {"resolution": 16, "width": 8, "kimg": 2.0}
    own = next(p for p in handlers.recipes.presets({})["presets"] if p["name"] == "mine")
    assert (own["recipe"], own["bundled"]) == ("dcgan", False)
    assert handlers.recipes.read_preset({"file": kept["file"]})["settings"] == own["settings"]
    with pytest.raises(StudioError, match="the file is not valid JSON"):
        handlers.recipes.read_preset({"file": "{"})
    handlers.recipes.delete_preset({"preset": "mine"})
    assert [preset["name"] for preset in handlers.recipes.presets({})["presets"]] == bundled
    with pytest.raises(StudioError):
        handlers.recipes.delete_preset({"preset": tab.SMALL})


def test_a_page_that_may_not_read_folders(handlers: TrainHandlers, tmp_path: Path) -> None:
    services = Services.on(handlers.services.library, "cpu", trainer=Offer())
    closed = TrainHandlers(services)
    with pytest.raises(DataError, match="may not read folders"):
        closed.pictures.path({"source": {"path": str(tmp_path)}})
    with pytest.raises(StudioError, match="no model named"):
        closed.recipes.check({"recipe": "dcgan", "settings": {"init": str(tmp_path)}})
    with pytest.raises(SettingError, match="styles is a folder of this machine"):
        closed.recipes.check({"recipe": "style", "settings": {"styles": str(tmp_path)}})
    make_run(handlers)
    assert closed.runs.follow({"run": "night"})["source"] is None
    services.close()


def test_without_a_trainer_there_is_no_tab(services: Services) -> None:
    assert not tab.shown(services)


# ---- runs


def test_the_list_of_runs(handlers: TrainHandlers) -> None:
    make_run(handlers)
    handlers.services.jobs.submit("waiting", ["dcgan", "--data", "/far", "--kimg", "5"], "cpu")
    waiting, night = handlers.runs.runs({})["runs"]
    assert (waiting["name"], waiting["state"], waiting["place"], waiting["total"]) == ("waiting", "queued", 1, 5.0)
    assert (night["state"], night["total"], night["sample"]) == ("done", 8.0, "3.0")
    assert opened(night["thumb"]).shape == (32, 32, 3)
    again = handlers.runs.runs({"have": {"night": "3.0"}})["runs"][1]
    assert "thumb" not in again


def test_a_run_tells_each_page_what_it_has_not_heard(handlers: TrainHandlers) -> None:
    run = make_run(handlers)
    first = handlers.runs.follow({"run": "night", "have": {}})
    assert (first["recipe"], first["side"], first["total"], first["pictures"]) == ("dcgan", 16, 8.0, 40)
    assert first["series"]["loss_G"] == ([1.0, 2.0, 3.0], [1.0, 0.5, 0.33333])
    assert set(first["series"]) == {"loss_G", "images_per_s"} and first["trends"]["loss_G"] == ([], [])
    assert first["samples"] == [1.0, 2.0, 3.0]
    assert first["settings"] == {"resolution": 16, "kimg": 8.0}
    have = {"ticks": first["stamp"], "samples": first["timeline"], "log": -1}
    again = handlers.runs.follow({"run": "night", "have": have})
    assert not {"series", "samples", "log"} & set(again)
    run.append_progress({"warning": "collapse", "message": "the samples look alike", "step": 30, "kimg": 3.0})
    run.append_progress({"tick": 4, "step": 40, "kimg": 4.0, "loss_G": 2.0})
    third = handlers.runs.follow({"run": "night", "have": have})
    assert third["series"]["loss_G"][1][-1] == 2.0
    assert [warning["warning"] for warning in third["warnings"]] == ["collapse"]
    other = handlers.runs.follow({"run": "night", "have": {}})  # another page, which has nothing yet
    assert len(other["series"]["loss_G"][0]) == 4


def test_a_run_of_very_many_ticks_is_told_in_few_points(
    handlers: TrainHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One spike up and one down among 20,000 ticks of 20 values; 3,000 samples."""
    run = make_run(handlers)
    names = [f"value_{i}" for i in range(20)]
    with open(run.progress_path, "w") as file:
        for i in range(1, 20_001):
            values = dict.fromkeys(names, 1 / 3 + (i % 7) * 1e-3)
            values |= {"value_3": 99.5} if i == 12_345 else {"value_7": -99.5} if i == 54 else {}
            file.write(json.dumps({"tick": i, "step": i, "kimg": i / 1000, **values}) + "\n")
    first = run.samples / "0001.000.jpg"
    for i in range(1, 3001):
        (run.samples / f"{i / 1000 + 100:08.3f}.jpg").hardlink_to(first)
    told = handlers.runs.follow({"run": "night", "have": {}})
    assert {len(line[0]) for line in told["series"].values()} <= set(range(POINTS // 2, POINTS + 1))
    assert max(told["series"]["value_3"][1]) == 99.5 and min(told["series"]["value_7"][1]) == -99.5
    assert [line[0][0] for line in told["series"].values()] == [0.001] * 20
    assert [line[0][-1] for line in told["series"].values()] == [20.0] * 20
    assert {len(line[0]) for line in told["trends"].values()} == {TREND}
    assert max(told["trends"]["value_3"][1]) < 1  # one spike among 167 ticks
    assert len(told["samples"]) == MOMENTS and (told["samples"][0], told["samples"][-1]) == (1.0, 103.0)
    assert told["samples"] == sorted(set(told["samples"]))
    assert len(json.dumps(told)) < 200_000

    # what is long is not looked through at every tick
    looked: list[int] = []
    monkeypatch.setattr(train_runs, "timeline", lambda run: looked.append(1) or [])
    (run.samples / "0104.000.jpg").hardlink_to(first)
    run.append_progress({"tick": 20_001, "step": 20_001, "kimg": 20.001, "value_0": 1.0})
    have = {"ticks": told["stamp"], "samples": told["timeline"], "log": -1}
    then = handlers.runs.follow({"run": "night", "have": have})
    assert "samples" not in then and looked == [] and then["series"]["value_0"][0][-1] == 20.001


def test_the_latest_warnings_are_told(handlers: TrainHandlers) -> None:
    run = make_run(handlers)
    for i in range(9):
        run.append_progress({"warning": "collapse", "message": f"number {i}", "step": 30, "kimg": 3.0})
    told = handlers.runs.follow({"run": "night", "have": {}})
    assert [one["message"] for one in told["warnings"]] == ["number 5", "number 6", "number 7", "number 8"]


def test_a_damaged_sample_hides_no_run(handlers: TrainHandlers) -> None:
    run = make_run(handlers)
    (run.samples / "0003.000.jpg").write_bytes(b"cut short")
    (row,) = handlers.runs.runs({})["runs"]
    assert (row["name"], row["sample"], row["thumb"]) == ("night", "3.0", "")
    with pytest.raises(RunError, match="0003.000.jpg is damaged; choose another moment"):
        handlers.runs.sample({"run": "night", "kimg": 3.0})


def test_samples_by_their_age(handlers: TrainHandlers) -> None:
    make_run(handlers)
    pixels = opened(handlers.runs.sample({"run": "night", "kimg": 2.0})["picture"])
    assert pixels.shape == (64, 64, 3) and abs(int(pixels.mean()) - 80) < 3
    for kimg in (9.0, "../../config", None, True, float("nan"), 10**400):
        with pytest.raises(RunError, match="has no sample at"):
            handlers.runs.sample({"run": "night", "kimg": kimg})


@pytest.mark.parametrize("name", ["../models", "", "night/../night", "/etc", None, 7])
def test_only_runs_can_be_asked_for(handlers: TrainHandlers, name: Any) -> None:
    make_run(handlers)
    asks = [handlers.runs.follow, handlers.runs.sample, handlers.runs.nearest, handlers.runs.act]
    for ask in asks:
        with pytest.raises((RunError, SettingError)):
            ask({"run": name, "act": "delete", "kimg": 1.0})
    assert (handlers.services.library.roots[0] / "tiny").is_dir()


def test_a_damaged_run_still_shows(handlers: TrainHandlers) -> None:
    run = make_run(handlers)
    run.config_path.write_text("{")
    (run.path / "dataset.json").write_text("[]")
    found = handlers.runs.follow({"run": "night", "have": {}})
    assert (found["recipe"], found["settings"], found["samples"]) == ("", None, [1.0, 2.0, 3.0])
    assert [row["name"] for row in handlers.runs.runs({})["runs"]] == ["night"]


def test_what_is_asked_of_a_run(handlers: TrainHandlers) -> None:
    run = make_run(handlers)
    with pytest.raises(RunError, match="only a run at work can be paused"):
        handlers.runs.act({"run": "night", "act": "pause"})
    with pytest.raises(SettingError, match="nothing a run can do; known: pause"):
        handlers.runs.act({"run": "night", "act": "names"})
    handlers.runs.act({"run": "night", "act": "delete"})
    assert not run.path.exists()


def test_a_run_that_has_ended_can_be_made_longer(handlers: TrainHandlers) -> None:
    run = make_run(handlers)
    for kimg, sentence in (
        (0, "kimg=0.0 is outside"),
        ("long", "is not a number"),
        (float("nan"), "is not a finite number"),
    ):
        with pytest.raises(SettingError, match=sentence):
            handlers.runs.act({"run": "night", "act": "resume", "kimg": kimg})
    assert handlers.services.jobs.status("night").state == "done"
    handlers.runs.act({"run": "night", "act": "resume", "kimg": 12})
    assert read_job(run).changes == ("--kimg", "12.0")
    assert handlers.services.jobs.status("night").state == "queued"


def test_the_film_of_a_training(handlers: TrainHandlers) -> None:
    make_run(handlers)
    assert finish(handlers, job="film", run="night")[4:8] == b"ftyp"


def test_a_model_that_is_gone(handlers: TrainHandlers) -> None:
    make_run(handlers)
    for job in ("explore", "export"):
        with pytest.raises(SettingError, match="has no model at 3.0 kimg any more"):
            handlers.work.begin({"desk": SECRET, "job": job, "run": "night", "kimg": 3.0})


def test_the_newest_model_is_the_newest_when_it_is_read(
    handlers: TrainHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(handlers)
    kept = [2.0, 3.0]
    tiny = handlers.services.library.roots[0] / "tiny"
    said: list[dict[str, str]] = []

    def export(run: RunFolder, out: Path, kimg: float, title: str, **words: str) -> Path:
        said.append({"title": title, **words})
        if kimg == 3.0:
            kept[:] = [4.0, 5.5]  # the trainer went on meanwhile
            raise FileNotFoundError("state/0003.000")
        return shutil.copytree(tiny, out)

    monkeypatch.setattr(handlers.work.trainer, "snapshots", lambda run: tuple(kept))
    monkeypatch.setattr(handlers.work.trainer, "export", export)
    assert finish(handlers, job="explore", run="night", kimg=None) == {"model": "night 5.5 kimg"}
    assert handlers.services.models("explore") == ["night 5.5 kimg", "tiny"]
    names = zipfile.ZipFile(io.BytesIO(finish(handlers, job="export", run="night", kimg=4.0))).namelist()
    assert "night 4 kimg/model.safetensors" in names
    assert said[-1] == {"title": "night 4 kimg"}
    wanted = {"title": " Night ", "data_note": "My own.", "data_licence": "CC0-1.0", "licence": ""}
    finish(handlers, job="export", run="night", kimg=4.0, card=wanted)
    assert said[-1] == {"title": "Night", "data_note": "My own.", "data_licence": "CC0-1.0"}


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ({"title": "x" * 301}, "the card's title has 301 letters; give one line of at most 300"),
        ({"licence": "a\nb"}, "the card's licence has several lines; give one line"),
        ({"data_note": ["x"]}, "the card's data_note is no text"),
    ],
)
def test_a_card_that_cannot_be_written(
    handlers: TrainHandlers, monkeypatch: pytest.MonkeyPatch, card: dict[str, Any], sentence: str
) -> None:
    make_run(handlers)
    monkeypatch.setattr(handlers.work.trainer, "snapshots", lambda run: (3.0,))
    with pytest.raises(SettingError, match=sentence):
        handlers.work.begin({"desk": SECRET, "job": "export", "run": "night", "kimg": 3.0, "card": card})


def test_jobs_are_known_by_name(handlers: TrainHandlers) -> None:
    with pytest.raises(SettingError, match="'begin' is no job; known: look, frames"):
        handlers.work.begin({"desk": SECRET, "job": "begin"})
    with pytest.raises(SettingError, match="32 hexadecimal digits"):
        handlers.work.begin({"desk": "x", "job": "look"})
