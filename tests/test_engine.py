import dataclasses
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import studio.engine
from studio.capabilities import NoiseGenerator, StyleGenerator, require
from studio.engine import Engine, LoadedModel
from studio.errors import CapabilityError, CheckpointError, DeviceError, UnknownName
from studio.library import Library
from studio.models import MODELS


@pytest.fixture
def three(tmp_path: Path, save_tiny: Callable[..., Path]) -> Library:
    """Three models of one size: a, b, c."""
    for seed, name in enumerate("abc"):
        save_tiny(tmp_path / name, seed)
    return Library((tmp_path,))


def loaded(engine: Engine, name: str) -> LoadedModel:
    with engine.use(name) as model:
        return model


def test_a_model_is_loaded_once(library: Library) -> None:
    engine = Engine(library, "cpu")
    first, second = loaded(engine, "tiny"), loaded(engine, "tiny")
    assert first.network is second.network
    assert (first.name, first.device, first.info) == ("tiny", torch.device("cpu"), engine.info("tiny"))


def test_the_size_of_a_model_is_that_of_its_weights(library: Library) -> None:
    model = loaded(Engine(library, "cpu"), "tiny")
    assert model.size_bytes == sum(4 * t.numel() for t in model.network.state_dict().values())


def test_the_least_recently_used_model_goes_first(three: Library) -> None:
    size = loaded(Engine(three, "cpu"), "a").size_bytes
    engine = Engine(three, "cpu", cache_bytes=2 * size)
    networks = {name: loaded(engine, name).network for name in "ab"}
    assert loaded(engine, "a").network is networks["a"]  # b is the one not used for longest
    networks["c"] = loaded(engine, "c").network
    assert loaded(engine, "a").network is networks["a"]
    assert loaded(engine, "c").network is networks["c"]
    assert loaded(engine, "b").network is not networks["b"]


def test_no_more_bytes_than_allowed(three: Library) -> None:
    size = loaded(Engine(three, "cpu"), "a").size_bytes
    for cache_bytes, kept in ((3 * size, 3), (3 * size - 1, 2), (size, 1), (0, 1)):
        engine = Engine(three, "cpu", cache_bytes=cache_bytes)
        networks = {name: loaded(engine, name).network for name in "abc"}
        still = [name for name in "cba" if loaded(engine, name).network is networks[name]]
        assert still == list("cba")[:kept]


def test_one_user_of_a_device_at_a_time(three: Library) -> None:
    engine = Engine(three, "cpu")
    inside: list[str] = []
    most = []

    def work(name: str) -> None:
        for _ in range(5):
            with engine.use(name):
                inside.append(name)
                time.sleep(0.002)
                most.append(len(inside))
                inside.remove(name)

    threads = [threading.Thread(target=work, args=[name]) for name in "abca"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1] * 20


def in_a_thread(work: Callable[[], object]) -> list[object]:
    """What `work` returns, or nothing if it waits for ever."""
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(5)
    return done


def test_a_user_may_ask_for_a_second_model(three: Library) -> None:
    engine = Engine(three, "cpu", cache_bytes=0)

    def both() -> bool:
        with engine.use("a") as a, engine.use("b") as b:
            return not a.network.w_avg.equal(b.network.w_avg)

    assert in_a_thread(both) == [True]


def test_an_error_releases_the_device(three: Library) -> None:
    engine = Engine(three, "cpu")
    with pytest.raises(KeyError), engine.use("a"):
        raise KeyError
    assert in_a_thread(lambda: loaded(engine, "c").name) == ["c"]


def test_an_unknown_name_lists_the_known_ones(three: Library) -> None:
    engine = Engine(three, "cpu")
    for ask in (engine.info, lambda name: loaded(engine, name)):
        with pytest.raises(UnknownName, match="^no model named 'd'; installed: a, b, c$"):
            ask("d")


def test_a_path_is_no_name(three: Library, tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    """A name may come from a page, which must not read folders of its choice."""
    path = str(save_tiny(tmp_path / "sub" / "secret"))
    engine = Engine(three, "cpu")
    for ask in (engine.info, lambda name: loaded(engine, name)):
        with pytest.raises(UnknownName):
            ask(path)
    assert loaded(Engine(Library(three.roots, any_folder=True), "cpu"), path).name == path


def test_a_damaged_model_does_not_stay_in_memory(three: Library) -> None:
    engine = Engine(three, "cpu")
    weights = three.find("a") / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match="corrupt"):
        loaded(engine, "a")
    weights.write_bytes(whole)
    assert loaded(engine, "a").name == "a"


def test_a_model_that_was_exported_anew_is_loaded_anew(three: Library, save_tiny: Callable[..., Path]) -> None:
    """Else pictures of the old weights would be signed with the hash of the new ones."""
    engine = Engine(three, "cpu")
    old = loaded(engine, "a")
    save_tiny(three.find("a"), seed=7)
    model = loaded(engine, "a")
    assert model.info == engine.info("a") != old.info
    assert not model.network.w_avg.equal(old.network.w_avg)


