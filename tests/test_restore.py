import numpy as np
import pytest

from studio.compositing import fill_weights
from studio.errors import Cancelled, CapabilityError, ImageError, SettingError, UnknownName
from studio.layers import Treatment
from studio.provenance import AI_GENERATED, ENHANCED, PARTLY_GENERATED
from studio.restore import CLASSICAL, Restorer, RestoreSettings, labels, provenance
from tests.tiny_restore import DarkDetector, MeanInpainter, RepeatUpscaler, TinyEngine
from tests.tiny_style import blobs, picture


def restorer() -> Restorer:
    return Restorer(TinyEngine(inpaint=MeanInpainter(), damage=DarkDetector(), upscale=RepeatUpscaler(2)))


def damage() -> np.ndarray:
    mask = np.zeros((90, 121), bool)
    mask[40:42, 5:115] = mask[10:70, 60] = True
    mask[60:80, 80:100] = True
    return mask


@pytest.mark.parametrize("method", ["network", *CLASSICAL])
@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 3), (np.uint16, 3), (np.uint16, 4)])
def test_every_byte_outside_the_mask_is_the_originals(method: str, dtype: type, channels: int) -> None:
    photo, mask = picture(blobs(90, 121, dtype=dtype, channels=channels)), damage()
    layer = restorer().fill(photo, mask, RestoreSettings(method=method))
    result = Treatment(photo).with_layer(layer).flatten().pixels
    assert np.array_equal(result[~mask], photo.pixels[~mask]) and result.dtype == dtype
    assert np.array_equal(layer.mask(mask.shape), mask)


def test_what_lies_under_the_mask_does_not_show() -> None:
    """Without a feather, which lets it through at the edge."""
    photo, mask = picture(blobs(90, 121)), damage()
    other = picture(photo.pixels.copy())
    other.pixels[mask] = 255
    first, second = (restorer().fill(p, mask).pixels for p in (photo, other))
    assert np.array_equal(first, second)
    shown = [Treatment(p).with_layer(restorer().fill(p, mask)).flatten().pixels for p in (photo, other)]
    assert np.array_equal(*shown)


def test_the_weights_are_those_of_the_feather() -> None:
    layer = restorer().fill(picture(blobs(90, 121)), damage(), RestoreSettings(feather=3))
    expected = np.rint(fill_weights(damage(), 3) * 255)[layer.top :, layer.left :]
    assert np.array_equal(layer.pixels[..., -1], expected[: layer.pixels.shape[0], : layer.pixels.shape[1]])


def test_the_mask_is_grown() -> None:
    layer = restorer().fill(picture(blobs(90, 121)), damage(), RestoreSettings(method="ns", grow=2))
    assert layer.made["area_px"] == layer.mask((90, 121)).sum() > damage().sum()
    assert layer.mask((90, 121))[38:44, 20:50].all() and not layer.mask((90, 121))[37, 20:50].any()


def test_small_pictures_reach_the_network_at_a_size_it_takes() -> None:
    engine = TinyEngine(inpaint=MeanInpainter())
    mask = np.array([[True, False]])
    layer = Restorer(engine).fill(picture(np.array([[[0] * 3, [200] * 3]], np.uint8)), mask)
    assert engine.networks["inpaint"].sizes == [(64, 64)]
    assert layer.pixels.tolist() == [[[200, 200, 200, 255]]]


def test_it_says_what_made_the_layer() -> None:
    photo = picture(blobs(90, 121))
    by_network = restorer().fill(photo, damage())
    assert by_network.made == {
        "method": "auto", "grow": 0, "feather": 0, "area_px": int(damage().sum()), "model": "inpaint",
        "model_sha256": "ab" * 32, "licence": "CC0-1.0",
    }
    made = provenance(Treatment(photo).with_layer(by_network))
    assert (made.tool, made.model, made.model_sha256) == ("restore", "inpaint", "ab" * 32)
    assert PARTLY_GENERATED.encode() in labels(made).xmp and AI_GENERATED.encode() not in labels(made).xmp
    by_rule = provenance(Treatment(photo).with_layer(restorer().fill(photo, damage(), RestoreSettings(method="ns"))))
    assert by_rule.model == "" and by_rule.settings["layers"][0]["method"] == "ns"
    assert ENHANCED.encode() in labels(by_rule).xmp


