import numpy as np
import pytest

from studio.compositing import to_light
from studio.layers import Layer, Treatment
from studio.tratteggio import TratteggioSettings, drawn_in_strokes
from tests.tiny_style import blobs, picture


def flat_layer(level: int, dtype: type = np.uint8) -> Layer:
    pixels = np.zeros((64, 80, 4), dtype)
    pixels[4:60, 8:72] = [level, level, level, np.iinfo(dtype).max]
    return Layer(20, 30, pixels, {"method": "test"})


@pytest.mark.parametrize(("dtype", "level"), [(np.uint8, 130), (np.uint16, 33000)])
def test_strokes_take_turns_about_the_fills_light(dtype: type, level: int) -> None:
    photo = picture(blobs(120, 140, dtype=dtype))
    drawn = drawn_in_strokes(flat_layer(level, dtype), photo, TratteggioSettings(pitch=4, contrast=0.4))
    light = to_light(drawn.pixels[4:60, 8:72, :3])
    wanted = to_light(np.array([level], dtype))[0]
    assert light.mean() == pytest.approx(wanted, rel=0.01)
    lines = light[30, :, 0]
    assert np.array_equal(lines[0::4], lines[1::4]) and np.array_equal(lines[2::4], lines[3::4])
    assert abs(lines[0] - lines[2]) == pytest.approx(2 * 0.4 * min(wanted, 1 - wanted), rel=0.02)


def test_it_is_told_in_black_and_white_too() -> None:
    photo = picture(blobs(120, 140))
    for level in (0, 255):
        assert len(np.unique(drawn_in_strokes(flat_layer(level), photo).pixels[30, 10:70, 0])) == 2


def test_place_and_alpha_stay_and_so_does_the_picture() -> None:
    photo, layer = picture(blobs(120, 140)), flat_layer(90)
    drawn = drawn_in_strokes(layer, photo)
    assert (drawn.top, drawn.left) == (20, 30) and np.array_equal(drawn.pixels[..., 3], layer.pixels[..., 3])
    treated = Treatment(photo).with_layer(layer)
    shown = treated.flatten(lambda layer: drawn_in_strokes(layer, photo)).pixels
    outside = ~treated.filled()
    assert np.array_equal(shown[outside], photo.pixels[outside])
    assert not np.array_equal(shown, treated.flatten().pixels)
    assert np.array_equal(treated.layers[0].pixels, flat_layer(90).pixels)


def test_the_pitch_follows_the_resolution() -> None:
    fine = drawn_in_strokes(flat_layer(90), picture(blobs(120, 140), dpi=(600, 600)))
    assert fine.made["tratteggio"] == {"pitch": 19, "contrast": 0.35}  # 0.8 mm
    assert drawn_in_strokes(flat_layer(90), picture(blobs(120, 140))).made["tratteggio"]["pitch"] == 4
