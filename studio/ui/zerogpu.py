"""GPUs that a Hugging Face Space lends for the length of a call (ZeroGPU), through `spaces.GPU`.

The studio stays on the processor, and what is large is made in a process that the platform starts for the call, with
an engine of its own: locks and models of the studio are of no use there. What goes there and back is plain data.
Where no GPU can be had (a visitor's share is used up, a call was too long), the processor does the work.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from studio.engine import Engine
from studio.errors import StudioError, stop_if
from studio.explore import Explorer, ExploreSettings
from studio.library import Library
from studio.raster.opening import Picture
from studio.style import Stylist
from studio.styling import StyleSettings
from studio.training import Trainer
from studio.ui.services import Services

DEVICE = "cuda"  # what is lent
CALL_S = 60  # the longest call; shorter ones wait less in the platform's queue
LEAST_PX = 512  # asking for a GPU takes longer than drawing smaller pictures


class LentServices(Services):
    """As Services, with large pictures made on a lent GPU."""

    @classmethod
    def on(
        cls, library: Library, device: str = "auto", *, trainer: Trainer | None = None, paths: bool = False
    ) -> "LentServices":
        """The device is the processor, whatever is asked for: outside of its calls there is no GPU."""
        _borrow()  # before the page is served: the platform wants to know by then
        return cls(library, LentExplorer(Engine(library, "cpu")), trainer=trainer, paths=paths)

    def stylist(self, model: str) -> Stylist:
        self.library.find(model)
        return self._stylists.setdefault(model, LentStylist(self.engine, model))


class LentExplorer(Explorer):
    def pictures(self, many: list[ExploreSettings]) -> Tensor:
        if int(self.engine.info(many[0].model).config.get("resolution", 0)) < LEAST_PX:
            return super().pictures(many)
        try:
            return torch.from_numpy(_lent(self.engine.library, "pictures", many))
        except gr.Error:
            return super().pictures(many)


class LentStylist(Stylist):
    def stylize(
        self, content: Picture, styles: Sequence[Picture], settings: StyleSettings = StyleSettings(), *,
        masks: Sequence[Picture] | None = None, fit_masks: bool = False,
        progress: Callable[[float], None] = lambda fraction: None, cancelled: Callable[[], bool] = lambda: False,
    ) -> Picture:
        """A call says nothing of its progress, and cannot be cancelled once it has begun."""
        stop_if(cancelled)
        try:
            painted: Picture = _lent(
                self.engine.library, "stylize", self.model, content, list(styles), settings, masks, fit_masks
            )
        except gr.Error:
            return super().stylize(
                content, styles, settings, masks=masks, fit_masks=fit_masks, progress=progress, cancelled=cancelled
            )
        progress(1.0)
        return painted


def _lent(library: Library, task: str, *arguments: Any) -> Any:
    answer = _borrow()(library, task, arguments)
    if isinstance(answer, StudioError):
        raise answer
    return answer


@functools.cache
def _borrow() -> Callable[[Library, str, tuple[Any, ...]], Any]:
    import spaces

    return spaces.GPU(duration=CALL_S)(_work)


def _work(library: Library, task: str, arguments: tuple[Any, ...]) -> Any:
    """In the process that has the GPU. An error that can be mended is an answer: raised, it would lose its words."""
    try:
        return {"pictures": _pictures, "stylize": _stylize}[task](_studio(library), *arguments)
    except StudioError as error:
        return error


@functools.cache
def _studio(library: Library) -> Services:
    return Services.on(library, DEVICE)


def _pictures(studio: Services, many: list[ExploreSettings]) -> Any:
    return studio.explorer.pictures(many).numpy()  # a tensor would travel as a handle to shared memory


def _stylize(
    studio: Services, model: str, content: Picture, styles: list[Picture], settings: StyleSettings,
    masks: Sequence[Picture] | None, fit_masks: bool,
) -> Picture:
    return studio.stylist(model).stylize(content, styles, settings, masks=masks, fit_masks=fit_masks)
