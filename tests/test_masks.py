import io

import numpy as np
import pytest
from PIL import Image

import studio.masks
from studio.errors import ImageError, SettingError
from studio.masks import (
    PackedMask, check_fillable, components, depths, encode_mask, grown, read_mask, widest_px, without_holes,
)
from tests.picture_files import as_file


def square(size: int = 40, start: int = 10, stop: int = 20) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[start:stop, start:stop] = True
    return mask


def test_a_mask_comes_back_from_its_file() -> None:
    mask = np.random.default_rng(0).random((13, 29)) < 0.3
    found = read_mask(encode_mask(mask), (29, 13))
    assert np.array_equal(found.mask, mask) and found.notes == ()


def test_greys_are_split_in_the_middle_and_said() -> None:
    file = as_file(Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)), "PNG")
    found = read_mask(file, (4, 1))
    assert found.mask.tolist() == [[False, False, True, True]]
    assert found.notes == ("50.0% of the mask is grey; what is at least 128 of 255 is filled",)


def test_what_is_white_and_clear_is_not_filled() -> None:
    image = Image.fromarray(np.array([[[255, 255, 255, 255], [255, 255, 255, 0], [0, 0, 0, 255]]], np.uint8))
    assert read_mask(as_file(image, "PNG"), (3, 1)).mask.tolist() == [[True, False, False]]


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ImageError, match=r"^the mask has 29 x 13 px and the picture 30 x 13; save the mask at"):
        read_mask(encode_mask(np.zeros((13, 29), bool)), (30, 13))


def test_a_file_that_is_no_mask_is_refused() -> None:
    with pytest.raises(ImageError, match="is not a picture"):
        read_mask(io.BytesIO(b"no picture at all"), (1, 1))


def test_growing_is_round() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    assert grown(mask, 1).sum() == 5 and grown(mask, 2).sum() == 13
    assert np.array_equal(grown(square(), 0), square())


def test_shrinking_takes_the_edge_off_but_not_at_the_pictures_edge() -> None:
    assert np.array_equal(grown(square(), -2), square(start=12, stop=18))
    corner = np.zeros((10, 10), bool)
    corner[:6, :6] = True
    assert np.argwhere(grown(corner, -1)).tolist() == [[y, x] for y in range(5) for x in range(5)]
    assert grown(np.ones((4, 4), bool), -3).all() and grown(np.ones((4, 4), bool), 3).all()


def test_growth_has_a_limit() -> None:
    with pytest.raises(SettingError, match=r"grow=65 is outside -64..64 px"):
        grown(square(), 65)


def test_holes_are_closed_and_bays_are_not() -> None:
    ring = square() & ~square(start=13, stop=17)
    assert np.array_equal(without_holes(ring), square())
    bay = ring.copy()
    bay[10:13, 15] = False
    assert np.array_equal(without_holes(bay), bay)
    diagonal = ring.copy()
    diagonal[10:13, 10:13] = np.eye(3, dtype=bool)[::-1]
    assert np.array_equal(without_holes(ring & diagonal)[13:17, 13:17], np.ones((4, 4), bool))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8])
def test_the_width_of_lines(width: int) -> None:
    across, edge = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    across[10 : 10 + width], edge[:width] = True, True
    assert widest_px(across) == widest_px(across.T) == widest_px(edge) == width


def test_components_are_measured() -> None:
    mask = np.zeros((30, 50), bool)
    mask[4:6, 3:30] = True
    mask[6, 30] = True  # touches by a corner
    mask[20:25, 40:45] = True
    first, second = components(mask)
    assert (first.top, first.left, first.height, first.width) == (4, 3, 3, 28)
    assert (first.area_px, first.widest_px) == (55, 2)
    assert (second.area_px, second.widest_px) == (25, 5)
    assert components(np.zeros((5, 5), bool)) == [] and widest_px(np.zeros((5, 5), bool)) == 0


def test_nothing_is_filled_from_nothing() -> None:
    check_fillable(square())
    with pytest.raises(SettingError, match=r"^the mask covers 100% of the picture .*; leave a part of it out$"):
        check_fillable(np.ones((1, 1), bool))


def test_packed_masks_are_equal_where_masks_are() -> None:
    mask = square(37)
    packed = PackedMask.of(mask)
    assert np.array_equal(packed.unpack(), mask) and packed == PackedMask.of(mask.copy())
    assert packed != PackedMask.of(~mask) and len(packed.data) < 100


def test_depths_know_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((400, 500), bool)
    mask[50:390, 60:480] = True
    mask[200, 300] = False
    whole = depths(mask, 49)
    assert whole.max() == whole[120, 120] == 49 and whole[49, 200] == 0
    assert [int(whole[50, 200]), int(whole[60, 200]), int(whole[203, 304])] == [1, 11, 5]
    assert whole[201, 301] == 2  # the square root of 2, rounded up
    monkeypatch.setattr(studio.masks, "_SIDE", 37)
    assert np.array_equal(depths(mask, 49), whole)
    assert (depths(np.ones((90, 90), bool), 30) == 30).all()
