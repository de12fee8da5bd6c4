import dataclasses

import pytest

from studio.checkpoint import ModelInfo
from studio.models import MODELS
from train.card import TASKS, card

INFO = ModelInfo(
    model="dcgan", config={"resolution": 32, "channels": 1}, sha256="", title="Brush", data="Strokes.",
    data_licence="CC0-1.0", licence="MIT", kimg=8.0, training={"hours": 1.5, "machine": "2 CPU cores", "note": ""},
)


def changed(**values: object) -> ModelInfo:
    return dataclasses.replace(INFO, **values)


@pytest.mark.parametrize("name", sorted(name for name in MODELS if MODELS.get(name).task != "perceptual"))
def test_a_model_of_any_task_has_a_card(name: str) -> None:
    family = MODELS.get(name)
    text = card(changed(model=name, config=family.config().to_dict()), show_grid=True)
    lines = text.splitlines()
    assert lines[2] == f"pipeline_tag: {TASKS[family.task].pipeline}"
    assert lines[3].startswith("tags: [") and lines[3].endswith(f", {name}, art]")
    assert "python -m studio" in text and family.paper in text


def test_translators_turn_pictures_into_pictures() -> None:
    text = card(changed(model="cyclegan", config={"in_channels": 1, "out_channels": 3}), show_grid=False)
    assert "pipeline_tag: image-to-image" in text
    assert "turns grey pictures of one kind into colour ones of another" in text
    assert "python -m studio translate Brush PICTURE --out translated.png" in text


def test_what_people_write_stays_in_its_cell() -> None:
    text = card(changed(data="mine | all of it |\n# not a heading", licence="a|b"), show_grid=False)
    assert r"| trained on | mine \| all of it \| # not a heading |" in text.splitlines()
    assert r"| licence of the weights | a\|b |" in text.splitlines()


@pytest.mark.parametrize(
    ("title", "word"), [("Brush-1.2", "Brush-1.2"), ("my brush", "PATH"), ("$(rm -r x)", "PATH"), ("-x", "PATH")]
)
def test_the_command_is_one_that_can_be_copied(title: str, word: str) -> None:
    assert f"python -m studio generate {word} --seeds 0-15" in card(changed(title=title), show_grid=False)
