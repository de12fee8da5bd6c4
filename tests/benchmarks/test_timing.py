from itertools import count

import pytest

from benchmarks.timing import interleaved, quantile, table, verdict


def test_quantiles_lie_straight_between_neighbours() -> None:
    assert quantile([4, 1, 3, 2], 0.5) == 2.5
    assert quantile([4, 1, 3, 2], 0.95) == pytest.approx(3.85)
    assert quantile([7.0], 0.95) == 7.0
    assert quantile(range(101), 0.95) == 95
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_runs_take_turns_and_the_warm_up_does_not_count() -> None:
    clock, order = count(), []

    def run(name: str) -> float:
        order.append(name)
        return next(clock)

    found = interleaved({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=3, warm_ups=1)
    assert order == ["a", "b"] * 4
    assert found == {"a": 4, "b": 5}  # medians of 2, 4, 6 and 3, 5, 7; 0 and 1 were the warm-up


def test_an_aim_is_met_or_missed() -> None:
    assert verdict(1.5, 1.5) == "aim >= 1.5: met"
    assert verdict(1.4, 1.5) == "aim >= 1.5: MISSED"
    assert verdict(46, 45, at_most=True) == "aim <= 45: MISSED"


def test_a_table_is_aligned() -> None:
    text = table("T", ["name", "ms"], [["a", "10"], ["longer", "5"]])
    assert text == "T\nname    ms\n------  --\na       10\nlonger   5"
