"""A checkpoint's README.md: what it is, what it was trained on, what was measured; with the Hub's front matter."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from studio.checkpoint import ModelInfo

GRID = "samples.jpg"
_WORD = re.compile(r"\w[\w.-]*")  # a title that is one word on a command line


@dataclass(frozen=True)
class Task:
    """What cards of models for one task say alike. `command` gets the model's name."""

    pipeline: str  # as the Hub calls the task
    tags: str
    describe: Callable[[Mapping[str, Any]], str]  # of the network's settings
    caption: str
    command: str


def _upscaler(config: Mapping[str, Any]) -> str:
    larger = ", ".join(f"x{scale}" for scale in config.get("scales", ()) if scale > 1)
    return f"enlarges by {larger} and removes noise" if larger else "removes noise"


def _translator(config: Mapping[str, Any]) -> str:
    kinds = ("grey" if config.get(name) == 1 else "colour" for name in ("in_channels", "out_channels"))
    return "turns {} pictures of one kind into {} ones of another".format(*kinds)


def _generator(config: Mapping[str, Any]) -> str:
    colour = "grey" if config.get("channels") == 1 else "colour"
    return f"{config.get('resolution')} x {config.get('resolution')} px, {colour}"


TASKS = {
    "explore": Task(
        "unconditional-image-generation", "gan", _generator, "pictures at seeds fixed before training, untruncated",
        "python -m studio generate {name} --seeds 0-15 --out pictures",
    ),
    "style": Task(
        "image-to-image", "style-transfer", lambda config: "any photo in any painting's style, at any size",
        "photos along the top, paintings down the side; no photo was trained on",
        "python -m studio stylize PHOTO PAINTING --model {name} --out painted.png",
    ),
    "translate": Task(
        "image-to-image", "gan, image-translation", _translator,
        "pictures, and what they are turned into",
        "python -m studio translate {name} PICTURE --out translated.png",
    ),
    "inpaint": Task(
        "image-to-image", "inpainting, restoration",
        lambda config: "fills holes of any shape in pictures of any size", "damaged, filled and whole, side by side",
        "python -m studio restore PICTURE --mask MASK --model {name} --out restored.png",
    ),
    "damage": Task(
        "image-segmentation", "restoration", lambda config: "suggests where a picture is damaged",
        "damaged, what was damaged, what the model suggests (cracks red, losses green, stains blue, folds yellow)",
        "python -m studio restore PICTURE --mask auto --detector {name} --out restored.png",
    ),
    "upscale": Task(
        "image-to-image", "super-resolution, denoising, restoration", _upscaler,
        "worn, cleaned and enlarged, and whole, side by side",
        "python -m studio upscale PICTURE --scale 4 --model {name} --out larger.png",
    ),
}


def card(info: ModelInfo, show_grid: bool) -> str:
    """The text of the card. `show_grid`: samples.jpg lies beside it."""
    task, training = TASKS[info.family.task], info.training
    lines = [
        "---",
        "library_name: atelier",
        f"pipeline_tag: {task.pipeline}",
        f"tags: [{task.tags}, {info.model}, art]",
        "---",
        "",
        f"# {info.title}",
        "",
        f"{info.family.title} ({info.family.paper}), {task.describe(info.config)}.",
        "",
    ]
    if show_grid:
        lines += [f"![{task.caption}]({GRID})", ""]
    lines += [
        "| | |",
        "|---|---|",
        f"| trained on | {_cell(info.data)} |",
        f"| licence of the pictures | {_cell(info.data_licence)} |",
        f"| licence of the weights | {_cell(info.licence)} |",
        f"| training | {info.kimg:,.0f} thousand pictures shown, {training['hours']} hours |",
        f"| machine | {training['machine']} |",
        *([f"| remarks | {_cell(training['note'])} |"] if training.get("note") else []),
        "",
    ]
    if info.metrics:
        lines += ["## Measured", "", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in info.metrics.items() if name != "command"]
        lines += ["", f"Measured with `{info.metrics['command']}`.", ""] if "command" in info.metrics else [""]
        if any("Lite0" in name for name in info.metrics):
            lines += [
                "Lite0 figures use EfficientNet-Lite0's features, not Inception's: compare them with one another and",
                "with the rows for real pictures, never with published figures.",
                "",
            ]
    name = info.title if _WORD.fullmatch(info.title) else "PATH"
    lines += [
        "## Use",
        "",
        "Pictures made with this model are AI-generated; Atelier says so in every file it writes.",
        "",
        "```",
        task.command.format(name=name),
        "```",
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """A person's words as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
