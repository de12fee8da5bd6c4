import pytest
import torch
import torch.nn.functional as F

from studio.nn import packed
from studio.nn.packed import PackedConv


@pytest.mark.parametrize("operators", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("side", [4, 7])
def test_equals_the_ordinary_convolution(
    monkeypatch: pytest.MonkeyPatch, operators: bool, count: int, side: int
) -> None:
    if not operators:
        monkeypatch.setattr(packed, "_pack", lambda *_: None)
    weight = torch.randn(12, 20, 3, 3, generator=torch.Generator().manual_seed(0))
    x = torch.randn(count, 20, side, side).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(PackedConv(weight, (4, 4))(x), F.conv2d(x, weight, padding=1), atol=1e-4, rtol=1e-4)
    up = PackedConv(weight, (4, 4), transposed=True)(x)
    torch.testing.assert_close(up, F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), atol=1e-4, rtol=1e-4)


def test_this_torch_has_the_operators() -> None:
    """They are not public: where a release drops them, this fails, and pictures still come, slower."""
    conv = PackedConv(torch.zeros(8, 8, 3, 3), (4, 4))
    assert (conv.packed is not None) == torch.backends.mkldnn.is_available()
    assert (conv.weight is None) == (conv.packed is not None)


def test_weights_are_kept_once() -> None:
    assert sum(b.numel() for b in PackedConv(torch.zeros(8, 8, 3, 3), (4, 4)).buffers()) == 8 * 8 * 9
