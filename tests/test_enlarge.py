import numpy as np
import pytest
import torch

import studio.enlarge
from studio.canvas import Pixels, Scaled, Whole, Window, everything
from studio.enlarge import DenoiseSettings, Enlarged, Enlarger, UpscaleSettings, at_scale, resized
from studio.errors import Cancelled, SettingError, UnknownName
from studio.models.superres import SuperresConfig, SuperresNetwork
from tests.tiny_restore import RepeatUpscaler, TinyEngine
from tests.tiny_style import blobs, picture


def enlarger(scale: int = 2) -> Enlarger:
    return Enlarger(TinyEngine(upscale=RepeatUpscaler(scale)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_at_the_networks_own_scale_its_pixels_are_kept(channels: int, dtype: type) -> None:
    photo = picture(blobs(30, 41, dtype=dtype, channels=channels), icc=b"profile", dpi=(300, 150))
    if channels in (2, 4):
        photo.pixels[..., -1] = np.iinfo(dtype).max
    made = enlarger(2).upscale(photo, UpscaleSettings(scale=2))
    assert np.array_equal(made.pixels, photo.pixels.repeat(2, axis=0).repeat(2, axis=1))
    assert (made.icc, made.dpi, made.bits) == (b"profile", (600, 300), photo.bits)


def test_tiles_fit_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = picture(blobs(150, 130, dtype=np.uint16))
    wish = UpscaleSettings(scale=3, strength=0.7)
    whole = enlarger(4).upscale(photo, wish).pixels
    assert whole.shape == (450, 390, 3)
    monkeypatch.setattr(studio.enlarge, "TILE", 41)
    tiled = enlarger(4).upscale(photo, wish).pixels
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_another_scale_is_the_networks_result_at_that_size() -> None:
    photo = picture(blobs(40, 50))
    canvas = Enlarged(Pixels(photo.pixels, torch.device("cpu")), RepeatUpscaler(4), 0.0)
    whole = Whole(canvas.look(everything(canvas)))
    expected = Scaled(whole, (120, 150)).look(Window(0, 120, 0, 150))
    assert torch.allclose(resized(canvas, (120, 150), Window(0, 120, 0, 150)), expected, atol=1e-5)
    assert torch.allclose(resized(canvas, (120, 150), Window(31, 77, 5, 90)), expected[:, :, 31:77, 5:90], atol=1e-5)


def test_noise_goes_as_much_as_is_asked_for() -> None:
    random = np.random.default_rng(0)
    photo = picture(np.clip(128 + 20 * random.standard_normal((90, 90, 3)), 0, 255).astype(np.uint8))
    spread = [enlarger(1).denoise(photo, DenoiseSettings(strength=s)).pixels[5:-5, 5:-5].std() for s in (0.5, 1.0)]
    assert spread[1] == pytest.approx(20 / 3, rel=0.05) and spread[1] < spread[0] < 20
    assert enlarger(1).denoise(photo, DenoiseSettings(strength=0)) is photo
    by_larger = enlarger(4).denoise(photo, DenoiseSettings(strength=1))
    assert by_larger.pixels.shape == photo.pixels.shape and by_larger.pixels.std() < 10


def test_of_several_scales_the_least_that_is_enough_is_taken() -> None:
    network = SuperresNetwork(SuperresConfig(width=4, blocks=1))
    assert [at_scale(network, wished).scale for wished in (1, 1.5, 2, 3, 4, 8)] == [1, 2, 2, 4, 4, 4]
    single = RepeatUpscaler(3)
    assert at_scale(single, 1) is single


@pytest.mark.parametrize("wish", [UpscaleSettings(scale=2), UpscaleSettings(scale=3), UpscaleSettings(scale=1)])
def test_tiles_of_our_network_fit(monkeypatch: pytest.MonkeyPatch, wish: UpscaleSettings) -> None:
    torch.manual_seed(0)
    network = SuperresNetwork(SuperresConfig(width=6, blocks=2)).eval()
    for layer in network.last.values():
        torch.nn.init.normal_(layer.weight, std=0.1)
    ours = Enlarger(TinyEngine(upscale=network))
    photo = picture(blobs(150, 130, dtype=np.uint16))
    whole = ours.upscale(photo, wish).pixels
    monkeypatch.setattr(studio.enlarge, "TILE", 51)
    tiled = ours.upscale(photo, wish).pixels
    assert np.abs(whole.astype(int) - tiled).max() <= 4  # of 65535


def test_the_smallest_picture() -> None:
    made = enlarger(4).upscale(picture(np.full((1, 1, 3), 77, np.uint8)), UpscaleSettings(scale=4))
    assert made.pixels.shape == (4, 4, 3) and (made.pixels == 77).all()


def test_what_would_be_too_large_is_refused_before_the_model_is_asked() -> None:
    photo = picture(np.broadcast_to(np.uint8(0), (6000, 5000, 3)))
    with pytest.raises(SettingError, match=r"^scale=4 makes 20000 x 24000 = 480 megapixels, .*; give at most 2.58$"):
        Enlarger(TinyEngine()).upscale(photo, UpscaleSettings(scale=4))


def test_without_a_model_it_says_what_to_do() -> None:
    with pytest.raises(UnknownName, match=r"no model named 'upscale'; .*--model FILE.safetensors$"):
        Enlarger(TinyEngine()).check()


def test_progress_and_stop() -> None:
    heard = []
    enlarger().upscale(picture(blobs(30, 30)), UpscaleSettings(scale=2), progress=heard.append)
    assert heard[-1] == 1
    with pytest.raises(Cancelled):
        enlarger().upscale(picture(blobs(30, 30)), cancelled=lambda: True)


def test_it_says_what_made_the_picture() -> None:
    made = enlarger().provenance("upscale", UpscaleSettings(scale=2))
    assert (made.tool, made.model) == ("upscale", "upscale")
    assert made.settings == {"scale": 2.0, "strength": 0.0, "licence": "CC0-1.0"}
