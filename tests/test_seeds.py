import pytest

from studio.errors import SettingError
from studio.seeds import MAX_SEED, parse_seeds


@pytest.mark.parametrize(
    "text, seeds",
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("0-2,20,30-31", [0, 1, 2, 20, 30, 31]),
        (" 5 , 1 - 2 ", [5, 1, 2]),
        ("9,1,9", [9, 1, 9]),
        ("4-4", [4]),
        ("007", [7]),
        ("4294967294-4294967295", [MAX_SEED - 1, MAX_SEED]),
    ],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text, 10) == seeds


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "seeds='' is no seed and no range of seeds; write them like 0-15,20"),
        ("1,,2", "seeds='' is no seed and no range of seeds; write them like 0-15,20"),
        ("1,", "seeds='' is no seed and no range of seeds; write them like 0-15,20"),
        ("x", "seeds='x' is no seed and no range of seeds; write them like 0-15,20"),
        ("1.5", "seeds='1.5' is no seed and no range of seeds; write them like 0-15,20"),
        ("-3", "seeds='-3' is no seed and no range of seeds; write them like 0-15,20"),
        ("1-2-3", "seeds='1-2-3' is no seed and no range of seeds; write them like 0-15,20"),
        ("1_0", "seeds='1_0' is no seed and no range of seeds; write them like 0-15,20"),
        ("²", "seeds='²' is no seed and no range of seeds; write them like 0-15,20"),
        ("5-3", "seeds='5-3' runs backwards; write 3-5"),
        ("0-10", "seeds='0-10' are more than 10, the most at once; ask for fewer"),
        ("0-9,1", "seeds='0-9,1' are more than 10, the most at once; ask for fewer"),
        ("0-4294967295", "seeds='0-4294967295' are more than 10, the most at once; ask for fewer"),
        ("4294967296", "seeds='4294967296' is outside 0..4294967295; choose a smaller seed"),
        ("9" * 5000, f"seeds='{'9' * 37}...' is outside 0..4294967295; choose a smaller seed"),
    ],
)
def test_what_is_no_seed(text: str, sentence: str) -> None:
    with pytest.raises(SettingError) as error:
        parse_seeds(text, 10)
    assert str(error.value) == sentence
