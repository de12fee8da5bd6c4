import dataclasses
import errno
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import studio.checkpoint
from studio.checkpoint import (
    CARD, INFO, WEIGHTS, ModelInfo, load_network, read_info, save_checkpoint, weights_bytes,
)
from studio.config import Config
from studio.errors import CheckpointError, DiskError
from studio.files import sha256
from studio.models import MODELS, ModelFamily
from studio.models.stylegan2 import StyleGAN2Generator


@pytest.fixture
def saved(tmp_path: Path, save_tiny: Callable[..., Path]) -> Path:
    return save_tiny(tmp_path / "tiny")


def rewrite_info(folder: Path, **changes: object) -> None:
    values = json.loads((folder / INFO).read_text())
    (folder / INFO).write_text(json.dumps({**values, **changes}))


def rewrite_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors, and the hash beside them: a file that is whole, but of something else."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / WEIGHTS)
    rewrite_info(folder, sha256=sha256(folder / WEIGHTS))


def message(folder: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        load_network(folder)
    return str(error.value)


# --- there and back


def test_there_and_back(saved: Path, make_generator: Callable[..., StyleGAN2Generator]) -> None:
    G, loaded = make_generator(), load_network(saved)
    assert list(loaded.state_dict()) == list(G.state_dict())
    for name, tensor in G.state_dict().items():
        assert loaded.state_dict()[name].equal(tensor), name
        assert loaded.state_dict()[name].dtype == torch.float32
    z = torch.randn(2, 8)
    assert loaded.generate(z, psi=0.7).equal(G.generate(z, psi=0.7))


def test_ready_to_run(saved: Path) -> None:
    loaded = load_network(saved)
    assert not any(module.training for module in loaded.modules())
    assert not any(p.requires_grad for p in loaded.parameters())
    assert all(t.device.type == "cpu" for t in loaded.state_dict().values())
    weight = loaded.synthesis_network.b16.conv0.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype, bits, tiniest", [(torch.float16, 11, 2.0**-25), (torch.bfloat16, 8, 0.0)])
def test_half_the_bytes_for_a_bounded_rounding(
    tmp_path: Path, make_generator: Callable[..., StyleGAN2Generator], dtype: torch.dtype, bits: int, tiniest: float
) -> None:
    G = make_generator()
    info = ModelInfo("stylegan2", G.config.to_dict(), "")
    for folder, stored in ((tmp_path / "half", dtype), (tmp_path / "full", torch.float32)):
        save_checkpoint(folder, info, G, "", dtype=stored)
    sizes = [
        sum(t.numel() * t.element_size() for t in load_file(tmp_path / f / WEIGHTS).values())
        for f in ("half", "full")
    ]
    assert sizes[0] * 2 == sizes[1]
    loaded = load_network(tmp_path / "half").state_dict()
    for name, tensor in G.state_dict().items():
        assert loaded[name].dtype == torch.float32
        assert ((loaded[name] - tensor).abs() <= tensor.abs() * 2.0**-bits + tiniest).all(), name


def test_fp16_is_what_is_written_unless_told(
    tmp_path: Path, make_generator: Callable[..., StyleGAN2Generator]
) -> None:
    G = make_generator()
    save_checkpoint(tmp_path / "x", ModelInfo("stylegan2", G.config.to_dict(), ""), G, "")
    assert {t.dtype for t in load_file(tmp_path / "x" / WEIGHTS).values()} == {torch.float16}


class Counting(nn.Module):
    """A network with everything that is not a weight: counts, buffers that are stored and not, a plain tensor."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.line = nn.Linear(1, 1)
        self.register_buffer("used", torch.zeros(3, dtype=torch.bool))
        self.register_buffer("level", torch.zeros([], dtype=torch.uint8))
        self.register_buffer("ramp", torch.arange(4.0) / 4, persistent=False)
        self.kernel = torch.tensor([1.0, 2.0, 1.0])


@dataclass(frozen=True)
class NoConfig(Config):
    """Of a network without settings."""


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    family = ModelFamily(NoConfig, Counting, "none", "Counting", "none")
    monkeypatch.setitem(MODELS._things, "counting", family)
    network = Counting(NoConfig()).eval()
    network.norm.num_batches_tracked.fill_(70_001)  # past the range of fp16, and of what it counts exactly
    network.norm.running_mean.copy_(torch.tensor([0.5, -2.0]))
    network.norm.running_var.copy_(torch.tensor([0.25, 4.0]))
    network.used[1] = True
    network.level.fill_(255)
    return network


def test_whole_numbers_stay_whole(tmp_path: Path, counting: Counting) -> None:
    folder = save_checkpoint(tmp_path / "x", ModelInfo("counting", {}, ""), counting, "")
    kinds = {name: t.dtype for name, t in load_file(folder / WEIGHTS).items() if t.dtype != torch.float16}
    assert kinds == {"norm.num_batches_tracked": torch.int64, "used": torch.bool, "level": torch.uint8}
    loaded = load_network(folder)
    assert loaded.norm.num_batches_tracked.dtype == torch.int64 and loaded.norm.num_batches_tracked.item() == 70_001
    assert loaded.used.tolist() == [False, True, False] and loaded.level.item() == 255
    rewrite_weights(folder, lambda tensors: tensors.update(used=torch.zeros(3)))
    assert message(folder) == f"{folder / WEIGHTS}: used is F32, not one of BOOL; get this model again"


def test_what_is_not_stored_is_computed(tmp_path: Path, counting: Counting) -> None:
    loaded = load_network(save_checkpoint(tmp_path / "x", ModelInfo("counting", {}, ""), counting, ""))
    assert loaded.ramp.tolist() == [0, 0.25, 0.5, 0.75] and loaded.kernel.tolist() == [1, 2, 1]
    x = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    # (1 - 0.5) / 0.5 and (2 + 2) / 2
    assert loaded.norm(x).flatten().tolist() == pytest.approx([1, 2], abs=1e-4)


def test_a_tensor_that_is_no_buffer_is_computed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: Config) -> nn.Module:
        network = nn.Linear(1, 1)
        network.kernel = torch.tensor([1.0, 2.0, 1.0])
        return network

    monkeypatch.setitem(MODELS._things, "plain", ModelFamily(NoConfig, build, "none", "Plain", "none"))
    folder = save_checkpoint(tmp_path / "x", ModelInfo("plain", {}, ""), build(NoConfig()), "")
    assert load_network(folder).kernel.tolist() == [1, 2, 1]


def test_loading_draws_no_random_numbers(tmp_path: Path, counting: Counting) -> None:
    folder = save_checkpoint(tmp_path / "x", ModelInfo("counting", {}, ""), counting, "")
    before = torch.random.get_rng_state()
    load_network(folder)
    assert torch.random.get_rng_state().equal(before)


def test_what_weights_will_take_in_memory(tmp_path: Path, saved: Path, counting: Counting) -> None:
    assert weights_bytes(saved) == sum(4 * t.numel() for t in load_file(saved / WEIGHTS).values())
    half = save_checkpoint(tmp_path / "x", ModelInfo("counting", {}, ""), counting, "")
    assert weights_bytes(half) == (8 + 2) * 4 + (1 + 3 + 1) * 8
    (saved / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="is missing; get this model again$"):
        weights_bytes(saved)


def test_what_is_in_the_folder(tmp_path: Path, make_generator: Callable[..., StyleGAN2Generator]) -> None:
    G = make_generator()
    info = ModelInfo(
        model="stylegan2",
        config=G.config.to_dict(),
        sha256="of another file",
        title="字",
        data="200 strokes",
        data_licence="CC0",
        licence="MIT",
        kimg=12.5,
        training={"hours": 3},
        metrics={"Lite0-KID": 0.01},
    )
    folder = save_checkpoint(tmp_path / "x", info, G, "# 字\n", {"samples.jpg": b"jpeg"})
    assert sorted(f.name for f in folder.iterdir()) == [CARD, INFO, WEIGHTS, "samples.jpg"]
    assert (folder / CARD).read_text(encoding="utf-8") == "# 字\n"
    assert (folder / "samples.jpg").read_bytes() == b"jpeg"
    assert read_info(folder) == dataclasses.replace(info, sha256=sha256(folder / WEIGHTS))
    assert read_info(folder).network_config() == G.config
    assert json.loads((folder / INFO).read_text())["version"] == 1


def test_only_a_checkpoint_is_replaced(tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    save_tiny(tmp_path / "empty")
    before = read_info(tmp_path / "empty").sha256
    save_tiny(tmp_path / "empty", seed=1)
    assert read_info(tmp_path / "empty").sha256 != before
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").write_bytes(b"the only picture of the cat")
    with pytest.raises(
        CheckpointError, match="pictures holds files that are no checkpoint; give an empty or another folder$"
    ):
        save_tiny(tmp_path / "pictures")
    assert [f.name for f in (tmp_path / "pictures").iterdir()] == ["cat.jpg"]


# --- a save that fails


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_weights_that_do_not_fit_are_not_saved(
    tmp_path: Path, make_generator: Callable[..., StyleGAN2Generator], value: float
) -> None:
    G = make_generator()
    G.synthesis_network.b8.conv1.bias[3] = value
    with pytest.raises(
        CheckpointError, match=r"^synthesis_network\.b8\.conv1\.bias holds values that torch\.float16 cannot"
    ):
        save_checkpoint(tmp_path / "x", ModelInfo("stylegan2", G.config.to_dict(), ""), G, "")
    assert list(tmp_path.iterdir()) == []


def refusals() -> dict[str, tuple[object, str, object]]:
    def by_system(*args: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def by_safetensors(*args: object, **more: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    return {
        "weights": (studio.checkpoint, "save_file", by_safetensors),
        "info": (studio.checkpoint, "write_json", by_system),
        "card": (Path, "write_text", by_system),
        "flush": (os, "fsync", by_system),
        "rename": (os, "replace", by_system),
    }


@pytest.mark.parametrize("step", refusals())
def test_a_full_disk_leaves_nothing_behind_and_nothing_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_tiny: Callable[..., Path], step: str
) -> None:
    old = save_tiny(tmp_path / "old")
    before = {f.name: f.read_bytes() for f in old.iterdir()}
    monkeypatch.setattr(*refusals()[step])
    for name in ("old", "other"):
        with pytest.raises(DiskError, match=f"^the disk of .*{name}.* is full; free some space and try again$"):
            save_tiny(tmp_path / name, seed=1)
    assert [f.name for f in tmp_path.iterdir()] == ["old"]
    assert {f.name: f.read_bytes() for f in old.iterdir()} == before


# --- wrong weights


def test_every_wrong_key_is_named(saved: Path) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        del tensors["synthesis_network.b4.const"], tensors["mapping_network.w_avg"]
        tensors["discriminator.bias"] = torch.zeros(1)
        tensors["ema"] = torch.zeros(1)
        tensors["mapping_network.fc0.weight"] = torch.zeros(8, 9)
        tensors["synthesis_network.b16.conv1.noise_strength"] = torch.zeros(1)

    rewrite_weights(saved, spoil)
    text = message(saved)
    assert "lacks mapping_network.w_avg, synthesis_network.b4.const;" in text
    assert "has the unknown discriminator.bias, ema;" in text
    assert "has mapping_network.fc0.weight of shape [8, 9], not [8, 8];" in text
    assert "has synthesis_network.b16.conv1.noise_strength of shape [1], not [];" in text
    assert text.endswith("get this model again")


def test_a_transposed_weight_is_misshapen_though_as_large(saved: Path) -> None:
    name = "synthesis_network.b16.conv0.weight"
    rewrite_weights(saved, lambda tensors: tensors.update({name: tensors[name].transpose(0, 1)}))
    assert f"has {name} of shape [16, 8, 3, 3], not [8, 16, 3, 3]" in message(saved)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.bool])
def test_weights_that_are_no_weights(saved: Path, dtype: torch.dtype) -> None:
    name = "mapping_network.w_avg"
    rewrite_weights(saved, lambda tensors: tensors.update({name: tensors[name].to(dtype)}))
    assert f"{name} is " in message(saved)
    assert message(saved).endswith(", not one of BF16, F16, F32; get this model again")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(saved: Path, value: float) -> None:
    rewrite_weights(saved, lambda tensors: tensors["synthesis_network.b8.torgb.bias"].fill_(value))
    assert "synthesis_network.b8.torgb.bias holds values that are not finite" in message(saved)


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def zip_of_torch(data: bytes) -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        zip_of_torch,
        lambda data: b"",
        lambda data: b"\x80\x04garbage" * 50,
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:4],
    ],
    ids=["truncated", "a torch file", "empty", "garbage", "a header of exabytes", "four bytes"],
)
def test_a_file_that_is_no_safetensors(saved: Path, damage: Callable[[bytes], bytes]) -> None:
    (saved / WEIGHTS).write_bytes(damage((saved / WEIGHTS).read_bytes()))
    assert "is corrupt or no safetensors file" in message(saved)


def test_one_wrong_bit(saved: Path) -> None:
    data = bytearray((saved / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (saved / WEIGHTS).write_bytes(data)
    assert "is not the file model.json describes: its sha256 is " in message(saved)


def test_weights_whose_hash_nobody_stated(saved: Path) -> None:
    """Pictures would carry no hash, and two such models would be taken for one."""
    values = json.loads((saved / INFO).read_text())
    del values["sha256"]
    (saved / INFO).write_text(json.dumps(values))
    assert "not stated" in message(saved)


def test_weights_that_are_not_there(saved: Path) -> None:
    (saved / WEIGHTS).unlink()
    assert message(saved) == f"{saved / WEIGHTS} is missing; get this model again"


def test_a_config_that_asks_for_gigabytes_gets_none(saved: Path) -> None:
    """1.3 GB of weights, which are laid out without memory before they are compared."""
    config = read_info(saved).config
    rewrite_info(saved, config={**config, "z_dim": 8192, "w_dim": 8192, "channel_base": 262_144, "channel_max": 2048})
    resource = pytest.importorskip("resource", reason="Windows does not tell a process its peak of memory")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "has mapping_network.fc0.weight of shape [8, 8], not [8192, 8192]" in message(saved)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown * (1 if sys.platform == "darwin" else 1024) < 100_000_000


# --- wrong descriptions


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(CheckpointError, match="is no checkpoint: it has no model.json; give a folder that"):
            read_info(folder)
    (tmp_path / INFO).mkdir()
    with pytest.raises(CheckpointError, match="model.json cannot be read"):
        read_info(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"not json", b"\xff\xfe\x00", b"[" * 100_000, b'{"kimg": ' + b"9" * 5000 + b"}"]
)
def test_a_description_that_is_no_json(saved: Path, data: bytes) -> None:
    (saved / INFO).write_bytes(data)
    assert message(saved) == f"{saved / INFO} is not valid JSON; get this model again"


def test_a_description_too_long_to_be_one(saved: Path) -> None:
    (saved / INFO).write_bytes(b" " * ((1 << 20) + 1))
    assert "is over 1 MiB" in message(saved)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        "null",
        "{}",
        '{"model": "stylegan2"}',
        '{"model": 3, "config": {}}',
        '{"model": "stylegan2", "config": []}',
    ],
)
def test_a_description_of_nothing(saved: Path, text: str) -> None:
    (saved / INFO).write_text(text)
    assert "does not name a model and its config" in message(saved)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_version_of_another_time(saved: Path, version: object) -> None:
    rewrite_info(saved, version=version)
    assert f"has format version {version!r}, and this studio reads 1; update the studio" in message(saved)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"title": 3}, "title is not a text"),
        ({"sha256": None}, "sha256 is not a text"),
        ({"training": []}, "training is not a list of names with values"),
        ({"metrics": "good"}, "metrics is not a list of names with values"),
        ({"kimg": "many"}, "kimg is not a number"),
        ({"kimg": True}, "kimg is not a number"),
        ({"kimg": float("nan")}, "kimg is not a number"),
        ({"kimg": -1}, "kimg is not a number"),
        ({"model": "stylgan2"}, "no model named 'stylgan2'; known: "),
        ({"config": {"resolution": 100}}, "resolution=100 is not one of 16, 32, 64, "),
        ({"config": {"resolutions": 64}}, "no setting named 'resolutions'; known: resolution, "),
        ({"config": {"w_dim": "64"}}, "w_dim='64' is not a whole number"),
        ({"config": {"w_dim": float("nan")}}, "w_dim=nan is not a whole number"),
        ({"config": {"w_dim": 10**9}}, "w_dim=1000000000 is outside 1..8192"),
    ],
)
def test_descriptions_that_are_wrong(saved: Path, changes: dict[str, object], text: str) -> None:
    rewrite_info(saved, **changes)
    assert message(saved).startswith(f"{saved / INFO}: {text}")


def test_a_later_studios_further_fields_are_no_error(saved: Path) -> None:
    info, weights = read_info(saved), load_network(saved).state_dict()
    rewrite_info(saved, colour="red")
    assert read_info(saved) == info
    loaded = load_network(saved).state_dict()
    assert all(loaded[name].equal(tensor) for name, tensor in weights.items())
