import dataclasses

import numpy as np
import pytest
import torch

from studio.canvas import levels
from studio.checkpoint import ModelInfo, load_network, save_checkpoint
from studio.engine import Engine
from studio.errors import ImageError, SettingError, UnknownName
from studio.fine import SlowPainting, paint_slowly
from studio.gatys import FineSettings
from studio.library import BUNDLED, Library
from studio.models.style import StyleConfig, StyleNetwork
from studio.raster.opening import Picture
from studio.style import Stylist
from studio.styling import StyleSettings

QUICK = FineSettings(steps=4, side=64)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Library(()), "cpu")


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with a tiny style model."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = StyleNetwork(StyleConfig(widths=(4, 4, 8, 8), blocks=1, experts=2))
    network.vgg = load_network(BUNDLED / "vgg")
    info = ModelInfo("style", network.config.to_dict(), "", title="tiny")
    save_checkpoint(root / "tiny", info, network, "# tiny\n")
    return Engine(Library((root,)), "cpu")


def photo(width: int, height: int, channels: int = 3, dtype: type = np.uint8, seed: int = 0) -> Picture:
    """Ramps with some grain; the last of 2 or 4 channels is transparency."""
    random = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    x, y = np.meshgrid(np.linspace(0.1, 0.7, width), np.linspace(0.1, 0.6, height))
    planes = [x, y, (x + y) / 2, 1 - x][:channels]
    pixels = np.stack(planes, axis=2) + random.uniform(0, 0.2, (height, width, channels))
    return Picture((pixels * top).astype(dtype), "PNG", 16 if dtype == np.uint16 else 8, b"", b"an exif")


def style(seed: int = 5) -> Picture:
    random = np.random.default_rng(seed)
    blots = random.integers(0, 256, (12, 12, 3), dtype=np.uint8).repeat(6, axis=0).repeat(6, axis=1)
    return Picture(blots, "PNG", 8, b"", b"")


def difference(a: Picture, b: Picture) -> float:
    return float(np.abs(a.pixels.astype(float) - b.pixels).mean())


class TestResult:
    @pytest.mark.parametrize("size", [(1, 1), (7, 5), (333, 21), (150, 90)])
    def test_has_the_photos_size(self, engine, size):
        assert paint_slowly(engine, photo(*size), [style()], fine=FineSettings(steps=1, side=64)).size == size

    @pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (2, np.uint8), (4, np.uint8), (3, np.uint16)])
    def test_is_of_the_photos_kind(self, engine, channels, dtype):
        content = photo(40, 36, channels, dtype)
        result = paint_slowly(engine, content, [style()], fine=QUICK)
        assert result.pixels.dtype == dtype and result.pixels.shape[2] == {1: 3, 2: 4}.get(channels, channels)
        assert (result.format, result.bits, result.exif) == (content.format, content.bits, content.exif)
        if content.has_alpha:
            assert np.array_equal(result.pixels[..., -1], content.pixels[..., -1])

    def test_strength_zero_is_the_photo(self, engine):
        content = photo(50, 40)
        result = paint_slowly(engine, content, [style()], StyleSettings(strength=0.0), QUICK)
        assert np.array_equal(result.pixels, content.pixels)

    def test_goes_towards_the_style(self, engine):
        content, red = photo(64, 64), np.zeros((64, 64, 3), np.uint8)
        red[..., 0] = 90
        red[::4, :, 0] = 255
        result = paint_slowly(engine, content, [Picture(red, "PNG", 8, b"", b"")], fine=QUICK)
        found, wanted = (p.reshape(-1, 3).mean(axis=0) for p in (result.pixels, red))
        assert np.abs(found - wanted).max() < 30
        assert np.abs(content.pixels.reshape(-1, 3).mean(axis=0) - wanted).max() > 60

    def test_what_lies_outside_of_the_mask_stays(self, engine):
        content, mask = photo(60, 40), np.zeros((40, 60, 1), np.uint8)
        mask[:, 30:] = 255
        result = paint_slowly(engine, content, [style()], fine=QUICK, masks=[Picture(mask, "PNG", 8, b"", b"")])
        assert np.array_equal(result.pixels[:, :30], content.pixels[:, :30])
        assert np.abs(result.pixels[:, 35:].astype(int) - content.pixels[:, 35:]).mean() > 5

    def test_each_mask_has_its_style(self, engine):
        flat = lambda colour: Picture(np.full((40, 40, 3), colour, np.uint8), "PNG", 8, b"", b"")
        masks = [np.zeros((48, 96, 1), np.uint8) for _ in range(2)]
        masks[0][:, :48], masks[1][:, 48:] = 255, 255
        content = photo(96, 48)
        result = paint_slowly(
            engine, content, [flat((200, 20, 20)), flat((20, 20, 200))], fine=QUICK,
            masks=[Picture(m, "PNG", 8, b"", b"") for m in masks],
        )
        left, right = result.pixels[:, 4:40].mean(axis=(0, 1)), result.pixels[:, 56:92].mean(axis=(0, 1))
        assert left[0] > left[2] + 60 and right[2] > right[0] + 60

    @pytest.mark.parametrize("keep", ["luminance", "histogram"])
    def test_the_photos_colours_can_stay(self, engine, keep):
        content = photo(64, 64)
        grey = Picture(style().pixels.mean(axis=2, keepdims=True).astype(np.uint8), "PNG", 8, b"", b"")
        mean = lambda p: p.pixels.reshape(-1, 3).mean(axis=0)
        kept = paint_slowly(engine, content, [grey], StyleSettings(keep_colour=keep), QUICK)
        taken = paint_slowly(engine, content, [grey], fine=QUICK)
        assert np.abs(mean(kept) - mean(content)).max() < 12
        assert np.ptp(mean(taken)) < 12 < np.ptp(mean(content))

    def test_a_larger_photos_detail_is_brought_to_it(self, engine):
        """Lines of 1 px on a photo four times as large as what is optimised."""
        content = photo(256, 128)
        content.pixels[:, 128] = 255
        result = paint_slowly(engine, content, [photo(80, 80, seed=3)], fine=QUICK)
        at = lambda columns: result.pixels[20:-20, columns].astype(float).mean()
        assert at([128]) - at([126, 130]) > 20

    def test_a_size_can_be_asked_for(self, engine):
        assert paint_slowly(engine, photo(60, 30), [style()], StyleSettings(size=90), QUICK).size == (90, 45)


