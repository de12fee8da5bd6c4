from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.checkpoint import ModelInfo, load_network, read_info, save_checkpoint
from studio.models.damage import JUDGED, DamageConfig, DamageNetwork
from tests.train.conftest import png
from train.ageing import age
from train.bundled import judgement, surroundings
from train.bundled.surroundings import Samples, fit, sample
from train.card import GRID
from train.squares import open_squares

TINY = DamageConfig(widths=(4, 4, 8))
TRAINING = {"settings": {"holdout": 0.01}, "hours": 1, "machine": "none"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(2):
        (folder / f"{i}.png").write_bytes(png(i, (520, 512), "RGB"))
    return folder


@pytest.fixture
def network() -> DamageNetwork:
    torch.manual_seed(0)
    return judgement.judging(DamageNetwork(TINY).eval())


def test_pixels_stand_for_those_that_they_were_taken_of(network: DamageNetwork, folder: Path) -> None:
    pictures = open_squares(folder, 512)
    samples = sample(network, pictures, 4)
    assert samples.around.shape == (len(samples.weights), network.surroundings.told)
    assert len(samples.weights) < 4 * 512 * 512 / 10
    assert samples.weights.sum() == pytest.approx(4 * 512 * 512, rel=0.1)
    there = np.zeros(len(JUDGED))
    for number in range(4):
        picture = pictures.load([number % len(pictures)])[0].numpy().astype(np.float32) / 255
        there += age(np.random.default_rng([surroundings.SALT, number]), picture)[1][: len(JUDGED)].sum(axis=(1, 2))
    found = (samples.labels * samples.weights[:, None]).sum(dim=0)
    assert there[0] > 1000 and found.tolist() == pytest.approx(there.tolist(), rel=0.15)
    again = sample(network, pictures, 4)
    assert torch.equal(samples.weights, again.weights) and torch.equal(samples.logits, again.logits)


def test_a_judge_learns_where_to_be_strict(network: DamageNetwork) -> None:
    """In half of the places, the same answer means damage; in the other half it does not."""
    torch.manual_seed(0)
    rough = torch.rand(20000) < 0.5
    around = torch.randn(20000, network.surroundings.told) * 0.1
    around[:, 5] += torch.where(rough, 1.0, -1.0)
    logits = torch.randn(20000, 2)
    labels = (logits > 0.5) & ~rough[:, None]
    samples = Samples(around.half(), logits.half(), labels, torch.ones(20000))
    before = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    assert fit(network, samples, steps=150) < 0.6 * before
    gain, shift = network.surroundings(around)
    moved = logits * gain + shift
    assert moved[rough].max() < 1 and moved[~rough][logits[~rough] > 2].min() > 0
    assert not network.surroundings.training and not any(p.requires_grad for p in network.parameters())


def test_the_rest_of_the_network_stays(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    plain = DamageNetwork(TINY).eval()
    info = ModelInfo("damage", TINY.to_dict(), "", training=TRAINING, metrics={"crack-F1": 0.1})
    model = save_checkpoint(tmp_path / "tiny", info, plain, "# tiny\n", {GRID: b"old"})
    monkeypatch.setattr(judgement, "fit", lambda network, samples: fit(network, samples, steps=3))
    monkeypatch.setattr("sys.argv", [
        "judgement", str(model), "--data", str(folder), "--fitted", "2", "--pictures", "2", "--note", "judged",
    ])
    judgement.main()
    found, network = read_info(model), load_network(model)
    assert found.config["surroundings"] == surroundings.UNITS and not found.metrics
    assert found.training["note"] == "judged" and "| remarks | judged |" in (model / "README.md").read_text()
    kept, old = network.state_dict(), plain.state_dict()
    assert all(torch.equal(kept[name], old[name].to(torch.float16).to(kept[name].dtype)) for name in old)
    assert (model / GRID).read_bytes()[:2] == b"\xff\xd8"
    assert network.surroundings.mean.abs().max() > 0

    judgement.main()  # another time begins anew
    again = load_network(model).state_dict()
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_each_pixel_has_the_surroundings_of_its_place(network: DamageNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that answers with a place's row and column, and is told its cells' rows and columns."""
    class Wide:
        def __len__(self) -> int:
            return 1

        def load(self, indices: list[int]) -> Tensor:
            return torch.full([1, 3, 64, 128], 128, dtype=torch.uint8)

    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(128.0), indexing="ij")
    monkeypatch.setattr(network, "look", lambda x: (x, torch.stack([down, across, down, across])[None]))
    cells = torch.stack([down[::8, ::8], across[::8, ::8]], dim=-1)[None]
    monkeypatch.setattr(network.surroundings, "around", lambda seen, logits: cells)
    samples = sample(network, Wide(), 1)
    assert len(samples.weights) > 50 and torch.equal(samples.around.float(), samples.logits.float() // 8 * 8)


def test_a_pixel_that_stands_for_many_counts_as_many(network: DamageNetwork) -> None:
    """Of places that are told the same, a tenth is damaged, and stands for nine tenths."""
    torch.manual_seed(0)
    damaged = torch.arange(5000) % 10 == 0
    samples = Samples(
        torch.zeros(5000, network.surroundings.told).half(), torch.zeros(5000, 2).half(),
        damaged[:, None].expand(-1, 2), torch.where(damaged, 81.0, 1.0),
    )
    fit(network, samples, steps=150)
    assert network.surroundings(samples.around.float())[1].sigmoid().mean() == pytest.approx(0.9, abs=0.05)


def test_what_is_padded_is_not_sampled(network: DamageNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    look = network.look

    def remembering(x: Tensor) -> tuple[Tensor, Tensor]:
        seen, logits = look(x)
        return seen, torch.nn.functional.pad(logits, (0, 64, 0, 64), value=50.0)

    monkeypatch.setattr(network, "look", remembering)
    monkeypatch.setattr(network.surroundings, "around", lambda seen, logits: torch.zeros(
        1, logits.shape[2] // 8, logits.shape[3] // 8, network.surroundings.told))

    class One:
        def __len__(self) -> int:
            return 1

        def load(self, indices: list[int]) -> Tensor:
            return torch.full([1, 3, 64, 64], 128, dtype=torch.uint8)

    assert sample(network, One(), 2).logits.max() < 50


def test_too_few_pictures_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["judgement", str(tmp_path), "--data", str(tmp_path), "--pictures", "0"])
    with pytest.raises(SystemExit, match="2"):
        judgement.main()
    assert "--pictures 0 is too few" in capsys.readouterr().err
