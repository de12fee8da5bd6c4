import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from studio import duplicates
from studio.duplicates import Album, Look, near_duplicates


def painting(seed: int, side: int = 120) -> Image.Image:
    """Coarse coloured noise, enlarged: a picture with large forms."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def drawing(seed: int) -> Image.Image:
    """Some strokes of ink on white paper."""
    image = Image.new("L", (128, 128), 255)
    points = np.random.default_rng(seed).integers(10, 118, (6, 2)).tolist()
    ImageDraw.Draw(image).line([tuple(p) for p in points], fill=0, width=7)
    return image


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def groups(*images: Image.Image) -> list[list[int]]:
    return near_duplicates([Look.of(image) for image in images])


def test_nothing_and_one() -> None:
    assert near_duplicates([]) == [] and groups(painting(0)) == []


def test_a_step_across_is_one_bit_of_each_row() -> None:
    """Black left half, white right half, at 9 columns: the middle column is grey, so that two of eight steps rise."""
    image = Image.new("L", (90, 80), 0)
    image.paste(255, (45, 0, 90, 80))
    look = Look.of(image)
    assert np.unpackbits(look.gradients).reshape(8, 8).tolist() == [[0, 0, 0, 1, 1, 0, 0, 0]] * 8
    assert look.levels[:, 0].tolist() == [0] * 16 and look.levels[:, 15].tolist() == [255] * 16


def test_resized_and_resaved_copies_are_found() -> None:
    one, other = painting(1), painting(2)
    found = groups(one, other, jpeg(one, 40), one.resize((60, 60)), jpeg(other.resize((300, 300)), 80), painting(3))
    assert found == [[0, 2, 3], [1, 4]]


def test_different_pictures_are_not() -> None:
    assert groups(*(painting(seed) for seed in range(60))) == []


def test_drawings_on_one_paper_are_told_apart() -> None:
    assert groups(*(drawing(seed) for seed in range(60))) == []
    assert groups(drawing(1), drawing(2), jpeg(drawing(1), 50)) == [[0, 2]]


def test_a_slight_retouch_is_found_and_a_great_one_is_not() -> None:
    one = painting(4)
    slight, great = one.copy(), one.copy()
    slight.paste((255, 255, 255), (0, 0, 4, 4))
    great.paste((255, 255, 255), (0, 0, 80, 80))
    assert groups(one, slight, great) == [[0, 1]]


def test_blank_pictures_of_one_colour_belong_together() -> None:
    blanks = [Image.new("L", (40, 40), level) for level in (250, 255, 0, 3)]
    assert groups(*blanks) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("block", [2, 3, 100])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", block)
    copies = [painting(9).resize((40 + i, 40)) for i in range(7)]
    assert groups(*copies, painting(10)) == [[0, 1, 2, 3, 4, 5, 6]]


def test_an_album_keeps_what_is_like_nothing_before() -> None:
    album = Album()
    assert [album.add(Look.of(painting(seed))) for seed in range(150)] == [True] * 150
    assert not album.add(Look.of(jpeg(painting(149), 60))) and not album.add(Look.of(painting(0, side=77)))
    assert album.add(Look.of(painting(150)))
