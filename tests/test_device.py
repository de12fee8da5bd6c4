import pytest
import torch

from studio.device import choose_device
from studio.errors import DeviceError


def machine(monkeypatch: pytest.MonkeyPatch, *, cuda: int, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    "cuda, mps, best", [(2, False, "cuda"), (1, True, "cuda"), (0, True, "mps"), (0, False, "cpu")]
)
def test_the_best_is_chosen(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, best: str) -> None:
    machine(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device() == torch.device(best)


@pytest.mark.parametrize(
    "name, device", [("cpu", "cpu"), ("cpu:3", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("mps", "mps")]
)
def test_a_named_one_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, device: str) -> None:
    machine(monkeypatch, cuda=2, mps=True)
    assert choose_device(name) == torch.device(device)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "meta"])
def test_one_that_the_machine_lacks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine(monkeypatch, cuda=0, mps=False)
    with pytest.raises(DeviceError, match=f"^this machine has no device '{name}'; use --device cpu, or auto"):
        choose_device(name)


def test_one_gpu_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=2, mps=False)
    with pytest.raises(DeviceError, match="no device 'cuda:2'"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "CUDA", "cuda:-1", "cuda:x"])
def test_a_word_that_is_no_device(name: str) -> None:
    with pytest.raises(DeviceError, match=f"^device='{name}' is not one of auto, cpu, cuda, cuda:0, mps"):
        choose_device(name)
