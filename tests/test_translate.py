import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from studio.errors import Cancelled, CapabilityError, UnknownName
from studio.translate import PictureTranslator, TranslateSettings
from tests.picture_files import swapped_profile
from tests.tiny_restore import RepeatUpscaler, TinyEngine
from tests.tiny_style import blobs, picture


class Negative(nn.Module):
    """Light becomes dark."""

    multiple = 16

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def translate(self, pictures: Tensor) -> Tensor:
        self.sizes.append(tuple(pictures.shape[2:]))
        return -pictures


@pytest.fixture
def network() -> Negative:
    return Negative()


@pytest.fixture
def translator(network: Negative) -> PictureTranslator:
    return PictureTranslator(TinyEngine(negative=network, upscale=RepeatUpscaler(2)), "negative")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (33, 102), (100, 70)])
def test_every_pixel_is_translated(
    translator: PictureTranslator, network: Negative, height: int, width: int, dtype: type
) -> None:
    photo = picture(blobs(height, width, dtype=dtype), icc=swapped_profile(), dpi=(100, 100))
    made = translator.translate(photo)
    white = np.iinfo(dtype).max
    assert made.pixels.dtype == dtype and np.abs(made.pixels.astype(int) - (white - photo.pixels)).max() <= 1
    assert (made.icc, made.dpi) == (photo.icc, photo.dpi)
    assert all(side % 16 == 0 and side >= 64 for side in network.sizes[0])


def test_a_larger_picture_is_shown_smaller_and_comes_back_at_its_size(
    translator: PictureTranslator, network: Negative
) -> None:
    down, across = np.mgrid[:120, :200]
    photo = picture(np.stack([down * 2, across, down + across // 2], axis=2).astype(np.uint8))
    made = translator.translate(photo, TranslateSettings(side=100))
    assert network.sizes == [(64, 112)] and made.pixels.shape == photo.pixels.shape
    assert np.abs(made.pixels.astype(int) - (255 - photo.pixels)).max() <= 3


def test_grey_becomes_colour_and_what_is_transparent_stays_so(translator: PictureTranslator) -> None:
    grey = picture(blobs(20, 30)[..., :2])
    made = translator.translate(grey).pixels
    assert made.shape == (20, 30, 4) and np.array_equal(made[..., 3], grey.pixels[..., 1])


def test_it_can_be_cancelled(translator: PictureTranslator, network: Negative) -> None:
    with pytest.raises(Cancelled):
        translator.translate(picture(blobs(20, 30)), cancelled=lambda: True)
    assert network.sizes == []
    stop = threading.Event()
    network.register_forward_pre_hook(lambda *ignored: None)
    network.translate = lambda pictures: (stop.set(), -pictures)[1]
    with pytest.raises(Cancelled):
        translator.translate(picture(blobs(20, 30)), cancelled=stop.is_set)


def test_it_says_how_far_it_is(translator: PictureTranslator) -> None:
    heard: list[float] = []
    translator.translate(picture(blobs(20, 30)), progress=heard.append)
    assert heard == sorted(heard) and heard[-1] == 1


def test_a_model_of_another_kind(translator: PictureTranslator) -> None:
    other = PictureTranslator(translator.engine, "upscale")
    for work in (other.check, lambda: other.translate(picture(blobs(20, 30)))):
        with pytest.raises(
            CapabilityError, match="^translate needs a model with turning one kind of picture into another, which"
        ):
            work()
    with pytest.raises(UnknownName, match="installed: negative, upscale$"):
        PictureTranslator(translator.engine, "monet").check()


def test_nothing_is_learned(translator: PictureTranslator, network: Negative) -> None:
    network.translate = lambda pictures: (-pictures if torch.is_inference_mode_enabled() else pictures)
    assert translator.translate(picture(np.zeros((20, 30, 3), np.uint8))).pixels.min() == 255
