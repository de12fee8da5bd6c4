"""Sample grids that can still be looked at: 64 pictures of 1024 px would make a picture of 67 megapixels."""

from torch import Tensor

from studio.images import grid

GRID_SIDE = 2048  # px
COLUMNS = 2, 8  # the fewest and the most: 4 to 64 pictures


def grid_count(side: int) -> int:
    """How many pictures of `side` px a grid of at most 2048 px a side shows: 64 up to 256 px, 4 from 1024 px on."""
    fewest, most = COLUMNS
    return min(max(GRID_SIDE // side, fewest), most) ** 2


def sample_grid(samples: Tensor) -> Tensor:
    """The first of a recipe's samples [N, C, H, W] as one picture [C, H', W'], as many as `grid_count` allows."""
    shown = samples[: grid_count(max(samples.shape[2:]))]
    columns = next(n for n in range(1, COLUMNS[1] + 1) if n * n >= len(shown))
    return grid(shown, columns)
