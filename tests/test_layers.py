import dataclasses

import numpy as np
import pytest

from studio.errors import SettingError
from studio.holes import Filled
from studio.layers import MAX_LAYERS, Layer, Treatment, make_layer, pixels_sha256
from studio.raster.opening import Picture
from tests.tiny_style import blobs, picture


def layer_on(photo: Picture, mask: np.ndarray, level: float = 0.5, feather: int = 2) -> Layer:
    filled = Filled(np.flatnonzero(mask), np.full((int(mask.sum()), 3), level, np.float32))
    return make_layer(photo, mask, filled, feather, {"method": "test"})


def masks() -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros((40, 50), bool), np.zeros((40, 50), bool)
    first[5:25, 10:30], second[20:22, 2:48] = True, True
    return first, second


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_outside_of_its_layers_a_picture_stays(channels: int, dtype: type) -> None:
    photo = picture(blobs(40, 50, dtype=dtype, channels=channels), icc=b"profile", exif=b"Exif\0\0x", dpi=(300, 300))
    before = photo.pixels.copy()
    first, second = masks()
    treated = Treatment(photo).with_layer(layer_on(photo, first)).with_layer(layer_on(photo, second, -0.9))
    result = treated.flatten()
    outside = ~(first | second)
    assert np.array_equal(result.pixels[outside], before[outside]) and np.array_equal(photo.pixels, before)
    if channels in (2, 4):
        assert np.array_equal(result.pixels[..., -1], before[..., -1])
    full = np.iinfo(dtype).max
    colours = result.pixels[..., : 3 if channels > 2 else 1]
    assert (colours[second] == np.rint(0.05 * full)).all()  # hairlines show in full, and the upper layer shows
    assert (colours[10, 15] == np.rint(0.75 * full)).all()
    assert result.pixels.dtype == dtype
    assert (result.icc, result.exif, result.dpi) == (b"profile", b"Exif\0\0x", (300, 300))
    assert np.array_equal(treated.filled(), first | second)


def test_layers_are_hidden_done_again_and_removed() -> None:
    photo = picture(blobs(40, 50))
    first, second = masks()
    lower, upper = layer_on(photo, first), layer_on(photo, second)
    treated = Treatment(photo).with_layer(lower).with_layer(upper)
    alone = Treatment(photo).with_layer(upper).flatten().pixels
    assert np.array_equal(treated.hide(0).flatten().pixels, alone)
    assert np.array_equal(treated.remove(0).flatten().pixels, alone)
    assert treated.hide(0).hide(0, False).sha256 == treated.sha256
    again = layer_on(photo, first, -1)
    assert (treated.redone(0, again).flatten().pixels[10, 15] == 0).all()
    assert np.array_equal(treated.below(1).pixels, Treatment(photo).with_layer(lower).flatten().pixels)
    assert treated.hide(0).hide(1).flatten() is photo and not treated.hide(0).hide(1).filled().any()


def test_states_are_told_apart_by_their_hash() -> None:
    photo = picture(blobs(40, 50))
    first, second = masks()
    bare = Treatment(photo)
    treated = bare.with_layer(layer_on(photo, first))
    states = [bare, bare.with_mask(first), bare.with_mask(second), treated, treated.hide(0), treated.with_mask(first)]
    assert len({state.sha256 for state in states}) == len(states)
    assert bare.with_mask(first).with_mask(None).sha256 == bare.sha256
    moved = dataclasses.replace(treated.layers[0], left=treated.layers[0].left + 1)
    assert treated.redone(0, moved).sha256 != treated.sha256


def test_a_layer_alone_is_clear_where_nothing_was_filled() -> None:
    photo = picture(blobs(40, 50, dtype=np.uint16), icc=b"profile", exif=b"Exif\0\0x")
    first, _ = masks()
    alone = layer_on(photo, first).alone(photo)
    assert alone.pixels.shape == (40, 50, 4) and alone.icc == b"profile" and alone.exif == b""
    assert np.array_equal(alone.pixels[..., 3] > 0, first) and (alone.pixels[~first] == 0).all()
    assert np.array_equal(layer_on(photo, first).mask((40, 50)), first)


def test_layers_are_counted() -> None:
    photo = picture(blobs(40, 50))
    treated = Treatment(photo, (layer_on(photo, masks()[0]),) * MAX_LAYERS)
    with pytest.raises(SettingError, match=r"there are 100 layers already, which is the limit"):
        treated.with_layer(treated.layers[0])
    with pytest.raises(SettingError, match=r"there is no layer 100; there are 100, counted from 0"):
        treated.hide(100)


def test_pixels_have_a_hash_of_their_own() -> None:
    photo = picture(blobs(40, 50, dtype=np.uint16))
    assert pixels_sha256(photo) == pixels_sha256(dataclasses.replace(photo, icc=b"x", format="TIFF"))
    other = dataclasses.replace(photo, pixels=photo.pixels.copy())
    other.pixels[0, 0, 0] ^= 1
    assert pixels_sha256(photo) != pixels_sha256(other)
