"""Every kind of generator that is imported opens in the explore tab: its sliders, its walks and its dials."""

from pathlib import Path

import pytest
import torch
from torch import nn

from studio.checkpoint import ModelInfo, save_checkpoint
from studio.engine import Engine
from studio.explore import Explorer, ExploreSettings
from studio.library import Library
from studio.models import MODELS

SETTINGS = {
    "dcgan": dict(resolution=16, z_dim=8, width=4),
    "fastgan": dict(resolution=32, z_dim=8, width=4, last_excited=512, tanh=False),
    "lightweight_gan": dict(resolution=16, z_dim=8, widths=[8, 4]),
    "stylegan2_light": dict(resolution=16, w_dim=8, mapping_layers=2, mapping_rate=1.0, capacity=2),
    "biggan": dict(resolution=16, classes=3, z_dim=8, width=8, widths=[4, 4, 2, 2, 1], attention=2, measured=3),
}


@pytest.mark.parametrize("model", SETTINGS)
def test_sliders_walks_and_dials(model: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    family = MODELS.get(model)
    config = family.config.from_dict(SETTINGS[model])
    network = family.build(config)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):  # fresh statistics and weights leave hardly anything to be seen
            layer.running_var.fill_(0.05)
    save_checkpoint(tmp_path / "it", ModelInfo(model, config.to_dict(), ""), network, "", dtype=torch.float32)
    explorer = Explorer(Engine(Library((tmp_path,)), device="cpu"))
    start = ExploreSettings(model="it", seed=3)
    picture = explorer.picture(start)
    assert picture.shape == (1, 3, network.resolution, network.resolution) and picture.isfinite().all()
    assert torch.allclose(explorer.picture(start.replace(walk=1.0, to_seed=3)), picture, atol=1e-4)
    changes = [dict(seed=4), dict(psi=1.0), dict(walk=0.5, path="z"), dict(mix_coarse=1.0)]
    for change in changes:
        assert not torch.allclose(explorer.picture(start.replace(**change)), picture, atol=1e-4), change
    dials = explorer.dials("it")
    assert len(dials.effects) > 0
    turned = explorer.picture(start.replace(dials=(1.0, *(0.0,) * 7)))
    assert not torch.allclose(turned, picture, atol=1e-3)
