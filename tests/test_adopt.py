import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from studio.adopt import adopt, name_for
from studio.checkpoint import load_network, read_info
from studio.errors import Cancelled, CheckpointError, SettingError
from studio.inventory import network_facts
from tests.formats.foreign import shaken
from tests.formats.test_dcgan import example
from tests.formats.test_spandrel import compact


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


def zipped(folder: Path, inside: str = "my run 4 kimg/", **more: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, inside + path.name)
        for name, content in more.items():
            archive.writestr(name, content)
    return data.getvalue()


def test_a_file_of_another_program_is_converted(root: Path, tmp_path: Path) -> None:
    theirs = shaken(example(sizes=4))
    sent = tmp_path / ("0" * 64)  # as it lies on a desk
    torch.save({f"main.{name}": tensor for name, tensor in theirs.state_dict().items()}, sent)
    made = adopt(sent, "netG_ink.pth", "ink", root)
    assert made == root / "ink" and [p.name for p in root.iterdir()] == ["ink"]
    info = read_info(made)
    assert (info.training["imported_from"], info.title) == ("netG_ink.pth", "netG_ink")
    z = torch.randn(2, 10)
    assert torch.allclose(load_network(made).generate(z), theirs(z[:, :, None, None]), atol=1e-5)
    assert sent.exists(), "the file is the person's"


def after(calls: int) -> Callable[[], bool]:
    """Says so once it has been asked more often."""
    asked = iter([False] * calls)
    return lambda: next(asked, True)


def test_cancelled_at_any_step_it_installs_nothing(
    root: Path, tmp_path: Path, save_tiny: Callable[..., Path]
) -> None:
    theirs, sent, packed = shaken(example(sizes=4)), tmp_path / "theirs.pth", tmp_path / "tiny.zip"
    torch.save({f"main.{name}": tensor for name, tensor in theirs.state_dict().items()}, sent)
    packed.write_bytes(zipped(save_tiny(tmp_path / "tiny")))
    for path, least in ((sent, 6), (packed, 3)):  # two of the former are previews; a zip has a block a file
        calls, made = 0, None
        while made is None:
            try:
                made = adopt(path, path.name, path.stem, root, after(calls))
            except Cancelled:
                assert not (root / path.stem).exists()
                calls += 1
        assert calls >= least and load_network(made)


def test_the_zip_of_the_train_tab(root: Path, tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    folder = save_tiny(tmp_path / "tiny")
    sent = tmp_path / "sent"
    more = {"../evil.py": b"x", "my run 4 kimg/evil.py": b"x", "my run 4 kimg/sub/model.json": b"{}"}
    sent.write_bytes(zipped(folder, **more))
    made = adopt(sent, "my run 4 kimg.zip", "my run 4 kimg", root)
    assert sorted(p.name for p in made.iterdir()) == sorted(p.name for p in folder.iterdir())
    assert all((made / p.name).read_bytes() == p.read_bytes() for p in folder.iterdir())
    assert not list(tmp_path.rglob("evil.py"))


def test_a_zip_whose_weights_are_others(root: Path, tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    folder = save_tiny(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(
        (save_tiny(tmp_path / "other", seed=1) / "model.safetensors").read_bytes()
    )
    sent = tmp_path / "sent"
    sent.write_bytes(zipped(folder))
    with pytest.raises(CheckpointError, match="^a.zip/model.safetensors is not the file model.json describes"):
        adopt(sent, "a.zip", "a", root)
    assert list(root.iterdir()) == []


def test_a_zip_that_swells_is_cut_off(root: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", b"x")
        archive.writestr("model.json", b" " * (64 << 20))
    with pytest.raises(CheckpointError, match="model.json in the zip is over 1 MiB"):
        adopt(sent, "bomb.zip", "bomb", root)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("content", [b"PK\x03\x04 and nothing", b"hello", b""])
def test_what_is_nothing_is_refused_in_a_sentence(root: Path, tmp_path: Path, content: bytes) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(content)
    with pytest.raises(CheckpointError, match="ink.pth"):
        adopt(sent, "ink.pth", "ink", root)
    assert list(root.iterdir()) == []


def test_a_damaged_zip(root: Path, tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    whole = zipped(save_tiny(tmp_path / "tiny"))
    at = whole.index(b"model.safetensors") + 200
    sent = tmp_path / "sent"
    sent.write_bytes(whole[:at] + bytes(255 - b for b in whole[at : at + 50]) + whole[at + 50 :])
    with pytest.raises(CheckpointError, match="the zip is damaged"):
        adopt(sent, "a.zip", "a", root)


def test_a_network_that_restores_stays_a_file(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    sent = tmp_path / "sent"
    torch.save(compact().state_dict(), sent)
    made = adopt(sent, "x2.pth", "x2", root)
    assert made == tmp_path / "home" / "networks" / "x2.pth" and made.read_bytes() == sent.read_bytes()
    facts = network_facts(made)
    assert (facts["does"], facts["scale"]) == ("enlarges", 2)
    with pytest.raises(SettingError, match="a model named 'x2.pth' is installed"):
        adopt(sent, "x2.pth", "x2", root)


def test_nothing_that_is_installed_is_replaced(root: Path, tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    save_tiny(root / "tiny")
    sent = tmp_path / "sent"
    sent.write_bytes(zipped(save_tiny(tmp_path / "other", seed=1)))
    with pytest.raises(SettingError, match="a model named 'tiny' is installed; give another name"):
        adopt(sent, "tiny.zip", "tiny", root)
    with pytest.raises(SettingError, match="no name for a model"):
        adopt(sent, "tiny.zip", "../tiny", root)


@pytest.mark.parametrize("file, name", [
    ("network-snapshot-000123.pkl", "network-snapshot-000123"), ("../a b.pth", "a b"), ("水墨.pt", "水墨"),
    ("---.bin", "model"), ("x" * 300 + ".pt", "x" * 80),
])
def test_names(file: str, name: str) -> None:
    assert name_for(file) == name
