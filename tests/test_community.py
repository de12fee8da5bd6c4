from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from studio.capabilities import Upscaler
from studio.community import Networks, network_at, public_name
from studio.errors import CheckpointError
from studio.files import sha256
from tests.tiny_restore import RepeatUpscaler, TinyEngine


def save(path: Path, scale: int) -> Path:
    save_file(Compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=scale).state_dict(), path)
    return path


def test_a_file_is_loaded_once_and_again_when_it_changes(tmp_path: Path) -> None:
    networks, path = Networks(TinyEngine()), save(tmp_path / "big.safetensors", 2)
    with networks.use(path) as first, networks.use(path) as second:
        assert first is second and isinstance(first.network, Upscaler) and networks.engine.held()
    assert (first.name, first.info.sha256, first.info.title) == ("big", sha256(path), "big")
    save(path, 4)
    with networks.use(path) as third:
        assert third.network.scale == 4


def test_a_name_is_the_librarys() -> None:
    network = RepeatUpscaler(2)
    with Networks(TinyEngine(upscale=network)).use("upscale") as model:
        assert model.network is network and torch.is_inference_mode_enabled()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none.pth cannot be read \(No such file or directory\)"):
        with Networks(TinyEngine()).use(tmp_path / "none.pth"):
            pass


def test_words_and_names() -> None:
    assert network_at("inpaint") == "inpaint" and network_at("runs/mine") == "runs/mine"
    assert network_at("x/big-lama.PTH") == Path("x/big-lama.PTH")
    with Networks(TinyEngine(**{"/home/me/models/mine/": RepeatUpscaler(1)})).use("/home/me/models/mine/") as model:
        assert public_name(model) == "mine"
