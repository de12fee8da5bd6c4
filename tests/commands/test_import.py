from collections.abc import Callable
from pathlib import Path

import torch

from studio.checkpoint import load_network, read_info
from studio.files import sha256
from tests.formats.test_rosinality import weights


def test_a_strangers_checkpoint_becomes_a_model_that_draws(cli: Callable, tmp_path: Path) -> None:
    torch.save({"g_ema": weights(), "latent_avg": torch.zeros(5)}, tmp_path / "a|b`c.pt")
    out = tmp_path / "made" / "flowers"
    answer = cli("import", tmp_path / "a|b`c.pt", "--out", out, "--json")
    assert answer.code == 0 and answer.values["format"] == "rosinality" and answer.values["folder"] == str(out)
    assert answer.values["sha256"] == read_info(out).sha256 and answer.values["config"]["resolution"] == 16
    card = (out / "README.md").read_text()
    assert sha256(tmp_path / "a|b`c.pt") in card and "a/b'c.pt" in card and "not stated in the file" in card
    assert (out / "samples.jpg").is_file() and load_network(out).resolution == 16
    made = cli("generate", out, "--seeds", "0,1", "--out", tmp_path / "pictures")
    assert made.code == 0 and len(list((tmp_path / "pictures").glob("*.png"))) == 2


def test_for_people(cli: Callable, tmp_path: Path) -> None:
    torch.save({"g_ema": weights(), "latent_avg": torch.zeros(5)}, tmp_path / "a.pt")
    said = cli("import", tmp_path / "a.pt", "--out", tmp_path / "out").out
    assert said.startswith(f"imported a.pt (rosinality StyleGAN2 (.pt)) to {tmp_path / 'out'}: StyleGAN2, 0.0 MB, ")


def test_nothing_of_the_persons_is_overwritten(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    torch.save({"g_ema": weights()}, tmp_path / "a.pt")
    error = cli("import", tmp_path / "a.pt", "--out", tmp_path / "mine").error
    assert error.endswith("holds files that are no checkpoint; give an empty or another folder")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_what_cannot_be_read_is_said_in_one_sentence(cli: Callable, tmp_path: Path) -> None:
    assert cli("import", tmp_path / "none.pt", "--out", tmp_path / "out").error.endswith("check the name")
    (tmp_path / "page.pt").write_text("<html>not found</html>")
    error = cli("import", tmp_path / "page.pt", "--out", tmp_path / "out").error
    assert error.startswith("page.pt is no pickle") and not (tmp_path / "out").exists()
