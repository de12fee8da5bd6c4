import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from torch import Tensor

import studio.formats
import studio.library
from studio.checkpoint import load_network, read_info
from studio.errors import CheckpointError, SettingError
from studio.hub import Address, Hub, HubError
from studio.hub.install import Source, default_name, install, read_source
from studio.library import Library
from tests.hub_server import HubServer


@pytest.fixture(autouse=True)
def _a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path / "home"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "models"


@pytest.fixture
def ours(tmp_path: Path, save_tiny: Callable[..., Path]) -> dict[str, bytes]:
    """A checkpoint's files, and what else may lie in a repository."""
    folder = save_tiny(tmp_path / "tiny")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {**files, "samples.jpg": b"a picture", "source.json": b"{}", "evil.py": b"evil", "more/other.jpg": b"x"}


def left(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir()) if root.is_dir() else []


def test_a_checkpoint_of_ours(
    hub: Hub, server: HubServer, ours: dict[str, bytes], root: Path, tmp_path: Path
) -> None:
    commit = server.add("ann/brush", ours, card={"license": "cc-by-4.0"})
    made = install(hub, Address("ann/brush"))
    assert (made.name, made.folder) == ("brush", root / "brush")
    source = Source("ann/brush", commit, "", "cc-by-4.0")
    assert made.source == read_source(made.folder) == source
    names = ["README.md", "model.json", "model.safetensors", "samples.jpg", "source.json"]
    assert left(made.folder) == names and left(root) == ["brush"], "nothing else is taken, and nothing else is left"
    assert all((made.folder / n).read_bytes() == ours[n] for n in names[:-1])
    assert made.bytes == sum(len(ours[n]) for n in names[:-1])
    assert Library.default().find("brush") == made.folder
    z = torch.randn(1, 8)
    assert torch.equal(load_network(made.folder).generate(z), load_network(tmp_path / "tiny").generate(z))


def test_one_that_does_not_load_is_not_installed(
    hub: Hub, server: HubServer, ours: dict[str, bytes], root: Path
) -> None:
    info = json.loads(ours["model.json"])
    server.add("ann/brush", {**ours, "model.json": json.dumps({**info, "sha256": "0" * 64}).encode()})
    with pytest.raises(CheckpointError, match="^ann/brush/model.safetensors is not the file model.json describes"):
        install(hub, Address("ann/brush"))
    assert left(root) == []


def test_the_same_place_again_replaces_and_another_does_not(
    hub: Hub, server: HubServer, ours: dict[str, bytes], root: Path
) -> None:
    server.add("ann/brush", ours)
    server.add("bob/brush", ours)
    install(hub, Address("ann/brush"))
    newer = server.repos["ann/brush"].commit({"README.md": b"# Better\n"})
    assert install(hub, Address("ann/brush")).source.revision == newer
    assert (root / "brush" / "README.md").read_bytes() == b"# Better\n"
    with pytest.raises(SettingError) as error:
        install(hub, Address("bob/brush"))
    assert str(error.value) == "a model named 'brush' from ann/brush is installed; give another name"
    assert install(hub, Address("bob/brush"), "bobs").folder == root / "bobs"


