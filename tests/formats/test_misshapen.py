"""Weights that are missing or of another shape are a sentence, whatever they are, and never another exception."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from studio.errors import CheckpointError
from studio.formats import FORMATS, build
from studio.formats.pickles import Contents
from tests.formats.foreign import shaken
from tests.formats.lucidrains import LightweightGAN, StyleGAN2
from tests.formats.test_biggan import Deep
from tests.formats.test_cyclegan import generator
from tests.formats.test_dcgan import example
from tests.formats.test_pix2pix import Flat, unet

WRONG = (torch.ones(1), torch.ones([]), torch.ones(2, 2, 2, 2), torch.ones(0, 3, 4, 4))


def states() -> dict[str, tuple[str, dict[str, Tensor]]]:
    prefixed = lambda prefix, network: {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    style = StyleGAN2(side=8, w_dim=4, widths=[4, 2], depth=1, attend=8)
    return {
        "dcgan": ("dcgan", prefixed("main.", example(sizes=4))),
        "lightweight_gan": ("lightweight_gan", prefixed("GE.", LightweightGAN("1.2", 6, [8, 7, 6, 5, 4], attend=8))),
        "stylegan2_pytorch": ("stylegan2_pytorch", {**prefixed("SE.", style.S), **prefixed("GE.", style.G)}),
        "cyclegan": ("cyclegan", generator("cut", blocks=1).state_dict()),
        "pix2pix": ("pix2pix", unet(1, 5, True).state_dict()),
        "pix2pix of huggan": ("pix2pix", Flat(1).state_dict()),
        "biggan": ("biggan", shaken(Deep()).state_dict()),
    }


def attempt(format: str, state: dict[str, Tensor]) -> None:
    contents, form = Contents(Path("odd.pth"), state, frozenset()), FORMATS.get(format)
    if form.matches(contents):
        build(form.read(contents), "odd.pth")


@pytest.mark.parametrize("kind", states())
def test_every_other_weight_in_turn(kind: str) -> None:
    format, state = states()[kind]
    attempt(format, state)
    refused = 0
    names = list(state)[::2]
    for i, name in enumerate(names):
        for wrong in (None, WRONG[i % len(WRONG)]):
            changed = {**state, name: wrong}
            if wrong is None:
                del changed[name]
            try:
                attempt(format, changed)
            except CheckpointError as error:
                assert str(error).startswith("odd.pth") and len(str(error)) < 500
                refused += 1
    assert refused > len(names) // 2  # what was measured in training is not always of use


def test_names_made_to_take_for_ever() -> None:
    endless = {f"main.{'9' * n}.weight": torch.ones(1) for n in (5, 5000)}
    deep = {f"model.model.1.model.{'3.model.' * n}0.weight": torch.ones(4, 3, 4, 4) for n in range(300)}
    style = {f"GE.layers.{i}.2.fn.weight": torch.ones(1) for i in range(3000)}
    style |= {"GE.initial_conv.0.weight": torch.ones(1), "GE.out_conv.weight": torch.ones(1)}
    pix2pix = {**deep, "model.model.0.weight": torch.ones(4, 3, 4, 4), "model.model.3.weight": torch.ones(8, 3, 4, 4)}
    began = time.process_time()
    attempt("dcgan", endless)
    for format, state in (("pix2pix", pix2pix), ("lightweight_gan", style)):
        with pytest.raises(CheckpointError, match="^odd.pth") as refused:
            attempt(format, state)
        assert len(str(refused.value)) < 500
    assert time.process_time() - began < 10
