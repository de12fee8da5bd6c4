import io

import numpy as np
import pytest
from PIL import Image

from train.data import decode
from train.fit import FITS, crop, pad, squeeze

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(
    width: int, height: int, left: tuple[int, int, int] = RED, right: tuple[int, int, int] = BLUE
) -> Image.Image:
    """Its left half in one colour, its right half in another."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    return Image.fromarray(pixels)


def test_a_square_is_the_same_in_every_way() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8))
    assert FITS.names() == ["crop", "pad", "squeeze"]
    found = {np.asarray(FITS.get(name)(noise, 16)).tobytes() for name in FITS}
    assert len(found) == 1


@pytest.mark.parametrize("size", [(96, 24), (24, 96), (33, 31), (200, 1), (1, 200)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_any_shape_becomes_a_square(size: tuple[int, int], mode: str) -> None:
    grey = Image.new(mode, size, 90 if mode == "L" else (90, 90, 90))
    for name in FITS:
        made = FITS.get(name)(grey, 32)
        assert (made.size, made.mode) == ((32, 32), mode)
        assert np.asarray(made).min() == np.asarray(made).max() == 90  # paper stays paper, to the last pixel


def test_crop_leaves_out_what_is_beside_the_middle() -> None:
    striped = Image.new("RGB", (96, 32), RED)
    striped.paste(BLUE, (32, 0, 64, 32))
    assert np.all(np.asarray(crop(striped, 32)) == BLUE)


def test_squeeze_has_all_of_the_picture() -> None:
    made = np.asarray(squeeze(picture(96, 32), 32)).astype(int)
    assert np.abs(made[:, :14] - RED).max() <= 2 and np.abs(made[:, 18:] - BLUE).max() <= 2


def test_pad_has_all_of_the_picture_unchanged_in_its_middle() -> None:
    wide = picture(64, 32)
    made = np.asarray(pad(wide, 32))
    assert np.array_equal(made[8:24], np.asarray(wide.resize((32, 16), Image.Resampling.LANCZOS)))


def test_the_border_goes_on_from_the_picture_and_ends_in_the_mean_of_its_edge() -> None:
    made = np.asarray(pad(picture(64, 32), 64)).astype(int)
    for edge, end in ((made[15], made[0]), (made[48], made[63])):
        assert np.abs(edge[4:20] - RED).max() < 40 and np.abs(edge[44:60] - BLUE).max() < 40  # no line where it ends
        assert np.abs(end - (127.5, 0, 127.5)).max() <= 2
    tall = np.asarray(pad(picture(64, 32).rotate(90, expand=True), 64)).astype(int)  # blue above, red below
    assert np.abs(tall[:, 0] - (127.5, 0, 127.5)).max() <= 2
    # each side has its own colour
    sides = Image.new("RGB", (32, 64))
    sides.paste(RED, (0, 0, 16, 64))
    sides.paste(BLUE, (16, 0, 32, 64))
    made = np.asarray(pad(sides, 64)).astype(int)
    assert np.abs(made[:, 0] - RED).max() <= 2 and np.abs(made[:, -1] - BLUE).max() <= 2


def test_the_middle_is_the_middle_also_of_odd_borders() -> None:
    made = np.asarray(pad(Image.new("L", (32, 31), 200), 32))
    assert made.shape == (32, 32) and made.min() == made.max() == 200


@pytest.mark.parametrize("fit", FITS.names())
def test_files_are_decoded_as_they_are_asked_to_fit(fit: str) -> None:
    file = io.BytesIO()
    picture(96, 32).save(file, "PNG")
    made = decode(file.getvalue(), 32, 3, fit).permute(1, 2, 0).numpy()
    assert np.array_equal(made, np.asarray(FITS.get(fit)(picture(96, 32), 32)))
