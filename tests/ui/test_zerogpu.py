import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch

from studio.errors import SettingError
from studio.explore import ExploreSettings
from studio.images import open_picture
from studio.library import Library
from studio.style import Stylist
from studio.styling import StyleSettings
from studio.ui import zerogpu
from studio.ui.services import Services
from tests.tiny_style import blobs, save_style
from tests.ui.visitor import png

class Platform:
    """Stands for the package `spaces`: what goes to a call and comes back is pickled on the way, as there."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.refusal: Exception | None = None

    def GPU(self, duration: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        assert duration == zerogpu.CALL_S

        def decorate(work: Callable[..., Any]) -> Callable[..., Any]:
            def call(library: Library, task: str, arguments: tuple[Any, ...]) -> Any:
                self.calls.append(task)
                if self.refusal:
                    raise self.refusal
                return pickle.loads(pickle.dumps(work(*pickle.loads(pickle.dumps((library, task, arguments))))))

            return call

        return decorate


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    platform, module = Platform(), ModuleType("spaces")
    module.GPU = platform.GPU
    monkeypatch.setitem(sys.modules, "spaces", module)
    monkeypatch.setattr(zerogpu, "DEVICE", "cpu")
    monkeypatch.setattr(zerogpu, "LEAST_PX", 16)
    zerogpu._borrow.cache_clear()
    yield platform
    zerogpu._borrow.cache_clear()
    zerogpu._studio.cache_clear()


def test_a_lent_picture_is_the_same(platform: Platform, library: Library) -> None:
    settings = ExploreSettings(model="tiny", seed=4)
    lent = zerogpu.LentServices.on(library, "cuda:9")
    assert lent.engine.device == torch.device("cpu")
    assert torch.equal(lent.explorer.picture(settings), Services.on(library, "cpu").explorer.picture(settings))
    assert platform.calls == ["pictures"]


def test_small_pictures_are_not_worth_a_call(
    platform: Platform, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zerogpu, "LEAST_PX", 17)
    zerogpu.LentServices.on(library).explorer.picture(ExploreSettings(model="tiny"))
    assert platform.calls == []


def test_an_error_keeps_its_sentence(platform: Platform, library: Library) -> None:
    settings = ExploreSettings(model="tiny-classes", label=3)
    with pytest.raises(SettingError) as here:
        Services.on(library, "cpu").explorer.picture(settings)
    with pytest.raises(SettingError) as there:
        zerogpu.LentServices.on(library).explorer.picture(settings)
    assert str(there.value) == str(here.value) and platform.calls == ["pictures"]


def test_without_a_gpu_the_processor_does_it(platform: Platform, library: Library) -> None:
    platform.refusal = gr.Error("ZeroGPU quota exceeded")
    settings = ExploreSettings(model="tiny", seed=4)
    lent = zerogpu.LentServices.on(library)
    assert torch.equal(lent.explorer.picture(settings), Services.on(library, "cpu").explorer.picture(settings))
    assert platform.calls == ["pictures"]


def test_a_painting_on_loan(platform: Platform, tmp_path: Path) -> None:
    save_style(tmp_path / "style")
    library = Library((tmp_path,))
    photo, style = (open_picture(png(blobs(48, 64, seed))) for seed in (1, 2))
    done: list[float] = []
    lent = zerogpu.LentServices.on(library).stylist("style").stylize(photo, [style], progress=done.append)
    assert np.array_equal(lent.pixels, Stylist(Services.on(library, "cpu").engine).stylize(photo, [style]).pixels)
    assert platform.calls == ["stylize"] and done == [1.0]
    platform.refusal = gr.Error("ZeroGPU quota exceeded")
    alone = zerogpu.LentServices.on(library).stylist("style").stylize(photo, [style], StyleSettings())
    assert np.array_equal(alone.pixels, lent.pixels)
