from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from studio.capabilities import Translator
from studio.errors import CheckpointError
from studio.formats import convert
from tests.formats.foreign import converted, shaken


class Nested(nn.Module):
    """A level of the authors' U-Net, around those within: what it is given, beside what comes back from there."""

    def __init__(self, outer: int, inner: int, within: nn.Module | None, given: int | None, batch_norm: bool) -> None:
        super().__init__()
        norm = lambda c: nn.BatchNorm2d(c) if batch_norm else nn.InstanceNorm2d(c)
        bias, self.outermost = not batch_norm, given is not None
        down = nn.Conv2d(given or outer, inner, 4, 2, 1, bias=bias)
        width = inner if within is None else 2 * inner
        up = nn.ConvTranspose2d(width, outer, 4, 2, 1, bias=True if self.outermost else bias)
        if self.outermost:
            layers = [down, within, nn.ReLU(True), up, nn.Tanh()]
        elif within is None:
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm(outer)]
        else:
            around = [nn.LeakyReLU(0.2, True), down, norm(inner)], [nn.ReLU(True), up, norm(outer), nn.Dropout(0.5)]
            layers = [*around[0], within, *around[1]]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        # the first activation works in place, so that what is passed over has been activated
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


def unet(width: int, halvings: int, batch_norm: bool) -> nn.Module:
    block = Nested(8 * width, 8 * width, None, None, batch_norm)
    for _ in range(halvings - 5):
        block = Nested(8 * width, 8 * width, block, None, batch_norm)
    for outer in (4, 2, 1):
        block = Nested(outer * width, 2 * outer * width, block, None, batch_norm)
    network = nn.Module()
    network.model = Nested(3, width, block, 3, batch_norm)
    return shaken(network)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_pictures_are_those_of_the_authors_program(batch_norm: bool, tmp_path: Path) -> None:
    theirs = unet(2, 6, batch_norm)
    ours = converted(theirs.state_dict(), tmp_path, "latest_net_G.pth", "pix2pix")
    assert isinstance(ours, Translator)
    assert (ours.multiple, ours.config.width, ours.config.affine) == (64, 2, batch_norm)
    for module in theirs.modules():  # batch normalisation as in training, dropout not
        module.train(isinstance(module, nn.BatchNorm2d))
    x = torch.rand(2, 3, 128, 192) * 2 - 1
    each = torch.cat([theirs.model(one.clone()) for one in x.split(1)])
    assert torch.allclose(ours.translate(x), each, atol=1e-4)


class Flat(nn.Module):
    """HugGAN's, of pictures whose side is halved six times."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths, inside = [width * min(2**i, 8) for i in range(6)], 3
        for i, out in enumerate(widths):
            norm = [nn.InstanceNorm2d(out)] if 0 < i < 5 else []
            self._add(f"down{i + 1}", nn.Conv2d(inside, out, 4, 2, 1, bias=False), *norm, nn.LeakyReLU(0.2))
            inside = out
        for i, out in enumerate(widths[-2::-1]):
            up = nn.ConvTranspose2d(inside, out, 4, 2, 1, bias=False)
            self._add(f"up{i + 1}", up, nn.InstanceNorm2d(out), nn.ReLU())
            inside = 2 * out
        last = nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(inside, 3, 4, padding=1)
        self.final = nn.Sequential(nn.Upsample(scale_factor=2), *last, nn.Tanh())

    def _add(self, name: str, *layers: nn.Module) -> None:
        block = nn.Module()
        block.model = nn.Sequential(*layers)
        self.add_module(name, block)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for i in range(6):
            x = self.get_submodule(f"down{i + 1}").model(x)
            seen.append(x)
        x = seen.pop()
        for i in range(5):
            x = torch.cat([self.get_submodule(f"up{i + 1}").model(x), seen.pop()], dim=1)
        return self.final(x)


def test_pictures_are_those_of_huggans_program(tmp_path: Path) -> None:
    theirs = shaken(Flat(2))
    ours = converted(theirs.state_dict(), tmp_path, "pytorch_model.bin", "pix2pix")
    x = torch.rand(1, 3, 128, 128) * 2 - 1
    assert torch.allclose(ours.translate(x), theirs(x), atol=1e-4)


def test_too_few_levels_are_refused(tmp_path: Path) -> None:
    state = {"model.model.0.weight": torch.ones(4, 3, 4, 4), "model.model.3.weight": torch.ones(8, 3, 4, 4)}
    torch.save(state, tmp_path / "flat.pth")
    said = "flat.pth halves its pictures once, a pix2pix twice or more; get it again"
    with pytest.raises(CheckpointError, match=said):
        convert(tmp_path / "flat.pth", tmp_path / "out")