def test_names_that_are_taken_or_none(
    hub: Hub, server: HubServer, ours: dict[str, bytes], root: Path, save_tiny: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    server.add("ann/brush", ours)
    save_tiny(root / "mine")
    save_tiny(tmp_path / "bundled" / "inks")
    monkeypatch.setattr(studio.library, "BUNDLED", tmp_path / "bundled")
    for name, sentence in [
        ("mine", "a model named 'mine' is installed; give another name"),
        ("inks", "'inks' is the name of a bundled model; give another name"),
        ("../mine", "'../mine' is no name for a model; use letters, digits, spaces, - _ and ."),
        (".mine", "'.mine' is no name for a model; use letters, digits, spaces, - _ and ."),
    ]:
        with pytest.raises(SettingError) as error:
            install(hub, Address("ann/brush"), name)
        assert str(error.value) == sentence
    assert server.requests == [], "that is said before anything is fetched"


@pytest.mark.parametrize(
    "text, name",
    [
        ("huggan/fastgan-few-shot-aurora", "fastgan-few-shot-aurora"),
        ("huggan/fastgan-few-shot-aurora:pytorch_model.bin", "fastgan-few-shot-aurora"),
        ("ann/cycle:weights/latest_net_G.pth", "cycle"),
        ("ann/cycle:200_net_G_A.pth", "cycle"),
        ("ann/old:netG.pth", "old"),
        ("ann/many:weights/stylegan3-r-ink 512.pkl", "stylegan3-r-ink-512"),
    ],
)
def test_what_a_model_is_called(text: str, name: str) -> None:
    assert default_name(Address.parse(text)) == name


def dcgan_weights(seed: int = 0) -> dict[str, Tensor]:
    """Weights that the DCGAN tutorial's generator would have saved, for 64 px and 4 feature maps at the end."""
    torch.manual_seed(seed)
    channels = [10, 32, 16, 8, 4]
    weights = {}
    for i, (a, b) in enumerate(zip(channels, channels[1:])):
        weights[f"main.{3 * i}.weight"] = torch.randn(a, b, 4, 4) * 0.1
        for name in ("weight", "bias", "running_mean"):
            weights[f"main.{3 * i + 1}.{name}"] = torch.randn(b) * 0.1
        weights[f"main.{3 * i + 1}.running_var"] = torch.rand(b) + 0.5
        weights[f"main.{3 * i + 1}.num_batches_tracked"] = torch.tensor(1)
    return {**weights, "main.12.weight": torch.randn(4, 3, 4, 4) * 0.1}


def test_a_file_of_another_program(hub: Hub, server: HubServer, root: Path, tmp_path: Path) -> None:
    torch.save(dcgan_weights(), tmp_path / "netG.pth")
    files = {"weights/netG.pth": (tmp_path / "netG.pth").read_bytes(), "README.md": b"", "train.py": b"evil"}
    commit = server.add("ann/old", files, card={"license": "mit"})
    made = install(hub, Address("ann/old"))
    assert made.source == read_source(root / "old") == Source("ann/old", commit, "weights/netG.pth", "mit")
    assert load_network(root / "old").generate(torch.randn(1, 10)).shape == (1, 3, 64, 64)
    assert read_info(root / "old").licence == "mit (as ann/old states)"
    assert "mit (as ann/old states)" in (root / "old" / "README.md").read_text()
    assert left(root) == ["old"]


def test_offline_the_licence_is_still_known(
    hub: Hub, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(dcgan_weights(), tmp_path / "netG.pth")
    files = {"netG.pth": (tmp_path / "netG.pth").read_bytes(), "README.md": b"---\nlicense: cc0-1.0\n---\n# Old\n"}
    server.add("ann/old", files, card={"license": "cc0-1.0"})
    install(hub, Address("ann/old"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = install(hub, Address("ann/old"), "again")
    assert again.source.licence == "cc0-1.0" and again.note.startswith("HF_HUB_OFFLINE is set")


def test_a_file_that_no_format_knows(hub: Hub, server: HubServer, root: Path, tmp_path: Path) -> None:
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "x.pth")
    server.add("ann/old", {"x.pth": (tmp_path / "x.pth").read_bytes()})
    with pytest.raises(CheckpointError, match="^x.pth "):
        install(hub, Address("ann/old"))
    assert left(root) == []


def test_a_stranger_s_program_is_not_run(hub: Hub, server: HubServer, root: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (open, (str(canary), "w"))

    torch.save({"g_ema": Evil()}, tmp_path / "x.pt")
    server.add("ann/old", {"x.pt": (tmp_path / "x.pt").read_bytes()})
    with pytest.raises(CheckpointError):
        install(hub, Address("ann/old"))
    assert not canary.exists() and left(root) == []


def test_a_restoration_network_stays_a_file(
    hub: Hub, server: HubServer, tmp_path: Path, root: Path
) -> None:
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=2, upscale=4)
    torch.save(network.state_dict(), tmp_path / "x4.pth")
    server.add("ann/sharp", {"x4.pth": (tmp_path / "x4.pth").read_bytes()}, card={"license": "bsd-3-clause"})
    made = install(hub, Address("ann/sharp"))
    assert made.folder == tmp_path / "home" / "networks" / "sharp.pth"
    assert made.source == read_source(made.folder) and made.source.licence == "bsd-3-clause"
    assert made.folder.read_bytes() == (tmp_path / "x4.pth").read_bytes()
    assert left(root) == [] and install(hub, Address("ann/sharp")) == made
    server.add("bob/sharp", {"x4.pth": (tmp_path / "x4.pth").read_bytes()})
    said = "^a model named 'sharp.pth' from ann/sharp is installed; give another name"
    with pytest.raises(SettingError, match=said):
        install(hub, Address("bob/sharp"))


def test_which_file_is_meant(hub: Hub, server: HubServer) -> None:
    server.add("ann/many", {"a.pth": b"1" * 2_000_000, "b/c.pkl": b"2"})
    with pytest.raises(HubError) as error:
        install(hub, Address("ann/many"))
    named = "ann/many has 2 files of weights; name one as ann/many:FILE, of a.pth (2.0 MB), b/c.pkl (0.0 MB)"
    assert str(error.value) == named
    server.add("ann/none", {"README.md": b"words"})
    with pytest.raises(HubError, match=r"^ann/none has no weights in it \(.*\); choose a repository that has some$"):
        install(hub, Address("ann/none"))
    with pytest.raises(HubError, match="^ann/many has no file 'd.pkl' at main; there: a.pth, b/c.pkl$"):
        install(hub, Address("ann/many", file="d.pkl"))


def test_a_task_that_no_tab_knows(hub: Hub, server: HubServer, ours: dict[str, bytes], root: Path) -> None:
    server.add("ann/words", {"model.safetensors": b"1"}, task="text-generation")
    with pytest.raises(HubError) as error:
        install(hub, Address("ann/words"))
    what = "ann/words is for text-generation, which no tab here does"
    assert str(error.value) == f"{what}; choose one for images, or name its file as ann/words:FILE"
    assert server.seen("resolve") == []
    info = json.loads(ours["model.json"])
    server.add("ann/brush", {**ours, "model.json": json.dumps({**info, "model": "hologram"}).encode()})
    with pytest.raises(CheckpointError, match="^ann/brush/model.json: no model named 'hologram'; known: "):
        install(hub, Address("ann/brush"))
    assert left(root) == []


def test_a_converter_s_own_error_is_passed_on(
    hub: Hub, server: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, out: Path) -> Path:
        raise CheckpointError(f"{path.name} is too old; get another")

    monkeypatch.setattr(studio.formats, "convert", refuse)
    server.add("ann/old", {"x.pkl": b"x"})
    with pytest.raises(CheckpointError, match="^x.pkl is too old; get another$"):
        install(hub, Address("ann/old"))
    assert left(root) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"repo": "a/b"}'])
def test_where_it_is_from_may_be_unknown(tmp_path: Path, text: str) -> None:
    assert read_source(tmp_path) is None
    (tmp_path / "source.json").write_text(text)
    assert read_source(tmp_path) is None
