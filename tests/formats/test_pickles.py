import argparse
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from studio.errors import CheckpointError
from studio.formats import FORMATS, Format, read_contents, recognise
from studio.formats._opcodes import Budget, words
from studio.formats._values import Record
from studio.formats.pickles import Contents, read_pickle

HOW = [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}, None]  # None: a bare pickle


def write(folder: Path, value: object, how: dict | None) -> Path:
    path = folder / "weights.bin"
    if how is None:
        path.write_bytes(pickle.dumps(value))
    else:
        torch.save(value, path, **how)
    return path


@pytest.mark.parametrize("how", HOW)
def test_numbers_come_out_as_they_went_in(tmp_path: Path, how: dict | None) -> None:
    torch.manual_seed(0)
    base = torch.randn(6, 5)
    kinds = [torch.float64, torch.float16, torch.bfloat16]
    kinds += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
    value = {f"as {kind}": (10 * base).abs().to(kind) for kind in kinds}
    value |= {
        "turned": base.t(), "part": base[1:4, ::2], "none": torch.zeros(0, 3), "one": torch.tensor(3.5),
        "yes and no": base > 0, "parameter": torch.nn.Parameter(base.clone()), "tied": base,
    }
    found = read_pickle(write(tmp_path, value, how)).value
    assert found.keys() == value.keys()
    for name, tensor in value.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape, name
        assert found[name].equal(tensor.detach()), name


@pytest.mark.parametrize("how", HOW)
def test_what_lies_beside_weights_is_plain_data(tmp_path: Path, how: dict | None) -> None:
    value = {
        "args": argparse.Namespace(lr=0.1), "step": np.int64(7), "loss": np.float32(0.5), "list": [1, (2, 3), {4}],
        "numbers": np.arange(6.0).reshape(2, 3), "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "bytes": b"\x00\xff", "big": -(2**70), "nothing": None, "size": torch.Size([1, 2]),
        "lists": defaultdict(list, {"a": [1]}), "ordered": OrderedDict(a=1, b=2), 3: "keys can be numbers",
    }
    found = read_pickle(write(tmp_path, value, how)).value
    assert isinstance(found["args"], Record) and found["args"].name == "argparse.Namespace"
    assert found["args"].state == {"lr": 0.1}
    wanted = 7, 0.5, [1, (2, 3), {4}], "keys can be numbers"
    assert (found["step"], found["loss"], found["list"], found[3]) == wanted
    assert found["numbers"].values.tolist() == [[0, 1, 2], [3, 4, 5]] == found["columns"].values.tolist()
    assert (bytes(found["bytes"]), found["big"], found["nothing"]) == (b"\x00\xff", -(2**70), None)
    assert (found["size"], found["lists"], found["ordered"]) == ((1, 2), {"a": [1]}, {"a": 1, "b": 2})


def test_a_tensor_costs_nothing_until_it_is_copied(tmp_path: Path) -> None:
    """It views the file: what is written to it stays in this process, and the file as it is."""
    path = write(tmp_path, {"w": torch.zeros(1000)}, {})
    before = path.read_bytes()
    found = read_pickle(path).value["w"]
    found.fill_(1)
    assert found.sum() == 1000 and path.read_bytes() == before


def test_a_name_is_on_the_list_or_refused(tmp_path: Path) -> None:
    path = write(tmp_path, torch.nn.Linear(2, 2).state_dict() | {"m": torch.nn.ReLU()}, {})
    with pytest.raises(CheckpointError, match="^weights.bin asks for 'torch.nn.modules.activation.ReLU', which no"):
        read_pickle(path)
    contents = read_pickle(path, {"torch.nn.modules.activation.ReLU"})
    assert isinstance(contents.value["m"], Record) and contents.value["m"].state["training"] is True
    assert "torch.nn.modules.activation.ReLU" in contents.names


def test_a_format_gets_no_names_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may name what some format declares; the format that takes it must be that one."""
    path = write(tmp_path, {}, None)
    path.write_bytes(b"\x80\x02cdnnlib.tflib.network\nNetwork\n.")
    takes_all = Format("takes all", lambda contents: True, FORMATS.get("rosinality").read)
    monkeypatch.setattr(FORMATS, "_things", {"takes_all": takes_all, "stylegan2_ada": FORMATS.get("stylegan2_ada")})
    assert recognise(path) == "stylegan2_ada"


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.bin", metadata={"licence": "MIT"})
    found = read_contents(tmp_path / "a.bin")
    assert isinstance(found, Contents) and found.value["a"].tolist() == [1, 1] and found.said == {"licence": "MIT"}


def test_what_no_format_knows_names_the_known_ones(tmp_path: Path) -> None:
    said = "^weights.bin holds nothing of a kind that is known here; give one of: "
    with pytest.raises(CheckpointError, match=said):
        recognise(write(tmp_path, {"a": torch.ones(1)}, {}))


def test_every_word_that_pickle_writes_is_known() -> None:
    """Of protocols 2 to 5, for values of all kinds that Python pickles by itself."""
    value = [None, True, False, 1, 300, 70_000, -5, 2**40, 2**3000 % 2**2000, 1.5, "a", "b" * 300, b"c", b"d" * 300]
    value += [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], [1, 2], {}, {1: 2}, {1: 2, 3: 4}]
    value += [set(), {1}, frozenset({1})]
    value += [value[0:1], value]
    for protocol in (2, 3, 4):
        data = memoryview(pickle.dumps(value, protocol))
        assert list(words(data, 0, Budget(len(data))))[-1] == ((b".", None), len(data))
