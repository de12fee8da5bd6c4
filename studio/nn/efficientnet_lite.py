"""EfficientNet-Lite0, for inference.

Tan & Le 2019, "EfficientNet: Rethinking Model Scaling", arXiv:1905.11946, in its Lite form of 2020: ReLU6, no
squeeze-and-excitation. Batch normalisation is folded into the convolutions when the weights are loaded.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESOLUTION = 224
DIM = 1280
CLASSES = 1000  # of ImageNet

_STEM = 32
_STAGES = (  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_BN_EPSILON = 1e-3  # the weights come from TensorFlow, whose default this is


class _Conv(nn.Conv2d):
    """Convolution that pads as TensorFlow's "SAME" does for even sizes: the odd pixel goes right and below."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        super().__init__(in_channels, out_channels, kernel, stride, before if before == after else 0, groups=groups)
        self._uneven = None if before == after else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self._uneven is None else F.pad(x, self._uneven))


class _Block(nn.Module):
    """Inverted residual: expand, filter each channel, project."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand = _Conv(in_channels, inner, 1) if expansion > 1 else None
        self.depthwise = _Conv(inner, inner, kernel, stride, groups=inner)
        self.project = _Conv(inner, out_channels, 1)
        self._residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self._residual else y


class EfficientNetLite0(nn.Module):
    """x [N, 3, 224, 224], RGB, (value - 127) / 128 of 0..255 -> pooled features [N, 1280] in [0, 6].

    `classifier` maps the features to the logits of ImageNet's classes [N, 1000].
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, _STEM, 3, stride=2)
        blocks, channels = [], _STEM
        for count, kernel, stride, expansion, out_channels in _STAGES:
            for i in range(count):
                blocks.append(_Block(channels, out_channels, kernel, stride if i == 0 else 1, expansion))
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = _Conv(channels, DIM, 1)
        self.classifier = nn.Linear(DIM, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu6(self.stem(x)))
        return F.relu6(self.head(x)).mean(dim=(2, 3))

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Load the published state dict, with its batch normalisation.

        Raises KeyError for a missing weight and RuntimeError for one of another shape.
        """
        state = {}
        for name, module in self.named_modules():
            if isinstance(module, _Conv):
                conv, norm = _published_names(name)
                state[f"{name}.weight"], state[f"{name}.bias"] = _fold(weights, conv, norm)
        state["classifier.weight"], state["classifier.bias"] = weights["_fc.weight"], weights["_fc.bias"]
        self.load_state_dict(state)


def _published_names(name: str) -> tuple[str, str]:
    """The published names of a convolution and of the normalisation behind it."""
    if name == "stem":
        return "_conv_stem", "_bn0"
    if name == "head":
        return "_conv_head", "_bn1"
    _, index, part = name.split(".")
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
    return f"_blocks.{index}._{part}_conv", f"_blocks.{index}.{norm}"


def _fold(weights: Mapping[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what conv and normalisation did."""
    gain = weights[f"{norm}.weight"] * (weights[f"{norm}.running_var"] + _BN_EPSILON).rsqrt()
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return weights[f"{conv}.weight"] * gain[:, None, None, None], bias
