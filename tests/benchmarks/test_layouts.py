"""What models.py imports is what the formats take it for."""

from pathlib import Path

import pytest
import torch

from benchmarks.layouts import AUTHORS, LAYOUTS, SILENTZ, fastgan, layer, norm, spectral
from studio.formats import FORMATS, recognise
from studio.formats._carry import put_together


def test_every_format_has_a_layout() -> None:
    assert set(FORMATS) <= set(LAYOUTS)
    assert set(LAYOUTS) - set(FORMATS) == {"stylegan3_r", "spandrel"}  # a second of one format, and one kept as it is


@pytest.mark.parametrize("name", ["fastgan", "cyclegan", "pix2pix", "dcgan"])
def test_a_file_is_recognised(name: str, tmp_path: Path) -> None:
    assert recognise(LAYOUTS[name].write(tmp_path)) == name


def test_weights_under_spectral_normalisation_have_a_largest_value_of_about_2() -> None:
    torch.manual_seed(0)
    for made in (spectral("a", 40, 30, 3, 3), spectral("a", 30, 40, 3, 3, transposed=True)):
        weight = put_together(made, ["a"] if made["a.weight_orig"].shape[0] == 30 else [])["a.weight"]
        scale = made["a.weight_orig"].norm() / weight.norm()
        assert scale.item() == pytest.approx(2, abs=0.5)


def test_parts() -> None:
    made = {**layer("a", 4, 3, 2, 2, bias=True), **norm("b", 4)}
    assert {name: tuple(tensor.shape) for name, tensor in made.items()} == {
        "a.weight": (4, 3, 2, 2), "a.bias": (4,), "b.weight": (4,), "b.bias": (4,), "b.running_mean": (4,),
        "b.running_var": (4,), "b.num_batches_tracked": (),
    }


def test_both_fastgans_are_one_network_under_two_namings() -> None:
    authors, silentz = fastgan(256, AUTHORS), fastgan(256, SILENTZ)
    assert [tensor.shape for tensor in authors.values()] == [tensor.shape for tensor in silentz.values()]
    assert {"feat_8.6.weight", "se_256.main.3.weight_orig", "to_big.weight_u"} <= set(authors)
    assert {"_upsample_8._layers.6._weight", "_sle_256._layers.3._conv.weight_orig"} <= set(silentz)
