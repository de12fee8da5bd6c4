import cv2
import numpy as np
import pytest
import torch

from studio.fills import FILLS
from tests.tiny_style import blobs


@pytest.mark.parametrize("name", FILLS.names())
def test_what_is_known_stays_and_what_is_hidden_is_ignored(name: str) -> None:
    picture = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(1, 1, 40, 50, dtype=torch.bool)
    mask[:, :, 10:13, 5:45] = mask[:, :, 18:36, 20:40] = True
    fill = FILLS.get(name)
    found = fill(torch.where(mask, float("nan"), picture), mask)
    assert torch.equal(found, fill(torch.where(mask, -7.0, picture), mask))
    assert torch.equal(torch.where(mask, 0, found), torch.where(mask, 0, picture))
    assert found.dtype == picture.dtype and found.isfinite().all()


@pytest.mark.parametrize("name", FILLS.names())
def test_one_colour_goes_on(name: str) -> None:
    colours = torch.tensor([-0.4, 0.1, 0.9]).view(1, 3, 1, 1).expand(1, 3, 30, 30)
    mask = torch.zeros(1, 1, 30, 30, dtype=torch.bool)
    mask[:, :, 8:20, 8:20] = True
    assert torch.allclose(FILLS.get(name)(colours, mask), colours, atol=1 / 127.5)


@pytest.mark.parametrize(("name", "method"), [("telea", cv2.INPAINT_TELEA), ("ns", cv2.INPAINT_NS)])
def test_as_opencv_fills_bytes(name: str, method: int) -> None:
    levels, holes = blobs(80, 90), np.zeros((80, 90), np.uint8)
    cv2.line(holes, (5, 10), (80, 70), 1, 3)
    theirs = cv2.inpaint(levels, holes, 3, method).astype(np.float32)
    x = torch.from_numpy(levels / np.float32(127.5) - 1).permute(2, 0, 1)[None].contiguous()
    ours = (FILLS.get(name)(x, torch.from_numpy(holes > 0)[None, None])[0].permute(1, 2, 0).numpy() + 1) * 127.5
    # it rounds after every step where it fills bytes
    assert np.abs(ours - theirs)[holes > 0].mean() < 3
