import pytest

from train.rates import rate


def test_constant_is_constant_and_cosine_falls_to_nothing() -> None:
    assert [rate("constant", kimg, 10) for kimg in (0, 5, 10, 50)] == [1.0] * 4
    assert [rate("cosine", kimg, 12) for kimg in (0, 4, 6, 12)] == pytest.approx([1.0, 0.75, 0.5, 0.0])
    assert rate("cosine", 20, 12) == pytest.approx(0.0)  # of a training that was made shorter


def test_who_waits_rests_and_then_joins_the_schedule() -> None:
    assert rate("cosine", 3.9, 12, wait_kimg=4) == 0.0
    assert rate("cosine", 4.0, 12, wait_kimg=4) == pytest.approx(0.75)
