"""Train: pictures dropped here become a model, in a process of its own that this page watches and need not be open for."""

from pathlib import Path

import gradio as gr

from studio.footage import SUFFIXES as FILMS
from studio.raster.listing import SUFFIXES
from studio.ui.components.live import answering
from studio.ui.handlers.train import TrainHandlers
from studio.ui.handlers.train_pictures import MAX_PICTURES
from studio.ui.handlers.train_work import MEASURE_S
from studio.ui.services import Services

ORDER = 50
TITLE = "train.title"
PRESETS = (  # of those that come with the studio, which the locales tell of
    "small_computer", "few_pictures", "first_look", "steady", "every_picture", "gpu_128", "gpu_256",
)
SMALL = "few-pictures"  # offered where there are few
INFOS = ("resolution", "kimg", "init", "mirror", "classes")  # settings that the locales explain
_HERE = Path(__file__).parent
_PARTS = ("train", "train_pictures", "train_recipe", "train_runs")


def shown(services: Services) -> bool:
    """Not where visitors of a public page would train on a machine that is not theirs."""
    return services.trainer is not None


def build(services: Services) -> None:
    handlers = TrainHandlers(services)
    gr.HTML(
        html_template=(_HERE / "train.html").read_text(encoding="utf-8"),
        js_on_load="".join((_HERE / f"{part}.js").read_text(encoding="utf-8") for part in _PARTS),
        apply_default_css=False,
        server_functions=[answering(ask) for ask in handlers.functions()],
        elem_id="train",
        recipes=handlers.recipes.described(),
        watching=handlers.recipes.watched(),
        gpu=services.engine.device.type != "cpu",
        paths=services.paths,
        suffixes=sorted(SUFFIXES),
        films=list(FILMS),
        most=MAX_PICTURES,
        max_bytes=services.desks.limits.file,
        measure_s=MEASURE_S,
        small_preset=SMALL,
        infos=list(INFOS),
    )
