import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.LaMa import LaMa

from studio.capabilities import Inpainter, Upscaler
from studio.errors import CapabilityError, CheckpointError
from studio.formats.spandrel import NOT_STATED, ForeignInpainter, read_foreign


def compact(scale: int = 2, channels: int = 3) -> Compact:
    torch.manual_seed(0)
    return Compact(num_in_ch=channels, num_out_ch=channels, num_feat=4, num_conv=2, upscale=scale).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(compact().state_dict(), path, metadata={"modelspec.license": "BSD-3-Clause"})
    return path


def test_an_upscaler_from_safetensors_gives_what_its_network_gives(weights: Path) -> None:
    network = read_foreign(weights)
    assert isinstance(network, Upscaler) and not isinstance(network, Inpainter)
    assert (network.scale, network.licence) == (2, "BSD-3-Clause")
    x = torch.rand(2, 3, 9, 11)
    found = network.upscale(x * 2 - 1, torch.zeros(2))
    with torch.no_grad():
        assert torch.allclose(found, compact()(x).clamp(0, 1) * 2 - 1, atol=1e-6)
    assert not any(p.requires_grad for p in network.parameters()) and not network.training


def test_a_network_is_shown_pictures_whose_numbers_lie_row_by_row(weights: Path) -> None:
    """GFPGAN views them so, and pictures come with their channels side by side."""
    network = read_foreign(weights)
    shown = []
    network.network.register_forward_pre_hook(lambda module, given: shown.append(given[0].is_contiguous()))
    network.upscale(torch.zeros(2, 3, 8, 8).to(memory_format=torch.channels_last), torch.ones(2))
    assert shown == [True, True]


def test_pickled_weights_are_read_too_and_say_no_licence(tmp_path: Path) -> None:
    torch.save({"params": compact().state_dict()}, tmp_path / "tiny.pth")
    network = read_foreign(tmp_path / "tiny.pth")
    assert (network.scale, network.licence) == (2, NOT_STATED)


def test_at_its_own_size_strength_says_how_much_is_taken(tmp_path: Path) -> None:
    save_file(compact(scale=1).state_dict(), tmp_path / "clean.safetensors")
    network, x = read_foreign(tmp_path / "clean.safetensors"), torch.rand(2, 3, 8, 8) * 2 - 1
    none, half, full = (network.upscale(x, torch.full((2,), s)) for s in (0.0, 0.5, 1.0))
    assert torch.equal(none, x) and not torch.allclose(full, x, atol=1e-3)
    assert torch.allclose(half, (x + full) / 2, atol=1e-6)


def test_a_network_for_grey_cleans_each_colour(tmp_path: Path) -> None:
    save_file(compact(channels=1).state_dict(), tmp_path / "grey.safetensors")
    x = torch.rand(1, 1, 8, 8)
    found = read_foreign(tmp_path / "grey.safetensors").upscale((x * 2 - 1).expand(1, 3, 8, 8), torch.zeros(1))
    with torch.no_grad():
        assert torch.allclose(found, (compact(channels=1)(x).clamp(0, 1) * 2 - 1).expand(1, 3, 16, 16), atol=1e-6)


class Painted:
    """What spandrel says of an inpainting network, of which the smallest has 50 million weights."""

    def __init__(self) -> None:
        self.model = torch.nn.Identity()
        self.architecture = type("Architecture", (), {"name": "LaMa"})
        self.size_requirements = type("Size", (), {"multiple_of": 8})

    def __call__(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert image.is_contiguous() and image.shape[0] == mask.shape[0] == 1 and 0 <= image.min() and (image * mask).abs().max() == 0
        return torch.full_like(image, 0.75)


def test_an_inpainter_fills_where_the_mask_is() -> None:
    network = ForeignInpainter(Painted(), "MIT")
    x, masks = torch.rand(2, 3, 16, 16) * 2 - 1, torch.zeros(2, 1, 16, 16)
    masks[:, :, 4:9, 3:7] = 1
    assert isinstance(network, Inpainter) and network.multiple == 8
    found = network.fill(x.to(memory_format=torch.channels_last), masks)
    inside = masks.bool().expand_as(x)
    assert (found[inside] == 0.5).all() and torch.equal(found[~inside], x[~inside])


def test_lama_is_recognised_and_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its architecture with weights of nought, which a file holds in a few bytes."""
    with torch.device("meta"):
        shapes = LaMa(in_nc=4, out_nc=3).state_dict()
    monkeypatch.setattr("studio.formats.spandrel._read", lambda path: ({
        name: torch.zeros((), dtype=t.dtype).expand(t.shape) for name, t in shapes.items()
    }, "Apache-2.0"))
    network = read_foreign(tmp_path / "big-lama.safetensors")
    assert isinstance(network, Inpainter) and (network.architecture, network.licence) == ("LaMa", "Apache-2.0")
    with torch.inference_mode():
        found = network.fill(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    assert found.abs().max() < 1e-6  # the sigmoid of 0 is the middle


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("evil",)


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("a.zip", lambda path: path.write_bytes(b""), r"a.zip does not end in one of"),
        ("a.pth", lambda path: path.write_bytes(b"abc"), "a.pth is damaged"),
        ("a.pth", lambda path: torch.save({"w": Evil()}, path), "a.pth asks for 'posix.mkdir'"),
        ("a.pth", lambda path: torch.save([1, 2], path), "a.pth holds a list, not weights"),
        ("a.pth", lambda path: torch.save({"a": torch.ones(2)}, path), r"a.pth is not one of the \d+ kinds"),
        ("a.safetensors", lambda path: path.write_bytes(b"abc"), "a.safetensors is corrupt"),
        ("a.safetensors", lambda path: None, "there is no file"),
        (
            "a.safetensors",
            lambda path: save_file({k: v for k, v in compact().state_dict().items() if k != "body.2.weight"}, path),
            "looks like a known network and does not fit it",
        ),
    ],
)
def test_what_is_refused(
    name: str, make: Callable[[Path], object], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    with pytest.raises(CheckpointError, match=sentence):
        read_foreign(tmp_path / name)
    assert not (tmp_path / "evil").exists()


def test_other_channels_are_of_no_use(tmp_path: Path) -> None:
    save_file(compact(channels=4).state_dict(), tmp_path / "four.safetensors")
    with pytest.raises(CapabilityError, match=r"turns 4 channels to 4; choose one for colour pictures"):
        read_foreign(tmp_path / "four.safetensors")


def test_without_spandrel_it_says_what_to_install(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(CapabilityError, match="pip install spandrel"):
        read_foreign(weights)