def test_progress_is_heard_and_work_stops() -> None:
    photo, heard = picture(blobs(90, 121)), []
    restorer().fill(photo, damage(), progress=heard.append)
    assert heard == sorted(heard) and heard[-1] == 1
    with pytest.raises(Cancelled):
        restorer().fill(photo, damage(), cancelled=lambda: True)
    with pytest.raises(Cancelled):
        restorer().suggest(photo, cancelled=lambda: True)


def test_patches_stop_within_one_hole() -> None:
    photo, mask = picture(blobs(90, 121)), np.zeros((90, 121), bool)
    mask[30:60, 40:80] = True
    asked, heard = iter([False] * 20), []
    with pytest.raises(Cancelled):
        settings = RestoreSettings(method="patches")
        restorer().fill(photo, mask, settings, progress=heard.append, cancelled=lambda: next(asked, True))
    assert heard == [] and next(asked, "used up") == "used up"


def test_damage_is_suggested() -> None:
    photo = picture(np.full((60, 70, 3), 200, np.uint8))
    photo.pixels[20:22, 10:60] = 0
    found = restorer().suggest(photo)
    assert [(kind.name, kind.regions) for kind in found.found()] == [("crack", 1)]
    assert np.array_equal(np.argwhere(found.mask())[[0, -1]], [[19, 10], [22, 59]])


@pytest.mark.parametrize(
    ("mask", "kind", "sentence"),
    [
        (np.zeros((90, 121), bool), ImageError, r"^the mask is empty \(0 px\): there is nothing to restore; "),
        (np.ones((90, 121), bool), SettingError, r"^the mask covers 100% of the picture"),
        (np.ones((121, 90), bool), ImageError, r"^the mask has 90 x 121 px and the picture 121 x 90; "),
    ],
)
def test_masks_that_cannot_be_filled(mask: np.ndarray, kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        restorer().fill(picture(blobs(90, 121)), mask)


def test_models_that_are_missing_or_of_another_kind() -> None:
    bare = Restorer(TinyEngine())
    with pytest.raises(UnknownName, match=r"no model named 'inpaint'; .*--method biharmonic\|ns\|patches\|telea$"):
        bare.check()
    bare.check(RestoreSettings(method="telea"))
    with pytest.raises(UnknownName, match=r"no model named 'damage'; .*--mask FILE$"):
        bare.check_detector()
    with pytest.raises(CapabilityError, match="with filling in what is missing, which 'damage' lacks"):
        Restorer(TinyEngine(damage=DarkDetector()), model="damage").check()


def test_by_width_wide_holes_take_their_grain_from_the_picture() -> None:
    """Of a network that says that it is for narrow ones; another fills all."""
    rough = np.random.default_rng(0).integers(90, 150, (90, 121, 1), np.uint8)
    image = picture(np.repeat(rough, 3, axis=2))
    mask = np.zeros((90, 121), bool)
    mask[10:12, 5:100] = mask[40:70, 40:80] = True
    able, soft = (TinyEngine(inpaint=MeanInpainter()) for _ in range(2))
    with soft.use("inpaint") as model:
        model.network.narrow = True
    heard: list[float] = []
    settings = [RestoreSettings(method=method) for method in ("auto", "network")]
    layers = [Restorer(soft).fill(image, mask, one, progress=heard.append) for one in settings]
    both, alone = (layer.pixels.astype(int) for layer in layers)
    assert layers[0].made["grain_px"] == 30 * 40 and "grain_px" not in layers[1].made
    assert max(heard) == 1 and heard.count(1) == 2, "each is at its end when all is done"
    narrow, broad = np.s_[0:2, 0:95, :3], np.s_[35:55, 40:70, :3]  # of the layer, which begins at 10, 5
    assert np.abs(both - alone)[narrow].max() == 0
    assert both[broad].std() > 0.4 * rough.std() > 2 * alone[broad].std()
    assert abs(both[broad].mean() - alone[broad].mean()) < 3
    by_default = Restorer(able).fill(image, mask).pixels
    assert np.array_equal(by_default, Restorer(able).fill(image, mask, RestoreSettings(method="network")).pixels)
