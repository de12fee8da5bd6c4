import numpy as np
import torch
from torch import Tensor

from studio.canvas import Canvas, Whole, Window, everything
from studio.retouch import Regions
from studio.styling import Styled, StyleSettings

SIZE = (20, 30)


class Untouched:
    """A painting that takes long."""

    size = SIZE

    def look(self, window: Window) -> Tensor:
        raise AssertionError("painted where nothing of it shows")


def even(level: float) -> Canvas:
    return Whole(torch.full((1, 3, *SIZE), level))


def masks(*columns: tuple[int, int]) -> Regions:
    found = np.zeros((len(columns), *SIZE), np.uint8)
    for mask, (left, right) in zip(found, columns):
        mask[:, left:right] = 255
    return Regions(found, 1)


def test_what_does_not_show_is_not_painted() -> None:
    photo, unpainted = even(-0.5), Window(0, 20, 12, 30)
    covered = Styled(photo, (Untouched(),), StyleSettings(), masks((0, 10)))
    assert (covered.look(unpainted) == -0.5).all()
    none = Styled(photo, (Untouched(),), StyleSettings(strength=0.0))
    assert (none.look(everything(none)) == -0.5).all()


def test_strength_lies_between() -> None:
    half = Styled(even(-0.5), (even(0.5),), StyleSettings(strength=0.25))
    assert torch.allclose(half.look(everything(half)), torch.tensor(-0.25))


def test_each_painting_has_its_region() -> None:
    both = Styled(even(0.0), (even(0.5), even(-0.5)), StyleSettings(), masks((0, 10), (20, 30)))
    row = both.look(everything(both))[0, 0, 10]
    assert (row[:9] - 0.5).abs().max() < 0.01 and (row[21:] + 0.5).abs().max() < 0.01
    assert (row[10:20] == 0).all()
