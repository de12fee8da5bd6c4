import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

import studio.painting
from studio.canvas import Canvas, Pixels, Scaled, Whole, Window, everything
from studio.models.style import StyleNetwork, colours
from studio.painting import BASE_SIDE, MOST, STEP, Painter, Repainted, Underpainting
from tests.tiny_style import blobs, make_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> StyleNetwork:
    return make_network()


@pytest.fixture
def small_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse to fine at sizes that take no time."""
    monkeypatch.setattr(studio.painting, "BASE_SIDE", 64)
    monkeypatch.setattr(studio.painting, "SAMPLE_SIDE", 32)


def painter(network: StyleNetwork, size: tuple[int, int], **options: object) -> Painter:
    style = torch.from_numpy(blobs(64, 64, seed=9)).permute(2, 0, 1)[None] / 127.5 - 1
    return Painter(network, network.encode(style), size, **options)


def photo(height: int, width: int, seed: int = 0) -> Canvas:
    return Pixels(blobs(height, width, seed), CPU)


def whole(canvas: Canvas) -> Tensor:
    return canvas.look(everything(canvas))


def test_photos_that_are_hardly_larger_are_painted_at_once(network: StyleNetwork) -> None:
    for size in [(1, 1), (7, 5), (400, BASE_SIDE), (900, 950)]:
        assert painter(network, size).sizes == [size]


def test_larger_photos_are_painted_from_small_to_large(network: StyleNetwork) -> None:
    assert painter(network, (1024, 2048)).sizes == [(320, 640), (1024, 2048)]
    sizes = painter(network, (4000, 6000)).sizes
    assert sizes[0] == (427, 640) and sizes[-1] == (4000, 6000) and len(sizes) == 3
    for smaller, larger in zip(sizes, sizes[1:]):
        assert 1 < larger[1] / smaller[1] <= STEP + 0.01


def test_broad_strokes_begin_smaller_and_fine_ones_larger(network: StyleNetwork) -> None:
    assert painter(network, (640, 640), stroke=4.0).sizes == [(320, 320), (640, 640)]
    assert painter(network, (640, 640), stroke=0.25).sizes == [(1280, 1280)]
    assert painter(network, (2048, 2048), stroke=0.25).sizes == [(1280, 1280), (2048, 2048)]
    assert painter(network, (100, 1), stroke=0.25).sizes == [(round(100 * MOST), 2)]
    assert painter(network, (1, 1), stroke=4.0).sizes[0] == (1, 1)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (40, 33), (300, 17), (150, 201)])
@pytest.mark.parametrize("stroke", [0.25, 1.0, 4.0])
def test_every_size_comes_out_as_it_went_in(
    network: StyleNetwork, small_base: None, size: tuple[int, int], stroke: float
) -> None:
    painted = whole(painter(network, size, stroke=stroke).paint(photo(*size))[0])
    assert painted.shape == (1, 3, *size) and painted.isfinite().all() and painted.abs().max() <= 1.2


def test_painted_at_once_it_is_what_the_network_paints(network: StyleNetwork) -> None:
    picture, brush = photo(40, 56), painter(network, (40, 56))
    assert torch.allclose(whole(brush.paint(picture)[0]), network(whole(picture), brush.style), atol=1e-5)


@pytest.mark.parametrize("keep", [False, True])
def test_tiles_leave_no_seam(network: StyleNetwork, small_base: None, keep: bool) -> None:
    picture = photo(300, 420)
    one, many = (painter(network, (300, 420), tile=tile, keep=keep) for tile in (1000, 90))
    assert len(one.sizes) == 3
    difference = (whole(one.paint(picture)[0]) - whole(many.paint(picture)[0])).abs()
    assert difference.max() < 2 / 255


def test_every_window_shows_the_same(network: StyleNetwork, small_base: None) -> None:
    painting, _ = painter(network, (301, 203)).paint(photo(301, 203))
    all_of_it = whole(painting)
    for window in (Window(0, 50, 0, 50), Window(133, 200, 71, 203), Window(300, 301, 202, 203)):
        assert (painting.look(window) - window.of(all_of_it, everything(painting))).abs().max() < 1e-4


class Cast:
    """Not a network: it makes everything lighter, and doubles every step from light to dark."""

    reach = 0

    def __call__(self, x: Tensor, top: int = 0, left: int = 0) -> Tensor:
        return 2 * x + 0.3


def test_areas_keep_their_colours_when_they_are_painted_again() -> None:
    """From one size to the next, strokes are added, and no cast."""
    lines = (torch.arange(64) % 2 * 0.2 - 0.1).expand(1, 3, 64, 64)
    painting = Repainted(Cast(), Whole(0.5 + lines), 24, 1.0)
    assert torch.allclose(whole(painting), 0.5 + 2 * lines, atol=1e-5)
    half = Repainted(Cast(), Whole(0.5 + lines), 24, 0.5)
    assert torch.allclose(whole(half), 0.5 + 1.5 * lines, atol=1e-5)


def test_the_palette_is_the_styles_or_stays(network: StyleNetwork) -> None:
    picture = photo(96, 96)
    style_colours = painter(network, (96, 96)).style
    mean, root = colours(whole(picture))
    flat = make_network()
    torch.nn.init.zeros_(flat.draw.weight)
    torch.nn.init.zeros_(flat.draw.bias)  # nothing is drawn: the photo's areas in colours
    painted = dataclasses.replace(painter(network, (96, 96)), network=flat)
    found = whole(painted.paint(picture)[0])
    assert (colours(found)[0] - style_colours.mean).abs().max() < 0.1
    kept = whole(dataclasses.replace(painted, keep=True).paint(picture)[0])
    assert (colours(kept)[0] - mean).abs().max() < 0.01


@pytest.mark.parametrize("keep", [False, True])
def test_a_look_that_is_given_back_paints_the_same(network: StyleNetwork, small_base: None, keep: bool) -> None:
    picture, brush = photo(160, 120), painter(network, (160, 120), keep=keep)
    painting, look = brush.paint(picture)
    again, same = brush.paint(picture, look)
    assert same is look and len(look.statistics) == len(brush.sizes) == 2
    assert (whole(painting) - whole(again)).abs().max() < 1e-3


def test_looks_between_two(network: StyleNetwork, small_base: None) -> None:
    brush = painter(network, (160, 120))
    (_, one), (_, other) = (brush.paint(photo(160, 120, seed)) for seed in (1, 2))
    for share, expected in ((0.0, one), (1.0, other)):
        mixed = one.towards(other, share)
        assert torch.allclose(mixed.mean, expected.mean) and torch.allclose(mixed.painted_root, expected.painted_root)
        for level, wanted in zip(mixed.statistics, expected.statistics):
            assert all(torch.allclose(a, b) for pair, ends in zip(level, wanted) for a, b in zip(pair, ends))
    half = one.towards(other, 0.5)
    assert torch.allclose(half.root, (one.root + other.root) / 2)


def test_it_tells_how_much_it_has_painted(network: StyleNetwork, small_base: None) -> None:
    brush = painter(network, (300, 420), tile=100)
    heard: list[int] = []
    brush.paint(photo(300, 420), each=heard.append)
    assert sum(heard) == brush.early_pixels == sum(h * w for h, w in brush.sizes[:-1]) and len(heard) > 2


def test_a_flat_photo_stays_finite(network: StyleNetwork, small_base: None) -> None:
    for level in (0, 128, 255):
        flat = Pixels(np.full((150, 90, 3), level, np.uint8), CPU)
        assert whole(painter(network, (150, 90)).paint(flat)[0]).isfinite().all()


def test_underpainting_adds_the_photos_detail_to_the_painting() -> None:
    """Where the photo has none that the smaller one lacks, it is the painting enlarged."""
    painting, even = Whole(torch.rand(1, 3, 20, 20)), Whole(torch.full((1, 3, 60, 60), 0.3))
    plain = whole(Underpainting(painting, even, torch.eye(3)[None]))
    assert torch.allclose(plain, whole(Scaled(painting, (60, 60))), atol=1e-5)
    lines = (torch.arange(60) % 2 * 0.2).expand(1, 3, 60, 60)
    more = whole(Underpainting(painting, Whole(lines), torch.eye(3)[None])) - plain
    assert torch.allclose(more, studio.painting.PHOTO * (lines - 0.1), atol=0.01)
