import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from studio.canvas import Pixels, Whole, floats
from studio.fills import FILLS
from studio.holes import DEEP, fill_holes
from tests.tiny_restore import MeanInpainter
from tests.tiny_style import blobs

CPU = torch.device("cpu")


def cracks(height: int, width: int, count: int = 25) -> np.ndarray:
    random, mask = np.random.default_rng(1), np.zeros((height, width), np.uint8)
    for _ in range(count):
        start = random.integers(0, (width, height))
        for _ in range(5):
            end = start + random.integers(-60, 61, 2)
            cv2.line(mask, start.tolist(), end.tolist(), 1, int(random.integers(1, 5)))
            start = end
    return mask > 0


def test_patches_give_what_one_pass_gives() -> None:
    """Of a network that looks no farther than the context; the passes differ in their size alone."""
    pixels, mask = blobs(520, 904), cracks(520, 904)
    network = MeanInpainter(reach=20)

    def fill(x: torch.Tensor, holes: torch.Tensor) -> torch.Tensor:
        sides = (0, -x.shape[3] % 8, 0, -x.shape[2] % 8)
        filled = network.fill(F.pad(x, sides), F.pad(holes.float(), sides, value=1.0))
        return filled[:, :, : x.shape[2], : x.shape[3]]

    found = fill_holes(Pixels(pixels, CPU), mask, fill)
    assert len(network.sizes) > 3
    once = network.fill(floats(pixels, CPU), torch.from_numpy(mask)[None, None].float())
    whole = once[0].permute(1, 2, 0).numpy()[mask]
    assert np.abs(found.colours - whole).max() < 1e-5
    assert np.array_equal(found.places, np.flatnonzero(mask))


def test_wide_holes_are_filled_from_coarse_to_fine() -> None:
    y, x = np.mgrid[:600, :700] / 700
    smooth = torch.from_numpy(np.stack([x, y, x * y])).float()[None]
    mask = np.zeros((600, 700), bool)
    mask[np.hypot(700 * y - 300, 700 * x - 330) < 150] = True
    mask[20, 30:600] = True
    sizes = []

    def fill(picture: torch.Tensor, holes: torch.Tensor) -> torch.Tensor:
        sizes.append(float(cv2.distanceTransform(holes[0, 0].numpy().astype(np.uint8), cv2.DIST_L2, 5).max()))
        return FILLS.get("ns")(picture, holes)

    found = fill_holes(Whole(torch.where(torch.from_numpy(mask), 9.0, smooth)), mask, fill)
    assert max(sizes) <= DEEP + 1  # no pass has met a hole that is deeper
    truth = smooth[0].permute(1, 2, 0).numpy()[mask]
    assert np.abs(found.colours - truth).mean() < 0.05 and np.abs(found.colours).max() < 1.2


def test_every_place_is_counted_once_and_work_can_be_stopped() -> None:
    pixels, mask = blobs(500, 500), cracks(500, 500)
    mask[100:400, 100:400] = True
    settled = []
    fill_holes(Pixels(pixels, CPU), mask, FILLS.get("ns"), settled.append)
    assert sum(settled) == mask.sum() and len(settled) > 4

    def stop(count: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fill_holes(Pixels(pixels, CPU), mask, FILLS.get("ns"), stop)


def test_one_known_pixel_is_enough() -> None:
    mask = np.ones((130, 140), bool)
    mask[3, 4] = False
    x = torch.full((1, 3, 130, 140), 5.0)
    x[:, :, 3, 4] = 0.25
    found = fill_holes(Whole(x), mask, FILLS.get("ns"))
    assert np.abs(found.colours - 0.25).max() < 0.01