def test_a_model_goes_before_the_next_one_is_read(three: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both together may be more than the machine has."""
    load, alive = studio.engine.load_network, []
    networks: list[weakref.ref] = []

    def watched(folder: Path) -> nn.Module:
        alive.append([network() is not None for network in networks])
        return load(folder)

    monkeypatch.setattr(studio.engine, "load_network", watched)
    size = loaded(Engine(three, "cpu"), "a").size_bytes
    for cache_bytes, expected in ((3 * size, [[], [True], [True, True]]), (size, [[], [False], [False, False]])):
        engine = Engine(three, "cpu", cache_bytes=cache_bytes)
        networks.clear(), alive.clear()
        for name in "abc":
            networks.append(weakref.ref(loaded(engine, name).network))
        assert alive == expected


def test_an_exported_model_goes_before_it_is_read_anew(
    three: Library, save_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(three, "cpu")
    old = weakref.ref(loaded(engine, "a").network)
    save_tiny(three.find("a"), seed=7)
    load = studio.engine.load_network
    monkeypatch.setattr(studio.engine, "load_network", lambda folder: (load(folder), alive.append(old()))[0])
    alive: list[nn.Module | None] = []
    loaded(engine, "a")
    assert alive == [None]


def allocate() -> None:
    torch.empty(2**50, dtype=torch.uint8)


def allocate_numpy() -> None:
    np.empty(2**48, dtype=np.uint8)


def run_out() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of")


def run_out_on_a_mac() -> None:
    raise RuntimeError("MPS backend out of memory (allocated: 17 GB). Tried to allocate 256.00 MB on private pool.")


def run_out_silently() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    "work, needed",
    [
        (allocate, r"1125899\.9 GB more are needed and "),
        (allocate_numpy, r"281475\.0 GB more are needed and "),
        (run_out, r"1\.6 GB more are needed and "),
        (run_out_on_a_mac, r"0\.3 GB more are needed and "),
        (run_out_silently, ""),
    ],
)
def test_too_little_memory_is_said(three: Library, work: Callable[[], None], needed: str) -> None:
    engine = Engine(three, "cpu")
    steps = "close other programs or choose a smaller model"
    sentence = rf"^cpu has too little free memory for 'a': {needed}\d+\.\d GB are free; {steps}$"
    with pytest.raises(DeviceError, match=sentence), engine.use("a"):
        work()


def test_too_little_memory_while_loading(three: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(three, "cpu")
    monkeypatch.setattr(studio.engine, "load_network", lambda folder: allocate())
    with pytest.raises(DeviceError, match="^cpu has too little free memory for 'a': "):
        loaded(engine, "a")
    monkeypatch.undo()
    assert loaded(engine, "a").name == "a"


def test_other_errors_keep_their_traceback(three: Library) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2") as error, Engine(three, "cpu").use("a"):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not isinstance(error.value, DeviceError)


def test_no_graph_is_kept(three: Library) -> None:
    with Engine(three, "cpu").use("a") as model:
        assert torch.is_inference_mode_enabled()
        assert not model.network.generate(torch.randn(1, 8)).requires_grad
    assert not torch.is_inference_mode_enabled()


def test_a_network_is_laid_out_as_its_family_says(three: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[nn.Module] = []

    def layout(network: nn.Module) -> nn.Module:
        laid_out.append(network)
        return nn.Sequential(network)

    family = dataclasses.replace(MODELS.get("stylegan2"), layout=layout)
    monkeypatch.setitem(MODELS._things, "stylegan2", family)
    model = loaded(Engine(three, "cpu"), "a")
    assert isinstance(model.network, nn.Sequential) and model.network[0] is laid_out[0]


def test_a_device_that_the_machine_lacks(library: Library) -> None:
    with pytest.raises(DeviceError, match="^device='gpu' is not one of"):
        Engine(library, "gpu")


def test_a_capability_is_asked_for_by_what_it_does(library: Library) -> None:
    network = loaded(Engine(library, "cpu"), "tiny").network
    assert require(network, StyleGenerator, "tiny", "explore") is network
    for capability, words in ((StyleGenerator, "a style space w"), (NoiseGenerator, "pictures from noise")):
        with pytest.raises(
            CapabilityError, match=f"^explore needs a model with {words}, which 'cat' lacks; choose another"
        ):
            require(nn.Identity(), capability, "cat", "explore")


@pytest.mark.gpu
def test_a_model_on_a_gpu(library: Library) -> None:
    model = loaded(Engine(library, "cuda"), "tiny")
    assert {t.device.type for t in model.network.state_dict().values()} == {"cuda"}
