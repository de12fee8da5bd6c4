import numpy as np
import pytest
import torch
from torch import Tensor

from studio.canvas import (
    Mirrored, Pixels, Scaled, Whole, Window, everything, filter_matrix, floats, levels, pieces, render, tiles,
)

CPU = torch.device("cpu")


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def whole(canvas: Pixels | Whole | Scaled | Mirrored) -> Tensor:
    return canvas.look(everything(canvas))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_comes_back(dtype: type) -> None:
    top = np.iinfo(dtype).max
    pixels = np.arange(top + 1, dtype=dtype).reshape(1, -1, 1)
    x = floats(pixels, CPU)
    assert float(x.min()) == -1 and float(x.max()) == 1 and x.shape == (1, 1, 1, top + 1)
    assert (levels(x, dtype) == pixels).all() and levels(x, dtype).dtype == dtype
    assert levels(x * 2, dtype).min() == 0 and levels(x * 2, dtype).max() == top


def test_pixels_of_every_kind() -> None:
    grey = np.array([[[0], [255]]], np.uint8)
    assert whole(Pixels(grey, CPU))[0, :, 0].tolist() == [[-1, 1]] * 3
    clear = np.array([[[10, 20, 30, 0], [255, 0, 0, 255]]], np.uint8)
    paper = torch.tensor([0.5, 0.25, 0.0])
    assert torch.allclose(whole(Pixels(clear, CPU, paper))[0, :, 0].t(), torch.tensor([[0.5, 0.25, 0], [1, -1, -1]]))
    assert whole(Pixels(clear, CPU))[0, 0, 0, 0] == 10 / 127.5 - 1
    deep = np.array([[[65535, 0]]], np.uint16)
    assert whole(Pixels(deep, CPU, paper))[0, :, 0, 0].tolist() == [0.5, 0.25, 0.0]


def test_pixels_that_may_not_be_written() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels.flags.writeable = False
    assert (whole(Pixels(pixels, CPU)) == -1).all()


def test_tiles_cover_a_window_once() -> None:
    seen = np.zeros((23, 40), int)
    for tile in tiles(Window(3, 23, 0, 40), 7):
        assert 0 < tile.height <= 7 and 0 < tile.width <= 7
        seen[tile.top : tile.bottom, tile.left : tile.right] += 1
    assert (seen[3:] == 1).all() and (seen[:3] == 0).all()
    assert list(tiles(Window(0, 7, 0, 7), 7)) == [Window(0, 7, 0, 7)]


def test_pieces_and_renderings_are_the_whole() -> None:
    canvas = Whole(noise(1, 3, 30, 41))
    window = Window(5, 29, 2, 40)
    assert torch.equal(pieces(canvas.look, window, 9), canvas.look(window))
    assert (render(canvas.look, canvas.size, np.uint8, 8) == levels(canvas.x, np.uint8)).all()


@pytest.mark.parametrize("size", [(60, 90), (17, 31), (240, 350), (1, 1), (480, 31)])
def test_scaled_is_what_torch_makes_of_it(size: tuple[int, int]) -> None:
    x = noise(1, 3, 120, 175)
    expected = torch.nn.functional.interpolate(x, size=size, mode="bicubic", antialias=True)
    assert (whole(Scaled(Whole(x), size)) - expected).abs().max() < 1e-3


@pytest.mark.parametrize("size", [(300, 420), (200, 301), (640, 1300)])
def test_scaled_is_the_same_through_every_window(size: tuple[int, int]) -> None:
    scaled = Scaled(Whole(noise(1, 3, 500, 700)), size)
    all_of_it = everything(scaled)
    corner = Window(size[0] - 5, size[0], size[1] - 90, size[1])
    for window in (Window(0, 31, 0, 20), Window(77, 191, 50, 180), corner):
        assert (scaled.look(window) - window.of(whole(scaled), all_of_it)).abs().max() < 1e-5


def test_an_even_ground_stays_even() -> None:
    for inside, out in [(7, 3), (3, 7), (1, 5), (1000, 3)]:
        first, weights = filter_matrix(inside, out, 0, out)
        assert torch.allclose(weights.sum(dim=1), torch.ones(out)) and first == 0 and weights.shape[1] <= inside


def test_the_same_size_is_not_filtered() -> None:
    x = noise(1, 3, 9, 9)
    assert torch.equal(whole(Scaled(Whole(x), (9, 9))), x)


def test_mirrored() -> None:
    row = torch.arange(4.0).expand(1, 3, 1, 4)
    canvas = Mirrored(Whole(row), (3, 11))
    assert whole(canvas)[0, 0].tolist() == [[0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]] * 3
    assert canvas.look(Window(1, 2, 4, 8))[0, 0].tolist() == [[2, 1, 0, 1]]
    assert whole(Mirrored(Whole(row[..., :1]), (1, 4)))[0, 0].tolist() == [[0, 0, 0, 0]]
