"""CycleGAN's, CUT's and HugGAN's generators."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.capabilities import Translator
from studio.errors import CheckpointError
from studio.formats import convert
from tests.formats.foreign import converted, shaken


class Residual(nn.Module):
    def __init__(self, name: str, layers: list[nn.Module]) -> None:
        super().__init__()
        self.add_module(name, nn.Sequential(*layers))
        self.forward = lambda x: x + getattr(self, name)(x)


class Blurred(nn.Module):
    """Half or twice the side, filtered; the filter is stored, as CUT stores it."""

    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        self.up = up
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0] if up else [1.0, 2.0, 1.0])
        taps = taps / taps.sum() * (2 if up else 1)
        self.register_buffer("filt", (taps[:, None] * taps).expand(channels, 1, -1, -1).clone())

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        if not self.up:
            return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, groups=n)[:, :, ::2, ::2]
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        zeros = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        zeros[:, :, ::2, ::2] = x
        return F.conv2d(zeros, self.filt, groups=n)[:, :, :-1, :-1]


def generator(
    program: str, width: int = 4, blocks: int = 2, a: int = 3, b: int = 3, batch_norm: bool = False,
    dropout: bool = False,
) -> nn.Module:
    norm = (lambda c: nn.BatchNorm2d(c)) if batch_norm else lambda c: nn.InstanceNorm2d(c)
    conv = lambda i, o, k, **more: nn.Conv2d(i, o, k, bias=not batch_norm, **more)
    layers = [nn.ReflectionPad2d(3), conv(a, width, 7), norm(width), nn.ReLU()]
    for c in (width, 2 * width):
        layers += [conv(c, 2 * c, 3, padding=1, stride=1 if program == "cut" else 2), norm(2 * c), nn.ReLU()]
        layers += [Blurred(2 * c, up=False)] if program == "cut" else []
    c = 4 * width
    for _ in range(blocks):
        half = [nn.ReflectionPad2d(1), conv(c, c, 3), norm(c)]
        again = [nn.ReflectionPad2d(1), conv(c, c, 3), norm(c)]
        between = [nn.ReLU(), nn.Dropout(0.5)] if dropout else [nn.ReLU()]
        layers.append(Residual("block" if program == "huggan" else "conv_block", half + between + again))
    for c in (4 * width, 2 * width):
        if program == "junyanz":
            layers.append(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, output_padding=1, bias=not batch_norm))
        else:
            grow = Blurred(c, up=True) if program == "cut" else nn.Upsample(scale_factor=2)
            layers += [grow, conv(c, c // 2, 3, padding=1)]
        layers += [norm(c // 2), nn.ReLU()]
    network = nn.Module()
    network.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, b, 7), nn.Tanh())
    return shaken(network)


@pytest.mark.parametrize("program", ["junyanz", "cut", "huggan"])
@pytest.mark.parametrize("dropout", [False, True])
def test_pictures_are_those_of_the_programs(program: str, dropout: bool, tmp_path: Path) -> None:
    theirs = generator(program, dropout=dropout and program != "huggan")
    ours = converted(theirs.state_dict(), tmp_path, "latest_net_G_A.pth", "cyclegan")
    assert isinstance(ours, Translator)
    assert (ours.config.blocks, ours.config.width, ours.config.affine) == (2, 4, False)
    x = torch.rand(2, 3, 24, 32) * 2 - 1
    assert torch.allclose(ours.translate(x), theirs.model(x), atol=1e-4)


def test_what_was_measured_in_training_is_left_out(tmp_path: Path) -> None:
    theirs = generator("junyanz")
    measured = {"model.2.running_mean": torch.ones(4), "model.2.running_var": torch.ones(4)}
    state = {f"module.{name}": tensor for name, tensor in {**theirs.state_dict(), **measured}.items()}
    ours = converted(state, tmp_path, "200_net_G.pth", "cyclegan")
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    assert torch.allclose(ours.translate(x), theirs.model(x), atol=1e-4)


def test_batch_normalisation_is_that_of_a_batch_of_one(tmp_path: Path) -> None:
    theirs = generator("junyanz", batch_norm=True).train()
    ours = converted(theirs.state_dict(), tmp_path, "latest_net_G.pth", "cyclegan")
    x = torch.rand(2, 3, 16, 20) * 2 - 1
    each = torch.cat([theirs.model(one) for one in x.split(1)])
    assert ours.config.affine and torch.allclose(ours.translate(x), each, atol=1e-4)


def test_grey_pictures_are_given_and_taken_in_colour(tmp_path: Path) -> None:
    theirs = generator("junyanz", a=1, b=1)
    ours = converted(theirs.state_dict(), tmp_path, "latest_net_G.pth", "cyclegan")
    x = torch.rand(1, 1, 16, 16) * 2 - 1
    assert torch.allclose(ours.translate(x.expand(-1, 3, -1, -1)), theirs.model(x).expand(-1, 3, -1, -1), atol=1e-4)


def test_another_depth_is_refused(tmp_path: Path) -> None:
    state = generator("junyanz").state_dict()
    del state["model.4.weight"]
    torch.save(state, tmp_path / "odd.pth")
    said = "odd.pth has 5 convolutions besides its blocks, a CycleGAN 6; give another"
    with pytest.raises(CheckpointError, match=said):
        convert(tmp_path / "odd.pth", tmp_path / "out")