class TestStopping:
    def test_keeps_the_best_so_far(self, engine):
        calls = []
        result = paint_slowly(
            engine, photo(64, 48), [style()], fine=FineSettings(steps=50, side=64),
            progress=calls.append, cancelled=lambda: len(calls) == 3,
        )
        assert len(calls) == 3 and calls == sorted(calls) and calls[-1] == pytest.approx(3 / 50)
        painting = SlowPainting(engine, photo(64, 48), [style()], fine=FineSettings(steps=50, side=64))
        for _ in range(3):
            next(painting)
        assert np.array_equal(painting.result().pixels, result.pixels)

    def test_can_be_gone_on_with_after_a_look(self, engine):
        fine = FineSettings(steps=6, side=64)
        looked, straight = (SlowPainting(engine, photo(64, 48), [style()], fine=fine) for _ in range(2))
        next(looked)
        looked.result()
        assert [p.fraction for p in looked][-1] == [p.fraction for p in straight][-1] == 1
        assert np.array_equal(looked.result().pixels, straight.result().pixels)

    def test_there_is_a_result_from_the_start(self, engine):
        painting = SlowPainting(engine, photo(64, 48), [style()], fine=QUICK)
        assert painting.result().size == (64, 48)
        assert painting.best.fraction == pytest.approx(1 / 4)

    def test_the_device_is_free_between_steps(self, engine):
        painting = SlowPainting(engine, photo(64, 48), [style()], fine=QUICK)
        next(painting)
        assert not engine.held()
        assert not torch.is_inference_mode_enabled()


class TestStart:
    def test_with_what_the_fast_network_paints(self, painter):
        fine = QUICK.replace(start="fast")
        first = next(SlowPainting(painter, photo(64, 48), [style()], fine=fine, model="tiny"))
        fast = Stylist(painter, "tiny").preview(photo(64, 48), [style()])
        assert np.abs(levels(first.picture, np.uint8).astype(int) - fast).max() <= 1

    def test_a_model_that_is_not_there(self, painter):
        with pytest.raises(UnknownName, match="no model named 'style'; installed: tiny"):
            next(SlowPainting(painter, photo(64, 48), [style()], fine=QUICK.replace(start="fast")))


class TestRefused:
    @pytest.mark.parametrize(
        ("styles", "settings", "says"),
        [
            (0, {}, "0 styles; choose 1 to 4"),
            (5, {}, "5 styles; choose 1 to 4"),
            (2, {"weights": (1.0,)}, "1 weights do not fit 2 styles; give one for each, or none"),
        ],
    )
    def test_before_anything_is_done(self, engine, styles, settings, says):
        with pytest.raises(SettingError) as error:
            SlowPainting(engine, photo(20, 20), [style()] * styles, StyleSettings(**settings))
        assert str(error.value) == says

    def test_a_mask_of_another_size(self, engine):
        mask = photo(20, 20, 1)
        with pytest.raises(ImageError, match="the mask has 20 x 20 px and the picture 40 x 40"):
            SlowPainting(engine, photo(40, 40), [style()], masks=[mask])
        assert SlowPainting(engine, photo(40, 40), [style()], masks=[mask], fit_masks=True).size == (40, 40)


def test_margins_of_a_scan_are_not_style(engine):
    bare = photo(80, 80, seed=4)
    framed = dataclasses.replace(bare, pixels=np.pad(bare.pixels, ((3, 3), (3, 3), (0, 0))))
    content = photo(64, 64)
    plain, trimmed = (paint_slowly(engine, content, [s], fine=QUICK) for s in (bare, framed))
    assert difference(plain, trimmed) < 3


def test_equal_requests_give_equal_pictures(engine):
    one, two = (paint_slowly(engine, photo(48, 48), [style()], fine=QUICK) for _ in range(2))
    assert np.array_equal(one.pixels, two.pixels)
